// SPDX-License-Identifier: Apache-2.0

public import VmemmapPopulate

/// What the guest reports of itself.
public struct ReportSnapshot: Codable, Equatable, Sendable {
    /// A memory block and its state.
    public struct Block: Codable, Equatable, Sendable {
        /// Its number.
        public var index: UInt64
        /// `online`, `offline`, `going-offline` or `unknown`.
        public var state: String

        /// Makes a block.
        public init(index: UInt64, state: String) {
            self.index = index
            self.state = state
        }
    }

    /// The kernel's list, walked in the guest.
    public var list: ListWalk
    /// The kernel's page tables, walked in the guest, where it keeps no list: they are the report then.
    public var pageTables: WalkedTables?
    /// The size of a memory block in bytes.
    public var blockByteCount: UInt64
    /// The memory blocks, ascending.
    @Columns public var blocks: [Block]

    /// Makes a report.
    public init(list: ListWalk, pageTables: WalkedTables? = nil, blockByteCount: UInt64, blocks: [Block]) {
        self.list = list
        self.pageTables = pageTables
        self.blockByteCount = blockByteCount
        self.blocks = blocks
    }
}
