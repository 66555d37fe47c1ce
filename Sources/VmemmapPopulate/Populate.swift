// SPDX-License-Identifier: Apache-2.0

public import GuestMemory

/// What is known of which memory has valid `struct page`s.
public protocol ValidMemory: ~Copyable {
    /// Whether any sub-section that these physical addresses touch is valid: `pfn_valid`.
    func holdsValidMemory(_ addresses: ClosedRange<UInt64>) -> Bool
}

/// The rest of the kernel, as `vmemmap_populate` and `vmemmap_free` see it. The pages for nodes come from it too.
public protocol PopulateEnvironment: NodeStore, ValidMemory, ~Copyable {
    /// A block of `byteCount` bytes to back a window, or nil: `vmemmap_alloc_block_buf`.
    mutating func allocateBlock(byteCount: UInt64, node: UInt64) -> PhysicalAddress?

    /// Takes a block back: `free_pages`, `free_reserved_page`.
    mutating func freeBlock(_ address: PhysicalAddress, byteCount: UInt64)

    /// Tells the MMU; false when it refuses: `hash__vmemmap_create_mapping`, `radix__vmemmap_create_mapping`.
    mutating func createMapping(virtAddr: UInt64, byteCount: UInt64, phys: PhysicalAddress) -> Bool

    /// Tells the MMU that a window is gone: `vmemmap_remove_mapping`.
    mutating func removeMapping(virtAddr: UInt64, byteCount: UInt64)
}

extension ValidMemory where Self: ~Copyable {
    /// Whether any sub-section that a window describes is valid: `vmemmap_populated`.
    ///
    /// Asked of memory and not of the list: on hash there is nothing else to ask.
    func isPopulated(window: UInt64, byteCount: UInt64, geometry: MemoryMapGeometry) -> Bool {
        guard let described = geometry.addresses(describedBy: window, byteCount: byteCount) else { return false }
        return holdsValidMemory(described)
    }
}

extension VmemmapList where Store: PopulateEnvironment & ~Copyable {
    /// Backs the memory map in `[start, end)`: `__vmemmap_populate` (arch/powerpc/mm/init_64.c, hash and radix < 6.6),
    /// and under ``PopulateRules/original`` the `vmemmap_populate` of 91eea67c6d87.
    ///
    /// `start` is aligned down to a vmemmap page and `end` is not aligned at all. A window in which any sub-section is
    /// valid was populated by an earlier call and is skipped; whether it is on the list is not asked.
    ///
    /// - Parameters:
    ///   - start: effective address of the first `struct page`.
    ///   - end: effective address behind the last one.
    ///   - node: the NUMA node to allocate from.
    ///   - geometry: the memory map's arithmetic.
    ///   - rules: what happens when there is no node for a block.
    /// - Returns: how many blocks were put on the list.
    /// - Throws: `outOfMemory` with the failed block given back, or `mappingFailed` with its node still linked; blocks
    ///   added before the failure stay, since undoing them is the caller's affair (`section_deactivate`).
    @discardableResult
    public mutating func vmemmapPopulate(
        start: UInt64, end: UInt64, node: UInt64, geometry: MemoryMapGeometry, rules: PopulateRules = .hash
    ) throws(PopulateError) -> Int {
        try geometry.check(start: start, end: end)
        let byteCount = geometry.vmemmapPageByteCount
        var added = 0
        var window = start.alignedDown(to: byteCount)
        // Asked once for all windows: mostly none is populated, and nothing becomes valid before the call is over.
        let described = geometry.addresses(
            describedBy: window, byteCount: (end - window + (byteCount - 1)).alignedDown(to: byteCount))
        let isAnyPopulated = if let described { store.holdsValidMemory(described) } else { true }
        while window < end {
            defer { window += byteCount }
            if isAnyPopulated, store.isPopulated(window: window, byteCount: byteCount, geometry: geometry) { continue }
            guard let block = store.allocateBlock(byteCount: byteCount, node: node) else { throw .outOfMemory }
            do throws(PopulateError) {
                try populate(phys: block.rawValue, virtAddr: window)
                added += 1
            } catch {
                // In 2010 a warning was all: the block is used, and no dump can find it.
                if error != .outOfMemory || rules != .original {
                    store.freeBlock(block, byteCount: byteCount)
                    throw error
                }
            }
            guard store.createMapping(virtAddr: window, byteCount: byteCount, phys: block) else {
                throw .mappingFailed(virtAddr: window)
            }
        }
        return added
    }

    /// Gives back what backs the memory map in `[start, end)`: `__vmemmap_free` (arch/powerpc/mm/init_64.c).
    ///
    /// The sub-sections that go are invalid already. A window in which another one is still valid stays, and so does a
    /// window without an entry, whose mapping is then not removed either (1c0a7ac0ec63).
    ///
    /// - Returns: how many blocks came off the list.
    /// - Throws: `badRange`, or `storage` when the list's memory fails.
    @discardableResult
    public mutating func vmemmapFree(
        start: UInt64, end: UInt64, geometry: MemoryMapGeometry
    ) throws(PopulateError) -> Int {
        try geometry.check(start: start, end: end)
        let byteCount = geometry.vmemmapPageByteCount
        var freed = 0
        var window = start.alignedDown(to: byteCount)
        while window < end {
            defer { window += byteCount }
            guard !store.isPopulated(window: window, byteCount: byteCount, geometry: geometry) else { continue }
            let phys = try free(virtAddr: window)
            guard phys != 0 else { continue }
            store.freeBlock(PhysicalAddress(phys), byteCount: byteCount)
            store.removeMapping(virtAddr: window, byteCount: byteCount)
            freed += 1
        }
        return freed
    }
}

extension MemoryMapGeometry {
    /// Refuses ranges on which the window arithmetic would not hold.
    func check(start: UInt64, end: UInt64) throws(PopulateError) {
        let largestWindow = max(vmemmapPageByteCount, EmulatedLayout.pmdByteCount)
        guard start >= vmemmapBase, start < end, end <= UInt64.max - largestWindow else {
            throw .badRange(start: start, end: end)
        }
    }
}
