// SPDX-License-Identifier: Apache-2.0

import AgentProtocol
import GuestMemory
import Testing

@testable import Guests

@Suite struct LMBLedgerTests {
    private static let lmb: UInt64 = 256 << 20
    private static let dimm = 4 * lmb..<8 * lmb

    @Test func knowsWhatTheGuestHas() {
        var ledger = LMBLedger()
        #expect(!ledger.isAdded(4 * Self.lmb))
        ledger.note(.lmbAdded(base: 4 * Self.lmb, drcIndex: 0x8000_0004))
        #expect(ledger.isAdded(4 * Self.lmb))
        ledger.note(.lmbRemoved(base: 4 * Self.lmb))
        #expect(!ledger.isAdded(4 * Self.lmb))
        ledger.note(.hotplugFailed(.add))
        ledger.note(.hotplugFailed(.remove))
        ledger.note(.hotplugFailed(.remove))
        #expect(ledger.failedAddCount == 1)
        #expect(ledger.failedRemoveCount == 2)
    }

    @Test(
        arguments: [
            ([], [4..<8]), ([4], [5..<8]), ([7], [4..<7]), ([5, 6], [4..<5, 7..<8]), ([4, 6], [5..<6, 7..<8]),
            ([4, 5, 6, 7], []), ([3, 8], [4..<8]),
        ] as [([UInt64], [Range<UInt64>])])
    func leavesOutWhatWasGivenUp(removed: [UInt64], usable: [Range<UInt64>]) {
        var ledger = LMBLedger(present: [Self.dimm])
        for number in removed { ledger.note(.lmbRemoved(base: number * Self.lmb)) }
        #expect(
            ledger.usable(of: Self.dimm).map(\.range)
                == usable.map { $0.lowerBound * Self.lmb..<$0.upperBound * Self.lmb })
        // Taken again, whether the guest says so or not.
        for number in removed.prefix(1) { ledger.note(.lmbAdded(base: number * Self.lmb, drcIndex: 0)) }
        let lmbs = LMB.addresses(in: Self.dimm)
        ledger.takeBack(Self.dimm, present: Set(lmbs))
        #expect(ledger.usable(of: Self.dimm).map(\.range) == [Self.dimm])
        #expect(lmbs.allSatisfy(ledger.isAdded))
        // A block that was not there before the guest refused is not there after.
        ledger.takeBack(Self.dimm, present: Set(lmbs.dropFirst()))
        #expect(ledger.usable(of: Self.dimm).map(\.range) == [lmbs[1]..<Self.dimm.upperBound])
        #expect(lmbs.map(ledger.isAdded) == [false, true, true, true])
    }

    /// What was added by its address alone is told apart, until it goes.
    @Test func knowsWhatWasProbed() {
        var ledger = LMBLedger(present: [Self.dimm])
        let lmbs = LMB.addresses(in: Self.dimm)
        ledger.note(.lmbRemoved(base: lmbs[1]))
        ledger.note(.lmbAdded(base: lmbs[1], drcIndex: 0x8000_0005))
        ledger.noteProbe(of: lmbs[1])
        ledger.note(.lmbRemoved(base: lmbs[2]))
        let usable = ledger.usable(of: Self.dimm)
        #expect(usable.map(\.range) == [lmbs[0]..<lmbs[1], lmbs[1]..<lmbs[2], lmbs[3]..<Self.dimm.upperBound])
        #expect(usable.map(\.isProbed) == [false, true, false])
        ledger.note(.lmbRemoved(base: lmbs[1]))
        ledger.note(.lmbAdded(base: lmbs[1], drcIndex: 0x8000_0005))
        #expect(ledger.usable(of: Self.dimm).map(\.isProbed) == [false, false])
    }

    /// A DIMM that goes takes what was noted of its place with it: the next one there is another.
    @Test func forgetsADimmThatIsGone() {
        var ledger = LMBLedger(present: [Self.dimm])
        ledger.note(.lmbRemoved(base: 4 * Self.lmb))
        ledger.forget(Self.dimm)
        #expect(ledger.usable(of: Self.dimm).map(\.range) == [Self.dimm])
        #expect(!LMB.addresses(in: Self.dimm).contains(where: ledger.isAdded))
    }

    @Test(
        arguments: [
            ("memory remove index 0x80000005", [4..<5, 6..<8]), ("memory add index 0x80000005", [4..<8]),
            ("memory remove index 2147483653", [4..<5, 6..<8]), ("memory remove index 020000000005", [4..<5, 6..<8]),
            ("memory remove index 0X80000005", [4..<5, 6..<8]), ("memory remove index 80000005", [4..<8]),
            ("memory remove index 0x80000003", [4..<8]), ("memory remove index 5", [4..<8]),
            ("memory remove count 1", [4..<8]), ("memory remove index 0x90000005", [4..<8]),
            ("memory remove index 0x180000005", [4..<8]), ("memory remove index 0x80000005 more", [4..<8]),
            ("", [4..<8]),
        ] as [(String, [Range<UInt64>])])
    func understandsRequestsByIndex(line: String, usable: [Range<UInt64>]) {
        var ledger = LMBLedger(present: [Self.dimm])
        if let event = GuestAction.dlpar(line).silentLMBEvent { ledger.note(event) }
        #expect(
            ledger.usable(of: Self.dimm).map(\.range)
                == usable.map { $0.lowerBound * Self.lmb..<$0.upperBound * Self.lmb })
    }

    /// The log and the answer to a request may both tell of it.
    @Test func knowsWhatItWasTold() {
        var ledger = LMBLedger(present: [Self.dimm])
        let base = Self.dimm.lowerBound
        let added = AgentEvent.lmbAdded(base: base, drcIndex: 4)
        let removed = AgentEvent.lmbRemoved(base: base)
        let isNews = [added, removed, removed, added].map { ledger.note($0) }
        #expect(isNews == [false, true, false, true])
    }

    @Test func namesAnLMBAsTheGuestDoes() {
        #expect(LMB.drcIndex(of: 0x4000_0000) == 0x8000_0004)
    }
}
