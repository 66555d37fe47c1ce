// SPDX-License-Identifier: Apache-2.0

import GuestMemory

#if canImport(Glibc)
import Glibc
#endif

/// The node pages of an emulated list: one growing stretch of memory with nothing between the nodes.
///
/// Pages stand at ascending addresses from ``LinearMap/base``, so a page's ordinal follows from its address. A kernel's
/// node pages lie anywhere in memory; only their order is the same.
@safe struct NodeArena: ~Copyable {
    /// Memory is taken in chunks, which the operating system backs as they are touched.
    private static let chunkByteCount: UInt64 = 32 << 20

    let pageByteCount: UInt64
    /// The bytes of all pages handed out.
    private(set) var byteCount: UInt64 = 0

    var pageCount: UInt64 { byteCount / pageByteCount }

    // SAFETY: each points to chunkByteCount bytes that are this arena's until it is gone.
    private var chunks: [UnsafeMutablePointer<UInt64>] = unsafe []

    init(pageByteCount: UInt64) {
        self.pageByteCount = pageByteCount
    }

    deinit {
        // SAFETY: nobody but this arena knows the pointers, each of which stands for an allocation of its own.
        for index in unsafe chunks.indices { unsafe UnsafeMutableRawPointer(chunks[index]).deallocate() }
    }

    mutating func allocatePage() -> UInt64 {
        let offset = byteCount
        if offset / Self.chunkByteCount == UInt64(unsafe chunks.count) {
            let chunk = UnsafeMutableRawPointer.allocate(byteCount: Int(Self.chunkByteCount), alignment: 2 << 20)
            #if canImport(Glibc)
            // A list that outgrows a chunk can be gigabytes: with huge pages it costs a fraction of the page faults.
            // SAFETY: advice on memory that is ours; without effect where there are no huge pages.
            if offset > 0 { _ = unsafe madvise(chunk, Int(Self.chunkByteCount), MADV_HUGEPAGE) }
            #endif
            // SAFETY: any bits are a word.
            unsafe chunks.append(chunk.assumingMemoryBound(to: UInt64.self))
        }
        byteCount += pageByteCount
        return LinearMap.base + offset
    }

    func word(at address: UInt64) throws(MemoryAccessError) -> UInt64 {
        let cell = try unsafe cell(at: address)
        // SAFETY: cell(at:) has checked the address.
        return unsafe cell.pointee
    }

    mutating func store(_ value: UInt64, at address: UInt64) throws(MemoryAccessError) {
        let cell = try unsafe cell(at: address)
        // SAFETY: cell(at:) has checked the address.
        unsafe cell.pointee = value
    }

    private func cell(at address: UInt64) throws(MemoryAccessError) -> UnsafeMutablePointer<UInt64> {
        guard address % 8 == 0 else { throw .misaligned(address) }
        let offset = address &- LinearMap.base
        guard offset < byteCount else { throw .unmapped(address) }
        // SAFETY: a page inside byteCount lies inside a chunk, since a chunk's size is a multiple of a page's.
        return unsafe chunks[Int(offset / Self.chunkByteCount)] + Int(offset % Self.chunkByteCount / 8)
    }
}
