// SPDX-License-Identifier: Apache-2.0

public import GuestMemory

/// What `vmemmap_populate` asks of the rest of the kernel.
public protocol PopulateEnvironment {
    /// Whether the page at a physical address has a valid `struct page` already: `pfn_valid`.
    func isValid(_ address: PhysicalAddress) -> Bool

    /// A block of `byteCount` bytes to back a window, or nil: `vmemmap_alloc_block_buf`.
    mutating func allocateBlock(byteCount: UInt64, node: UInt64) -> PhysicalAddress?

    /// Takes a block back that got no node: `free_pages`.
    mutating func freeBlock(_ address: PhysicalAddress, byteCount: UInt64)

    /// Tells the MMU; false when it refuses: `hash__vmemmap_create_mapping`, `radix__vmemmap_create_mapping`.
    mutating func createMapping(virtAddr: UInt64, byteCount: UInt64, phys: PhysicalAddress) -> Bool
}

extension VmemmapList {
    /// Backs the memory map in `[start, end)`: `__vmemmap_populate` (arch/powerpc/mm/init_64.c, hash and radix < 6.6).
    ///
    /// `start` is aligned down to a vmemmap page and `end` is not aligned at all. A window in which any sub-section is
    /// valid was populated by an earlier call and is skipped; whether it is on the list is not asked.
    ///
    /// - Parameters:
    ///   - start: effective address of the first `struct page`.
    ///   - end: effective address behind the last one.
    ///   - node: the NUMA node to allocate from.
    ///   - geometry: the memory map's arithmetic.
    ///   - environment: the rest of the kernel.
    /// - Returns: how many blocks were added.
    /// - Throws: `outOfMemory` with the failed block given back, or `mappingFailed` with its node still linked; blocks
    ///   added before the failure stay, since undoing them is the caller's affair (`section_deactivate`).
    @discardableResult
    public mutating func vmemmapPopulate(
        start: UInt64, end: UInt64, node: UInt64, geometry: MemoryMapGeometry,
        environment: inout some PopulateEnvironment
    ) throws(PopulateError) -> Int {
        guard start >= geometry.vmemmapBase, start < end, end <= UInt64.max - geometry.vmemmapPageByteCount else {
            throw .badRange(start: start, end: end)
        }
        let byteCount = geometry.vmemmapPageByteCount
        var added = 0
        var window = start.alignedDown(to: byteCount)
        while window < end {
            defer { window += byteCount }
            guard !isPopulated(window: window, geometry: geometry, environment: environment) else { continue }
            guard let block = environment.allocateBlock(byteCount: byteCount, node: node) else { throw .outOfMemory }
            do throws(PopulateError) {
                try populate(phys: block.rawValue, virtAddr: window)
            } catch {
                environment.freeBlock(block, byteCount: byteCount)
                throw error
            }
            added += 1
            guard environment.createMapping(virtAddr: window, byteCount: byteCount, phys: block) else {
                throw .mappingFailed(virtAddr: window)
            }
        }
        return added
    }

    /// Whether any sub-section that the window describes is valid: `vmemmap_populated`.
    private func isPopulated(
        window: UInt64, geometry: MemoryMapGeometry, environment: borrowing some PopulateEnvironment
    ) -> Bool {
        // A window may begin below the vmemmap when the base is not aligned to it: nothing is described there.
        guard let first = geometry.address(describedAt: max(window, geometry.vmemmapBase)),
            let end = geometry.address(describedAt: window + geometry.vmemmapPageByteCount - 1)
        else { return false }
        // By number, since the address behind the last sub-section may not fit 64 bits.
        let size = MemoryMapGeometry.subsectionByteCount
        for subsection in first.rawValue / size...end.rawValue / size
        where environment.isValid(PhysicalAddress(subsection * size)) {
            return true
        }
        return false
    }
}
