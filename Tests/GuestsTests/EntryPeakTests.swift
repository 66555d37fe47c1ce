// SPDX-License-Identifier: Apache-2.0

import AgentProtocol
import Testing

@testable import Guests

@Suite struct EntryPeakTests {
    private static let come = AgentEvent.blockMirrored(virtAddr: 0, byteCount: 4096, phys: 0, mirrorNode: 0)
    private static let gone = AgentEvent.blockFreed(virtAddr: 0, phys: 0)

    /// 16 entries, 5 come and go again before anybody looks, then 3 come.
    @Test func whatCameAndWentCounts() {
        var peak = EntryPeak()
        peak.note(entryCount: 16)
        for event in Array(repeating: Self.come, count: 5) + Array(repeating: Self.gone, count: 5) { peak.take(event) }
        #expect(peak.entryCount == 21)
        peak.note(entryCount: 16)
        for _ in 0..<3 { peak.take(Self.come) }
        #expect(peak.entryCount == 21)
        peak.note(entryCount: 22)
        #expect(peak.entryCount == 22)
    }

    /// What the list shows counts, whatever the guest says.
    @Test func moreMayNotGoThanThereIs() {
        var peak = EntryPeak()
        peak.note(entryCount: 1)
        for _ in 0..<3 { peak.take(Self.gone) }
        for _ in 0..<2 { peak.take(Self.come) }
        #expect(peak.entryCount == 2)
    }

    /// A kernel without a list has blocks too: that it never had an entry tells which kernel it is.
    @Test func aKernelWithoutAListHasNone() {
        var peak = EntryPeak()
        peak.note(entryCount: 0)
        peak.take(Self.come)
        #expect(peak.entryCount == 0)
    }
}
