// SPDX-License-Identifier: Apache-2.0

import AgentProtocol
import GuestMemory

/// What the guest has said of its LMBs: which it took, which it gave up, and how many requests it gave up on.
struct LMBLedger {
    private var added: Set<UInt64> = []
    /// LMBs that the guest gave up and did not take again; the machine may have them still.
    private var removed: Set<UInt64> = []
    /// LMBs that somebody had the kernel add by their addresses alone. One that was released before has no node in the device
    /// tree any more, and gets the first one that is online (arch/powerpc/mm/numa.c, `hot_add_scn_to_nid`).
    private var probed: Set<UInt64> = []
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
            probed.remove(base)
            return removed.insert(base).inserted
        case .hotplugFailed(.add): failedAddCount += 1
        case .hotplugFailed(.remove): failedRemoveCount += 1
        default: break
        }
        return true
    }

    /// The LMB at an address was added by that alone.
    mutating func noteProbe(of base: UInt64) { probed.insert(base) }

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
        probed.subtract(LMB.addresses(in: range))
    }

    /// A range without the LMBs that the guest gave up; those that were added by their addresses alone are pieces of their own.
    func usable(of range: Range<UInt64>) -> [(range: Range<UInt64>, isProbed: Bool)] {
        var start = range.lowerBound
        var ranges: [(Range<UInt64>, Bool)] = []
        for base in LMB.addresses(in: range) where removed.contains(base) || probed.contains(base) {
            if start < base { ranges.append((start..<base, false)) }
            start = base + LMB.byteCount
            if !removed.contains(base) { ranges.append((base..<start, true)) }
        }
        if start < range.upperBound { ranges.append((start..<range.upperBound, false)) }
        return ranges
    }
}
