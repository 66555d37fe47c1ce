// SPDX-License-Identifier: Apache-2.0

import AgentProtocol
import GuestMemory

/// The host's place in the event ring.
struct EventFeed {
    private let ring: EventRing
    private let region: SharedRegion
    private var nextSequence: UInt64 = 1

    /// How many events were overwritten before they were read here.
    private(set) var missedCount: UInt64 = 0

    init(region: SharedRegion) {
        self.region = region
        ring = EventRing(region)
    }

    /// The events that are new since the last call.
    ///
    /// The header's count may be anything: no more than the ring's slots are read, and a count that runs backwards, or
    /// stands at the end of all numbers, gives nothing.
    mutating func drain() throws -> [(record: RingRecord, event: AgentEvent?)] {
        let count = try region.header(.eventCount)
        guard count >= nextSequence, count < .max else { return [] }
        if count - nextSequence >= SharedRegionLayout.ringSlotCount {
            let oldest = count - SharedRegionLayout.ringSlotCount + 1
            missedCount += oldest - nextSequence
            nextSequence = oldest
        }
        var events: [(RingRecord, AgentEvent?)] = []
        for sequence in nextSequence...count {
            switch try ring.read(sequence) {
            case .record(let record): events.append((record, AgentEvent(record)))
            case .lost: missedCount += 1
            }
        }
        nextSequence = count + 1
        return events
    }
}
