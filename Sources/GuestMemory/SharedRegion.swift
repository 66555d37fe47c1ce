// SPDX-License-Identifier: Apache-2.0

/// A laid-out shared region: words at offsets, in the guest's byte order.
///
/// The agent writes it, the host reads it. Offsets serve as node addresses: the list's `list` words are offsets too.
public struct SharedRegion: WordMemory, Sendable {
    /// The mapping.
    public let words: MappedWords
    /// Where everything stands in it.
    public let layout: SharedRegionLayout
    /// The byte order of the words.
    public let order: ByteOrder

    /// Looks at a mapping with a layout.
    public init(words: MappedWords, layout: SharedRegionLayout, order: ByteOrder) {
        self.words = words
        self.layout = layout
        self.order = order
    }

    /// The word at an offset.
    public func word(at offset: UInt64) throws(MemoryAccessError) -> UInt64 {
        order.value(ofStored: try words.load(at: offset))
    }

    /// Stores a word at an offset.
    public func store(_ value: UInt64, at offset: UInt64) throws(MemoryAccessError) {
        try words.store(order.value(ofStored: value), at: offset)
    }

    /// A header word.
    public func header(_ field: SharedRegionLayout.Field) throws(MemoryAccessError) -> UInt64 {
        try word(at: field.offset)
    }

    /// Stores a header word.
    public func setHeader(_ field: SharedRegionLayout.Field, _ value: UInt64) throws(MemoryAccessError) {
        try store(value, at: field.offset)
    }

    /// Writes the header of a region; the magic number comes last, so that a reader who sees it sees the rest.
    ///
    /// The region need not be fresh: after a reboot it holds what the last kernel's agent left.
    public func initialize(release: [UInt8]) throws(MemoryAccessError) {
        for field in SharedRegionLayout.Field.allCases { try setHeader(field, 0) }
        for (field, value) in layout.fixedFields() {
            try setHeader(field, value)
        }
        try setHeader(.epoch, 1)
        try setHeader(.state, AgentState.starting.rawValue)
        try store(text: release, at: SharedRegionLayout.releaseOffset, capacity: SharedRegionLayout.releaseByteCount)
        try setHeader(.magic, SharedRegionLayout.magic)
    }

    /// Writes the capture header. Of what the first kernel's agent has written nothing changes.
    public func initializeCapture(release: [UInt8]) throws(MemoryAccessError) {
        for field in SharedRegionLayout.CaptureField.allCases { try store(0, at: field.offset) }
        for (field, value): (SharedRegionLayout.CaptureField, UInt64) in [
            (.version, SharedRegionLayout.version), (.epoch, SharedRegionLayout.captureEpoch),
            (.state, AgentState.starting.rawValue), (.reportOffset, layout.reportOffset(.capture)),
        ] {
            try store(value, at: field.offset)
        }
        try store(
            text: release, at: SharedRegionLayout.captureHeaderOffset + SharedRegionLayout.releaseOffset,
            capacity: SharedRegionLayout.releaseByteCount)
        try store(SharedRegionLayout.captureMagic, at: SharedRegionLayout.CaptureField.magic.offset)
    }

    /// Makes the generation odd: something wider than a word is about to change.
    public func beginChange(of area: SharedRegionLayout.ReportArea = .first) throws(MemoryAccessError) {
        let offset = Self.generationOffset(area)
        try store(try word(at: offset) | 1, at: offset)
    }

    /// Whether nothing wider than a word is about to change.
    public var isAtRest: Bool {
        get throws(MemoryAccessError) { try word(at: Self.generationOffset(.first)) & 1 == 0 }
    }

    /// Makes the generation even again, and another one than before the change.
    public func endChange(of area: SharedRegionLayout.ReportArea = .first) throws(MemoryAccessError) {
        let offset = Self.generationOffset(area)
        try store((try word(at: offset) | 1) &+ 1, at: offset)
    }

    private static func generationOffset(_ area: SharedRegionLayout.ReportArea) -> UInt64 {
        switch area {
        case .first: SharedRegionLayout.Field.generation.offset
        case .capture: SharedRegionLayout.CaptureField.generation.offset
        }
    }

    /// Stores text eight bytes at a time, zero-padded and cut to `capacity` bytes (a multiple of 8) less one.
    private func store(text: [UInt8], at offset: UInt64, capacity: UInt64) throws(MemoryAccessError) {
        let bytes = text.prefix(Int(capacity) - 1)
        for wordIndex in 0..<Int(capacity / 8) {
            var word: UInt64 = 0
            for byteIndex in 0..<8 where wordIndex * 8 + byteIndex < bytes.count {
                word |= UInt64(bytes[wordIndex * 8 + byteIndex]) << UInt64(byteIndex * 8)
            }
            // Text is bytes in memory order, whatever the words' order is.
            try words.store(ByteOrder.little.value(ofStored: word), at: offset + UInt64(wordIndex) * 8)
        }
    }
}
