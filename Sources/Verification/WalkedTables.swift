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

    /// What the tables map, ascending by effective address.
    @Columns public var windows: [BackedWindow]
    /// What is wrong with them, ascending by effective address.
    public var faults: [Fault]

    /// Makes walked tables.
    public init(windows: [BackedWindow], faults: [Fault]) {
        self.windows = windows
        self.faults = faults
    }

    /// Takes over a walk.
    public init(_ walk: RadixWalk) {
        self.init(leaves: walk.leaves, faults: walk.faults)
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
