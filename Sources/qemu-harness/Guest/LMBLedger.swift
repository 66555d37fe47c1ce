// SPDX-License-Identifier: Apache-2.0

import AgentProtocol

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
        for range in ranges { added.formUnion(Self.lmbs(in: range)) }
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
        for base in Self.lmbs(in: range) {
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
        added.subtract(Self.lmbs(in: range))
        removed.subtract(Self.lmbs(in: range))
    }

    /// A range without the LMBs that the guest gave up.
    func usable(of range: Range<UInt64>) -> [Range<UInt64>] {
        var start = range.lowerBound
        var ranges: [Range<UInt64>] = []
        for gap in Self.lmbs(in: range).filter(removed.contains) {
            if start < gap { ranges.append(start..<gap) }
            start = gap + GuestConfiguration.lmbByteCount
        }
        if start < range.upperBound { ranges.append(start..<range.upperBound) }
        return ranges
    }

    /// The addresses of the LMBs in a range.
    static func lmbs(in range: Range<UInt64>) -> [UInt64] {
        Array(stride(from: range.lowerBound, to: range.upperBound, by: Int(GuestConfiguration.lmbByteCount)))
    }

    /// The index by which the guest names an LMB: `SPAPR_DR_CONNECTOR_TYPE_LMB` and the LMB's number
    /// (hw/ppc/spapr_drc.c: `spapr_drc_index`).
    static func drcIndex(of base: UInt64) -> UInt64 { 0x8000_0000 | base / GuestConfiguration.lmbByteCount }
}
