// SPDX-License-Identifier: Apache-2.0

public import HarnessBasics
public import VmemmapPopulate

/// What the dump-capture kernel's agent read of the dead kernel in /proc/vmcore (fs/proc/vmcore.c).
public struct VmcoreSnapshot: Codable, Equatable, Sendable {
    /// A section that the dead kernel's `mem_section` has.
    public struct Section: Codable, Equatable, Sendable {
        /// Physical address shifted right by the section size bits.
        public var number: UInt64
        /// `SECTION_IS_ONLINE`.
        public var isOnline: Bool

        /// Describes a section.
        public init(number: UInt64, isOnline: Bool) {
            self.number = number
            self.isOnline = isOnline
        }
    }

    /// How many pieces of memory the dump has: the PT_LOADs of its ELF header.
    public var loadCount: UInt64
    /// How much memory that is, in bytes.
    public var dumpByteCount: UInt64
    /// The dead kernel's list.
    public var list: ListWalk
    /// The dead kernel's page tables, where it kept no list.
    public var pageTables: WalkedTables?
    /// The sections that were present, ascending.
    @Columns public var sections: [Section]
    /// How many entries have a block that is not wholly in the dump.
    public var unreachableCount: UInt64
    /// The window of the first of them; 0 when there is none.
    @Hex public var firstUnreachable: UInt64

    /// Describes what was read.
    public init(
        loadCount: UInt64, dumpByteCount: UInt64, list: ListWalk, pageTables: WalkedTables?, sections: [Section],
        unreachableCount: UInt64, firstUnreachable: UInt64
    ) {
        self.loadCount = loadCount
        self.dumpByteCount = dumpByteCount
        self.list = list
        self.pageTables = pageTables
        self.sections = sections
        self.unreachableCount = unreachableCount
        self.firstUnreachable = firstUnreachable
    }
}
