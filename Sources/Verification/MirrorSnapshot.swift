// SPDX-License-Identifier: Apache-2.0

public import GuestMemory
public import HarnessBasics
public import VmemmapPopulate

/// The mirror as the host found it in the shared region.
public struct MirrorSnapshot: Codable, Equatable, Sendable {
    /// One word of the region's header.
    public struct HeaderWord: Codable, Equatable, Sendable {
        /// The field's name in the region's format.
        public var field: String
        /// What stands there.
        @Hex public var value: UInt64

        /// Makes a header word.
        public init(field: String, value: UInt64) {
            self.field = field
            self.value = value
        }
    }

    /// What a header word has to be, by the word of somebody who knows: what neither the format nor the list tells.
    public struct Statement: Codable, Equatable, Sendable {
        /// The field's name in the region's format.
        public var field: String
        /// The value.
        @Hex public var value: UInt64
        /// Who says so.
        public var source: String

        /// Makes a statement.
        public init(field: String, value: UInt64, source: String) {
            self.field = field
            self.value = value
            self.source = source
        }
    }

    /// The header, word by word: every ``SharedRegionLayout/Field`` in order, then the words of the release.
    public var header: [HeaderWord]
    /// What harness and agent say of the header, in the fields' order.
    public var statements: [Statement]
    /// The mirrored list.
    public var list: ListWalk
    /// How each entry came, in the list's order; nil where the origin word says nothing known.
    @Origins public var provenance: [Provenance?]
    /// The bytes of each entry, in the list's order, where entries say them: one for each leaf, where the kernel keeps page
    /// tables and no list. 0 where the entry says none.
    public var leafByteCounts: [UInt64]?

    /// Makes a snapshot of the mirror.
    public init(
        header: [HeaderWord], statements: [Statement], list: ListWalk, provenance: [Provenance?],
        leafByteCounts: [UInt64]? = nil
    ) {
        self.header = header
        self.statements = statements
        self.list = list
        self.provenance = provenance
        self.leafByteCounts = leafByteCounts
    }
}
