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
