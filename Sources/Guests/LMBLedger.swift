// SPDX-License-Identifier: Apache-2.0

import AgentProtocol
import GuestMemory

/// What the guest has said of its LMBs: which it took, which it gave up, and how many requests it gave up on.
struct LMBLedger {
    private var added: Set<UInt64> = []
    /// LMBs that the guest gave up and did not take again; the machine may have them still.
    private var removed: Set<UInt64> = []
    /// How many hot-adds the guest gave up on.
    private(set) var failedAddCount = 0
    /// How many hot-removes the guest gave up on.
    private(set) var failedRemoveCount = 0

    /// A guest whose memory is as the machine has it.
    init(present ranges: [Range<UInt64>] = []) {
        for range in ranges { added.formUnion(LMB.addresses(in: range)) }
    }

    /// Takes an event into account; false when it says of an LMB what is known already.
    @discardableResult
    mutating func note(_ event: AgentEvent) -> Bool {
        switch event {
        case .lmbAdded(let base, _):
            removed.remove(base)
            return added.insert(base).inserted
        case .lmbRemoved(let base):
            added.remove(base)
            return removed.insert(base).inserted
        case .hotplugFailed(.add): failedAddCount += 1
        case .hotplugFailed(.remove): failedRemoveCount += 1
        default: break
        }
        return true
    }

    /// Whether the guest has taken the LMB at an address.
    func isAdded(_ base: UInt64) -> Bool { added.contains(base) }

    /// The guest has the LMBs at these addresses of a range, and no others, and has not said how it came to that.
    mutating func takeBack(_ range: Range<UInt64>, present: Set<UInt64>) {
        for base in LMB.addresses(in: range) {
            if present.contains(base) {
                added.insert(base)
                removed.remove(base)
            } else {
                added.remove(base)
                removed.insert(base)
            }
        }
    }

    /// The machine has no memory in a range any more.
    mutating func forget(_ range: Range<UInt64>) {
        added.subtract(LMB.addresses(in: range))
        removed.subtract(LMB.addresses(in: range))
    }

    /// A range without the LMBs that the guest gave up.
    func usable(of range: Range<UInt64>) -> [Range<UInt64>] {
        var start = range.lowerBound
        var ranges: [Range<UInt64>] = []
        for gap in LMB.addresses(in: range).filter(removed.contains) {
            if start < gap { ranges.append(start..<gap) }
            start = gap + LMB.byteCount
        }
        if start < range.upperBound { ranges.append(start..<range.upperBound) }
        return ranges
    }
}
