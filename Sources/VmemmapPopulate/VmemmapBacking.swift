// SPDX-License-Identifier: Apache-2.0

public import GuestMemory

/// One node of the list: the kernel's `struct vmemmap_backing` (arch/powerpc/include/asm/book3s/64/pgalloc.h).
///
/// Three words in this order, 24 bytes. Mark Nelson's field order of 2010 is what dump tools read to this day.
public struct VmemmapBacking: Equatable, Hashable, Sendable {
    /// The next older node, 0 at the end: an effective address in the kernel, a region offset in the mirror.
    public var list: UInt64
    /// The physical address of the block that backs the memory map here.
    public var phys: UInt64
    /// The effective address, in the vmemmap, of the window that the block backs.
    public var virtAddr: UInt64

    /// `sizeof(struct vmemmap_backing)`.
    @inlinable public static var byteCount: UInt64 { SharedRegionLayout.nodeByteCount }
    /// `OFFSET(vmemmap_backing.list)`.
    public static let listOffset: UInt64 = 0
    /// `OFFSET(vmemmap_backing.phys)`.
    public static let physOffset: UInt64 = 8
    /// `OFFSET(vmemmap_backing.virt_addr)`.
    public static let virtAddrOffset: UInt64 = 16

    /// Makes a node.
    @inlinable public init(list: UInt64, phys: UInt64, virtAddr: UInt64) {
        self.list = list
        self.phys = phys
        self.virtAddr = virtAddr
    }

    /// Reads a node, word by word. Throws for the first word that cannot be read.
    @inlinable @inline(__always) public init(
        at address: UInt64, in memory: borrowing some WordMemory & ~Copyable
    ) throws(MemoryAccessError) {
        if let words: [3 of UInt64] = memory.words(at: address) {
            self.init(list: words[0], phys: words[1], virtAddr: words[2])
        } else {
            try self.init(eachWordAt: address, in: memory)
        }
    }

    // Apart, so that what is above is small enough to become a part of a walk.
    @inline(never) @inlinable init(
        eachWordAt address: UInt64, in memory: borrowing some WordMemory & ~Copyable
    ) throws(MemoryAccessError) {
        list = try memory.word(at: address &+ Self.listOffset)
        phys = try memory.word(at: address &+ Self.physOffset)
        virtAddr = try memory.word(at: address &+ Self.virtAddrOffset)
    }
}
