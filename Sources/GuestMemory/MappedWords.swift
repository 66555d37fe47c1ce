// SPDX-License-Identifier: Apache-2.0

public import Synchronization

/// A stretch of mapped memory, owned: it is unmapped when its owner goes, and by nobody else.
@safe public struct Mapping: ~Copyable, @unchecked Sendable {
    /// How many bytes are used of it; a multiple of 8.
    public let byteCount: UInt64

    // SAFETY: init's caller vouches for the memory; every access below is bounds-checked against byteCount.
    @usableFromInline let base: UnsafeMutableRawPointer
    private let unmap: @Sendable (UnsafeMutableRawPointer) -> Void

    /// Takes a mapping over.
    ///
    /// - Parameters:
    ///   - base: the start of the mapping, 8-byte aligned; it must stay mapped, readable and writable (or readable,
    ///     when nothing is ever stored) until `unmap` is called.
    ///   - byteCount: how many bytes are mapped; a remainder below 8 is left out.
    ///   - unmap: undoes the mapping, once.
    public init(
        unsafeBase base: UnsafeMutableRawPointer, byteCount: UInt64,
        unmap: @escaping @Sendable (UnsafeMutableRawPointer) -> Void
    ) {
        unsafe self.base = base
        self.byteCount = byteCount.alignedDown(to: 8)
        unsafe self.unmap = unmap
    }

    deinit {
        // SAFETY: this is the only owner, and all access goes through it.
        unsafe unmap(base)
    }

    @inlinable @inline(__always) borrowing func cell(
        at offset: UInt64
    ) throws(MemoryAccessError) -> UnsafeMutablePointer<Atomic<UInt64>> {
        guard offset % 8 == 0 else { throw .misaligned(offset) }
        guard offset < byteCount else { throw .unmapped(offset) }
        // SAFETY: offset is aligned and inside the mapping; Atomic<UInt64> has the layout of the word that it wraps.
        return unsafe base.advanced(by: Int(offset)).assumingMemoryBound(to: Atomic<UInt64>.self)
    }

    /// The first of so many words in a row; nil where they are not aligned, or not all mapped.
    @inlinable @inline(__always) borrowing func cells(
        at offset: UInt64, count: Int
    ) -> UnsafeMutablePointer<Atomic<UInt64>>? {
        // Both are multiples of 8: what is behind the first word says it of the last.
        guard offset % 8 == 0, offset < byteCount, UInt64(count - 1) * 8 < byteCount &- offset else { return nil }
        // SAFETY: offset is aligned and all of the words are inside the mapping; Atomic<UInt64> has the layout of the word
        // that it wraps. What is mapped has no more bytes than an Int counts.
        return unsafe base.advanced(by: Int(truncatingIfNeeded: offset)).assumingMemoryBound(to: Atomic<UInt64>.self)
    }

    fileprivate borrowing func copy(
        at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer
    ) throws(MemoryAccessError) {
        guard offset % 8 == 0 else { throw .misaligned(offset) }
        guard offset <= byteCount, UInt64(buffer.count) <= byteCount - offset else { throw .unmapped(offset) }
        // SAFETY: all of it is inside the mapping, and the caller's buffer is none of that.
        unsafe buffer.copyMemory(
            from: UnsafeRawBufferPointer(start: base.advanced(by: Int(offset)), count: buffer.count))
    }
}

/// A mapping that another party may write at any moment, seen as 64-bit words. Whoever holds the words holds the mapping.
///
/// Every access is one aligned 64-bit acquire load or release store: no read-modify-write and no bulk copy, because the
/// shared region is a PCI BAR in the guest and cache-inhibited on real machines. ``copy(at:into:)`` alone is otherwise, and
/// is for the host.
@safe public final class MappedWords: Sendable {
    @usableFromInline let mapping: Mapping

    /// Looks at a mapping as words.
    public init(_ mapping: consuming Mapping) {
        self.mapping = mapping
    }

    /// How many bytes there are; a multiple of 8.
    @inlinable public var byteCount: UInt64 { mapping.byteCount }

    /// The word at a byte offset, loaded natively with acquire ordering.
    @inlinable @inline(__always) public func load(at offset: UInt64) throws(MemoryAccessError) -> UInt64 {
        // SAFETY: the mapping lives as long as this object.
        let cell = try unsafe mapping.cell(at: offset)
        return unsafe cell.pointee.load(ordering: .acquiring)
    }

    /// Words in a row from a byte offset on, each loaded as ``load(at:)`` does; nil where that would not load all of them.
    @inlinable @inline(__always) public func loadWords<let count: Int>(at offset: UInt64) -> [count of UInt64]? {
        // SAFETY: the mapping lives as long as this object, and holds all of these words.
        guard let cells = unsafe mapping.cells(at: offset, count: count) else { return nil }
        return [count of UInt64] { unsafe cells[$0].load(ordering: .acquiring) }
    }

    /// Stores a word at a byte offset, natively, with release ordering.
    public func store(_ value: UInt64, at offset: UInt64) throws(MemoryAccessError) {
        // SAFETY: the mapping lives as long as this object.
        let cell = try unsafe mapping.cell(at: offset)
        unsafe cell.pointee.store(value, ordering: .releasing)
    }

    /// Fills a buffer with the bytes from an offset on, a multiple of 8. Not a word at a time: only for memory that nobody
    /// writes meanwhile, a paused guest's or a file's, and never for the shared region in a guest.
    ///
    /// Throws ``MemoryAccessError`` where not all of them are mapped.
    public func copy(at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer) throws(MemoryAccessError) {
        // SAFETY: the buffer is the caller's; the mapping lives as long as this object.
        try unsafe mapping.copy(at: offset, into: buffer)
    }
}
