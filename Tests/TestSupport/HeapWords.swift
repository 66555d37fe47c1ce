// SPDX-License-Identifier: Apache-2.0

package import GuestMemory

/// Zeroed heap memory that stands in for a mapping.
package final class HeapWords {
    private let base: UnsafeMutableRawPointer
    private let byteCount: Int

    /// The memory as the code under test sees it; it lives as long as this object or these words.
    package let words: MappedWords

    package init(byteCount: Int) {
        self.byteCount = byteCount
        base = .allocate(byteCount: max(byteCount, 8), alignment: 16)
        base.initializeMemory(as: UInt8.self, repeating: 0, count: max(byteCount, 8))
        words = MappedWords(Mapping(unsafeBase: base, byteCount: UInt64(byteCount)) { $0.deallocate() })
    }

    /// The bytes as they stand in memory.
    package func bytes(_ range: Range<Int>) -> [UInt8] {
        precondition(range.lowerBound >= 0 && range.upperBound <= byteCount)
        return range.map { base.load(fromByteOffset: $0, as: UInt8.self) }
    }
}

/// Lends a fresh shared region to `body`.
@discardableResult
package func withRegion<Result>(
    regionByteCount: UInt64 = 4 << 20,
    pageByteCount: UInt64 = 65536,
    order: ByteOrder = .little,
    _ body: (SharedRegion, HeapWords) throws -> Result
) throws -> Result {
    let layout = try SharedRegionLayout(regionByteCount: regionByteCount, pageByteCount: pageByteCount)
    let heap = HeapWords(byteCount: Int(regionByteCount))
    return try withExtendedLifetime(heap) {
        try body(SharedRegion(words: heap.words, layout: layout, order: order), heap)
    }
}
