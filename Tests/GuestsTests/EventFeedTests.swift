// SPDX-License-Identifier: Apache-2.0

import AgentProtocol
import GuestMemory
import TestSupport
import Testing

@testable import Guests

@Suite struct EventFeedTests {
    private static let slots = SharedRegionLayout.ringSlotCount

    private func publish(_ count: UInt64, to region: SharedRegion) throws {
        for _ in 0..<count {
            let number = try region.header(.eventCount)
            let (kind, operands) = AgentEvent.lmbRemoved(base: number << 28).encoded
            try EventRing(region).publish(
                RingRecord(sequence: number + 1, kind: kind, microseconds: 5, operands: operands))
        }
    }

    @Test func givesEachEventOnce() throws {
        try withRegion { region, _ in
            var feed = EventFeed(region: region)
            #expect(try feed.drain().isEmpty)
            try publish(2, to: region)
            let events = try feed.drain()
            #expect(events.map(\.record.sequence) == [1, 2])
            #expect(events.map(\.event) == [.lmbRemoved(base: 0), .lmbRemoved(base: 1 << 28)])
            #expect(try feed.drain().isEmpty)
            try publish(1, to: region)
            #expect(try feed.drain().map(\.record.sequence) == [3])
            #expect(feed.missedCount == 0)
        }
    }

    @Test func aKindThatNobodyKnowsHasNoEvent() throws {
        try withRegion { region, _ in
            try EventRing(region).publish(
                RingRecord(sequence: 1, kind: 99, microseconds: 0, operands: [1, 2, 3, 4]))
            var feed = EventFeed(region: region)
            let events = try feed.drain()
            #expect(events.map(\.record.kind) == [99])
            #expect(events.allSatisfy { $0.event == nil })
        }
    }

    @Test func countsWhatWasOverwritten() throws {
        try withRegion { region, _ in
            var feed = EventFeed(region: region)
            try publish(Self.slots, to: region)
            #expect(try feed.drain().count == Int(Self.slots))
            #expect(feed.missedCount == 0)
            try publish(Self.slots + 3, to: region)
            let events = try feed.drain()
            #expect(events.first?.record.sequence == Self.slots + 4)
            #expect(events.count == Int(Self.slots))
            #expect(feed.missedCount == 3)
        }
    }

    @Test func aSlotWithAnotherNumberIsMissed() throws {
        try withRegion { region, _ in
            var feed = EventFeed(region: region)
            try publish(3, to: region)
            try region.store(77, at: SharedRegionLayout.ringOffset + SharedRegionLayout.ringSlotByteCount)
            #expect(try feed.drain().map(\.record.sequence) == [1, 3])
            #expect(feed.missedCount == 1)
        }
    }

    @Test func aCountThatRunsBackwardsGivesNothing() throws {
        try withRegion { region, _ in
            var feed = EventFeed(region: region)
            try publish(5, to: region)
            #expect(try feed.drain().count == 5)
            for count: UInt64 in [0, 4, 5] {
                try region.setHeader(.eventCount, count)
                #expect(try feed.drain().isEmpty)
            }
            #expect(feed.missedCount == 0)
        }
    }

    /// Each sequence of counts is one that only a damaged or hostile guest has.
    @Test(
        arguments: [
            [.max], [.max - 1], [.max - 1, .max], [.max, .max, .max], [1 << 63, .max, 0, .max], [.max, 0, 1],
            [slots, .max - slots, .max - 1, .max], [100, .max - 1, .max - 1],
        ] as [[UInt64]])
    func noCountEndsTheProgram(counts: [UInt64]) throws {
        try withRegion { region, _ in
            var feed = EventFeed(region: region)
            try publish(2, to: region)
            var givenCount: UInt64 = 0
            for count in counts {
                try region.setHeader(.eventCount, count)
                givenCount += UInt64(try feed.drain().count)
                try #expect(feed.drain().isEmpty)
            }
            // There are two events, and whatever else was counted was not there.
            #expect(givenCount <= 2)
            #expect(feed.missedCount <= counts.max() ?? 0)
        }
    }
}

@Suite struct RecordedEventTests {
    @Test(
        arguments: [
            (
                .populateCalled(start: 0xc00c_0000_0000_0000, end: 0xc00c_0000_0001_0000, node: 0), "guest.populate",
                ["start": "0xc00c000000000000", "end": "0xc00c000000010000", "node": "0x0"]
            ),
            (
                .blockMirrored(virtAddr: 0xc00c_0000_0000_0000, byteCount: 65536, phys: 0x2000_0000, mirrorNode: 0x18),
                "guest.block-mirrored",
                ["virt_addr": "0xc00c000000000000", "bytes": "65536", "phys": "0x20000000", "mirror_node": "0x18"]
            ),
            (.mappingFailed(errno: 12), "guest.mapping-failed", ["errno": "12"]),
            (.freeCalled(start: 1, end: .max), "guest.free", ["start": "0x1", "end": "0xffffffffffffffff"]),
            (
                .lmbAdded(base: 0x4000_0000, drcIndex: 0x8000_0004), "guest.lmb-added",
                ["base": "0x40000000", "drc_index": "0x80000004"]
            ),
            (.lmbRemoved(base: 0x4000_0000), "guest.lmb-removed", ["base": "0x40000000"]),
            (.hotplugFailed(.add), "guest.hotplug-failed", ["request": "add"]),
            (.lost(recordCount: 3), "guest.events-lost", ["records": "3"]),
            (.healed(entryCount: 4), "guest.mirror-healed", ["new_entries": "4"]),
            (.mirrorFull(virtAddr: 16, phys: 32), "guest.mirror-full", ["virt_addr": "0x10", "phys": "0x20"]),
            (.kernelFault(.hungTask, count: 2), "guest.kernel-fault", ["fault": "hung-task", "count": "2"]),
            (.faultText(0x4255_473a_2069_740a, 0, 0, 0), "guest.fault-text", ["text": "BUG: it?"]),
            (.logBeginningLost(recordCount: 5), "guest.log-beginning-lost", ["records": "5"]),
            (.synced(marker: 9), "guest.synced", ["marker": "9"]),
        ] as [(AgentEvent, String, [String: String])])
    func hasItsKindAndItsWords(event: AgentEvent, kind: String, fields: [String: String]) {
        #expect(event.recorded.kind == kind)
        #expect(event.recorded.fields == fields)
    }
}
