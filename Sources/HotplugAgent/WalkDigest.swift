// SPDX-License-Identifier: Apache-2.0

import GuestMemory
import VmemmapPopulate

/// What two walks agree in when they have found the same: a number made of every word that they have read, in order.
struct WalkDigest: Equatable {
    /// FNV-1a by words, turned so that every bit of a word reaches every bit of the number.
    private var value: UInt64 = 0xcbf2_9ce4_8422_2325

    fileprivate mutating func add(_ word: UInt64) {
        value = (value << 23 | value >> 41) ^ word
        value = value &* 0x100_0000_01b3
    }
}

extension ListWalk {
    /// A number made of the head, of each node and where it stands, and of how many there are. How the walk ended follows
    /// from those.
    var digest: WalkDigest {
        var digest = WalkDigest()
        digest.add(head)
        digest.add(UInt64(entries.count))
        for entry in entries {
            digest.add(entry.node)
            digest.add(entry.list)
            digest.add(entry.phys)
            digest.add(entry.virtAddr)
        }
        return digest
    }
}

extension RadixWalk {
    /// A number made of each leaf, of each entry that leads nowhere, and of where they stand.
    var digest: WalkDigest {
        var digest = WalkDigest()
        digest.add(UInt64(leaves.count))
        for leaf in leaves {
            digest.add(leaf.entryAddress.rawValue)
            digest.add(leaf.virtAddr)
            digest.add(leaf.phys)
            digest.add(leaf.byteCount)
        }
        for fault in faults {
            digest.add(fault.entryAddress.rawValue)
            digest.add(fault.virtAddr)
            digest.add(fault.reason.word)
        }
        return digest
    }
}

extension RadixWalk.Reason {
    /// The entry, 0 when it cannot be read.
    fileprivate var word: UInt64 {
        switch self {
        case .unreadable: 0
        case .tableSize(let word), .tableAlignment(let word), .leafInRoot(let word), .tableBelowLastLevel(let word),
            .attributes(let word), .notValid(let word):
            word
        }
    }
}
