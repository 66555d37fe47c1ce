// SPDX-License-Identifier: Apache-2.0

/// One event as the ring holds it: a kind and four words whose meaning is the kind's.
public struct RingRecord: Equatable, Sendable {
    /// Counts from 1 without a gap.
    public var sequence: UInt64
    /// What happened; the agent protocol gives the numbers their meaning.
    public var kind: UInt64
    /// The guest's clock: microseconds since its boot.
    public var microseconds: UInt64
    /// When it was published, by the same clock; 0 when the agent does not know.
    ///
    /// The agent's own clock and that of what it reads began at different times. How far apart they are it learns from its
    /// marks, whose way into the source takes time as well: so this is late by the quickest mark's way, and never early.
    public var publishedMicroseconds: UInt64
    /// The kind's words.
    public var operands: [4 of UInt64]

    /// Makes a record.
    public init(
        sequence: UInt64, kind: UInt64, microseconds: UInt64, publishedMicroseconds: UInt64 = 0,
        operands: [4 of UInt64]
    ) {
        self.sequence = sequence
        self.kind = kind
        self.microseconds = microseconds
        self.publishedMicroseconds = publishedMicroseconds
        self.operands = operands
    }

    /// Compares all words.
    public static func == (left: RingRecord, right: RingRecord) -> Bool {
        left.sequence == right.sequence && left.kind == right.kind && left.microseconds == right.microseconds
            && left.publishedMicroseconds == right.publishedMicroseconds
            && left.operands[0] == right.operands[0] && left.operands[1] == right.operands[1]
            && left.operands[2] == right.operands[2] && left.operands[3] == right.operands[3]
    }
}

/// The ring of events in the shared region: one writer that never waits, any number of readers that notice a gap.
public struct EventRing: Sendable {
    private let region: SharedRegion

    /// The ring of a region.
    public init(_ region: SharedRegion) {
        self.region = region
    }

    private func slotOffset(_ sequence: UInt64) -> UInt64 {
        SharedRegionLayout.ringOffset
            + (sequence &- 1) % SharedRegionLayout.ringSlotCount * SharedRegionLayout.ringSlotByteCount
    }

    /// Publishes an event under its sequence number, the next one of the writer's own counting: what stands in the
    /// region says nothing to the writer. The oldest event is overwritten when the ring is full.
    public func publish(_ record: RingRecord) throws(MemoryAccessError) {
        let slot = slotOffset(record.sequence)
        // Zero first, so that a reader in the middle of the old event sees its number change.
        try region.store(0, at: slot)
        try region.store(record.kind, at: slot + 8)
        try region.store(record.microseconds, at: slot + 16)
        for index in 0..<4 {
            try region.store(record.operands[index], at: slot + 24 + UInt64(index) * 8)
        }
        try region.store(record.publishedMicroseconds, at: slot + 56)
        try region.store(record.sequence, at: slot)
        try region.setHeader(.eventCount, record.sequence)
    }

    /// What a reader found at a sequence number.
    public enum Reading: Equatable, Sendable {
        /// The event.
        case record(RingRecord)
        /// It was overwritten, or its slot holds a number that does not belong there.
        case lost
    }

    /// Reads the event with a sequence number that the header already counts.
    public func read(_ sequence: UInt64) throws(MemoryAccessError) -> Reading {
        let slot = slotOffset(sequence)
        guard try region.word(at: slot) == sequence else { return .lost }
        let kind = try region.word(at: slot + 8)
        let microseconds = try region.word(at: slot + 16)
        var operands: [4 of UInt64] = [0, 0, 0, 0]
        for index in 0..<4 {
            operands[index] = try region.word(at: slot + 24 + UInt64(index) * 8)
        }
        let published = try region.word(at: slot + 56)
        guard try region.word(at: slot) == sequence else { return .lost }
        return .record(
            RingRecord(
                sequence: sequence, kind: kind, microseconds: microseconds, publishedMicroseconds: published,
                operands: operands))
    }
}
