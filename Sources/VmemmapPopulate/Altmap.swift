// SPDX-License-Identifier: Apache-2.0

import GuestMemory

/// Memory that carries its own memory map: `struct vmem_altmap` (include/linux/memremap.h), as memory hot-plug fills it
/// in with `memmap_on_memory`, one for each memory block.
struct Altmap: Equatable, Sendable {
    /// The memory block.
    let memory: Range<UInt64>
    /// How many bytes at its start are set aside (`free`).
    let capacity: UInt64
    /// How many of them were handed out and not taken back (`alloc`).
    private(set) var allocated: UInt64 = 0
    /// How many were passed over to align what was handed out (`align`).
    private(set) var skipped: UInt64 = 0

    init(memory: Range<UInt64>, geometry: MemoryMapGeometry) {
        self.memory = memory
        let size = (memory.upperBound - memory.lowerBound) / geometry.pageByteCount * geometry.structPageByteCount
        capacity = (size + geometry.pageByteCount - 1).alignedDown(to: geometry.pageByteCount)
    }

    /// An aligned block, or nil when there is no room for it: `altmap_alloc_block_buf` (mm/sparse-vmemmap.c).
    mutating func allocate(byteCount: UInt64) -> UInt64? {
        let next = memory.lowerBound + allocated + skipped
        let address = (next + byteCount - 1).alignedDown(to: byteCount)
        guard byteCount + (address - next) <= capacity - allocated - skipped else { return nil }
        allocated += byteCount
        skipped += address - next
        return address
    }

    /// Whether a block came from here.
    func holds(_ address: UInt64) -> Bool {
        memory.lowerBound..<memory.lowerBound + capacity ~= address
    }

    /// Takes a block back: `vmem_altmap_free`. Only the count changes; the place is not used again.
    ///
    /// A block can outlive the altmap that gave it, where the memory map's start is such that two sections share a page:
    /// the memory's next altmap never gave what it takes back then.
    mutating func free(byteCount: UInt64) {
        allocated -= min(byteCount, allocated)
    }

    /// Whether a window describes memory outside this block: `altmap_cross_boundary` (arch/powerpc/mm/init_64.c), which
    /// keeps the memory map of other memory out of memory that may go.
    func isCrossed(byWindow virtAddr: UInt64, byteCount: UInt64, geometry: MemoryMapGeometry) -> Bool {
        guard let first = geometry.address(describedAt: virtAddr) else { return true }
        let described = byteCount / geometry.structPageByteCount * geometry.pageByteCount
        return first.rawValue < memory.lowerBound || first.rawValue + described > memory.upperBound
    }
}
