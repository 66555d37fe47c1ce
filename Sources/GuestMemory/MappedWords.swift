// SPDX-License-Identifier: Apache-2.0

import Synchronization

/// A stretch of mapped memory, owned: it is unmapped when its owner goes, and by nobody else.
@safe public struct Mapping: ~Copyable, @unchecked Sendable {
    /// How many bytes are used of it; a multiple of 8.
    public let byteCount: UInt64

    // SAFETY: init's caller vouches for the memory; every access below is bounds-checked against byteCount.
    private let base: UnsafeMutableRawPointer
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

    fileprivate borrowing func cell(at offset: UInt64) throws(MemoryAccessError) -> UnsafeMutablePointer<Atomic<UInt64>>
    {
        guard offset % 8 == 0 else { throw .misaligned(offset) }
        guard offset < byteCount else { throw .unmapped(offset) }
        // SAFETY: offset is aligned and inside the mapping; Atomic<UInt64> has the layout of the word that it wraps.
        return unsafe base.advanced(by: Int(offset)).assumingMemoryBound(to: Atomic<UInt64>.self)
    }
}

/// A mapping that another party may write at any moment, seen as 64-bit words. Whoever holds the words holds the mapping.
///
/// Every access is one aligned 64-bit acquire load or release store: no read-modify-write and no bulk copy, because the
/// shared region is a PCI BAR in the guest and cache-inhibited on real machines.
@safe public final class MappedWords: Sendable {
    private let mapping: Mapping

    /// Looks at a mapping as words.
    public init(_ mapping: consuming Mapping) {
        self.mapping = mapping
    }

    /// How many bytes there are; a multiple of 8.
    public var byteCount: UInt64 { mapping.byteCount }

    /// The word at a byte offset, loaded natively with acquire ordering.
    public func load(at offset: UInt64) throws(MemoryAccessError) -> UInt64 {
        // SAFETY: the mapping lives as long as this object.
        let cell = try unsafe mapping.cell(at: offset)
        return unsafe cell.pointee.load(ordering: .acquiring)
    }

    /// Stores a word at a byte offset, natively, with release ordering.
    public func store(_ value: UInt64, at offset: UInt64) throws(MemoryAccessError) {
        // SAFETY: the mapping lives as long as this object.
        let cell = try unsafe mapping.cell(at: offset)
        unsafe cell.pointee.store(value, ordering: .releasing)
    }
}
