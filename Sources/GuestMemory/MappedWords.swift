// SPDX-License-Identifier: Apache-2.0

import Synchronization

/// A mapping that another party may write at any moment, seen as 64-bit words.
///
/// Every access is one aligned 64-bit acquire load or release store: no read-modify-write and no bulk copy, because the
/// shared region is a PCI BAR in the guest and cache-inhibited on real machines. The type does not own the mapping.
@safe public struct MappedWords: @unchecked Sendable {
    /// How many bytes are mapped; a multiple of 8.
    public let byteCount: UInt64

    // SAFETY: init's caller vouches for the mapping; every access below is bounds-checked against byteCount.
    private let base: UnsafeMutableRawPointer

    /// Wraps a mapping.
    ///
    /// - Parameters:
    ///   - base: the start of the mapping, 8-byte aligned; it must stay mapped, readable and writable (or readable,
    ///     when nothing is ever stored) for as long as any copy of this value is used.
    ///   - byteCount: how many bytes are mapped; a remainder below 8 is left out.
    public init(unsafeBase base: UnsafeMutableRawPointer, byteCount: UInt64) {
        unsafe self.base = base
        self.byteCount = byteCount.alignedDown(to: 8)
    }

    /// Lends the start of the mapping to its owner, who undoes it.
    public func withUnsafeBase(_ body: (UnsafeMutableRawPointer) -> Void) {
        unsafe body(base)
    }

    /// The word at a byte offset, loaded natively with acquire ordering.
    public func load(at offset: UInt64) throws(MemoryAccessError) -> UInt64 {
        let cell = try unsafe cell(at: offset)
        return unsafe cell.pointee.load(ordering: .acquiring)
    }

    /// Stores a word at a byte offset, natively, with release ordering.
    public func store(_ value: UInt64, at offset: UInt64) throws(MemoryAccessError) {
        let cell = try unsafe cell(at: offset)
        unsafe cell.pointee.store(value, ordering: .releasing)
    }

    private func cell(at offset: UInt64) throws(MemoryAccessError) -> UnsafeMutablePointer<Atomic<UInt64>> {
        guard offset % 8 == 0 else { throw .misaligned(offset) }
        guard offset < byteCount else { throw .unmapped(offset) }
        // SAFETY: offset is aligned and inside the mapping; Atomic<UInt64> has the layout of the word that it wraps.
        return unsafe base.advanced(by: Int(offset)).assumingMemoryBound(to: Atomic<UInt64>.self)
    }
}
