// SPDX-License-Identifier: Apache-2.0

public import GuestMemory
public import HarnessBasics

/// A radix kernel's page tables over the memory map, as they were walked.
public struct WalkedTables: Codable, Equatable, Sendable {
    /// A page table entry that leads nowhere, or maps memory as the kernel does not.
    public struct Fault: Codable, Equatable, Sendable {
        /// What is wrong with it.
        public enum Reason: String, Codable, Sendable {
            /// It stands where no memory is: the entry above leads there.
            case unreadable
            /// It leads to a table of another size than the kernel uses there.
            case tableSize = "table-size"
            /// It leads to a table that is not aligned to its size.
            case tableAlignment = "table-alignment"
            /// It maps memory where only a table can follow, or leads to a table where none can follow.
            case wrongLevel = "wrong-level"
            /// It maps memory otherwise than the kernel does its own data.
            case attributes
            /// It is neither valid nor clear.
            case notValid = "not-valid"
        }

        /// The entry's physical address.
        @Hex public var entry: UInt64
        /// The first effective address that it is for.
        @Hex public var virtAddr: UInt64
        /// What is wrong with it.
        public var reason: Reason
        /// What stands there; nil when that is not known.
        public var word: Hex?

        /// Describes a fault.
        public init(entry: UInt64, virtAddr: UInt64, reason: Reason, word: UInt64?) {
            self.entry = entry
            self.virtAddr = virtAddr
            self.reason = reason
            self.word = word.map { Hex(wrappedValue: $0) }
        }
    }

    /// A table below the root.
    public struct Table: Decodable, Equatable, Sendable {
        /// Whether any of its entries is not clear.
        public enum State: String, Decodable, Sendable {
            /// One is.
            case used
            /// All are clear: the kernel frees such tables.
            case empty
        }

        /// Its physical address.
        public var base: UInt64
        /// How far below the root: 1 (PUD), 2 (PMD) or 3 (PTE).
        public var level: UInt64
        /// The first effective address that it is for.
        public var virtAddr: UInt64
        /// Its bytes.
        public var byteCount: UInt64
        /// Whether it maps anything.
        public var state: State

        /// Describes a table.
        public init(base: UInt64, level: UInt64, virtAddr: UInt64, byteCount: UInt64, state: State) {
            (self.base, self.level, self.virtAddr) = (base, level, virtAddr)
            (self.byteCount, self.state) = (byteCount, state)
        }
    }

    /// What the tables map, ascending by effective address.
    @Columns public var windows: [BackedWindow]
    /// What is wrong with them, ascending by effective address.
    public var faults: [Fault]

    /// The tables below the root, ascending by what they are for; nil where the walk does not tell them.
    @OptionalColumns public var tables: [Table]?
    /// Whether there are more tables, or leaves, than any memory needs, so that the walk was ended; nil where it was not.
    public var isCut: Bool?

    /// Makes walked tables.
    public init(windows: [BackedWindow], faults: [Fault]) {
        self.windows = windows
        self.faults = faults
        tables = nil
    }

    /// Takes over a walk.
    public init(_ walk: RadixWalk) {
        self.init(leaves: walk.leaves, faults: walk.faults)
        tables = walk.tables.map {
            Table(
                base: $0.base.rawValue, level: UInt64($0.level), virtAddr: $0.virtAddr, byteCount: $0.byteCount,
                state: $0.isEmpty ? .empty : .used)
        }
        if walk.hasReachedLimit { isCut = true }
    }

    /// Takes over what a walk gave.
    public init(leaves: [RadixWalk.Leaf], faults: [RadixWalk.Fault]) {
        windows = leaves.map(BackedWindow.init)
        self.faults = faults.map {
            let (reason, word): (Fault.Reason, UInt64?) =
                switch $0.reason {
                case .unreadable: (.unreadable, nil)
                case .tableSize(let word): (.tableSize, word)
                case .tableAlignment(let word): (.tableAlignment, word)
                case .leafInRoot(let word), .tableBelowLastLevel(let word): (.wrongLevel, word)
                case .attributes(let word): (.attributes, word)
                case .notValid(let word): (.notValid, word)
                }
            return Fault(entry: $0.entryAddress.rawValue, virtAddr: $0.virtAddr, reason: reason, word: word)
        }
    }
}

extension BackedWindow {
    /// Takes over a leaf.
    public init(_ leaf: RadixWalk.Leaf) {
        self.init(
            place: leaf.entryAddress.rawValue, virtAddr: leaf.virtAddr, phys: leaf.phys, byteCount: leaf.byteCount)
    }
}
