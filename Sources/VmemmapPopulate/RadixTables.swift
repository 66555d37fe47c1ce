// SPDX-License-Identifier: Apache-2.0

import GuestMemory

/// The memory map's part of `init_mm`'s page tables, which radix keeps instead of a list since 368a0590d954.
///
/// A PMD entry (2 MiB of vmemmap) is empty, maps a block, or leads to a table of base pages. Which of the three it is
/// depends on history: the first populate of an empty one gets a block if there is memory for it, and a PMD that has a
/// table keeps to base pages until the table is empty again.
struct RadixTables: Sendable {
    /// What backs a stretch of the memory map.
    typealias Backing = (virtAddr: UInt64, byteCount: UInt64, phys: UInt64)

    /// The blocks, by the address that their PMD entry maps.
    private var blocks: [UInt64: UInt64] = [:]
    /// The base pages, by the address that they back.
    private var pages: [UInt64: UInt64] = [:]
    /// How many base pages each table holds, by the address of its PMD entry's part.
    private var pageCounts: [UInt64: Int] = [:]

    /// How many blocks and base pages there are.
    var count: (blocks: Int, pages: Int) { (blocks.count, pages.count) }

    /// All that backs the memory map, ascending by address.
    func backing(pageByteCount: UInt64) -> [Backing] {
        let all =
            blocks.map { ($0.key, EmulatedLayout.pmdByteCount, $0.value) as Backing }
            + pages.map { ($0.key, pageByteCount, $0.value) as Backing }
        return all.sorted { $0.virtAddr < $1.virtAddr }
    }

    /// Backs `[start, end)`: `radix__vmemmap_populate` (arch/powerpc/mm/book3s64/radix_pgtable.c).
    ///
    /// Without an altmap an empty PMD entry gets a block even if `start` lies in its middle; with one only from its
    /// start, and only if the altmap's memory holds all that it describes. A block that does not come is made up for by
    /// base pages; a base page that the altmap cannot give comes from other memory.
    ///
    /// - Throws: `outOfMemory` with everything before it left in place (`section_deactivate` undoes it).
    mutating func populate(
        start: UInt64, end: UInt64, geometry: MemoryMapGeometry, altmap: inout Altmap?, kernel: inout EmulatedKernel
    ) throws(PopulateError) {
        let pageByteCount = geometry.pageByteCount
        let pmdByteCount = EmulatedLayout.pmdByteCount
        // Two sections of a 64K kernel share a base page ("Align section vmemmap start address to PAGE_SIZE").
        var address = start.alignedDown(to: pageByteCount)
        while address < end {
            let pmd = address.alignedDown(to: pmdByteCount)
            if pageCounts[pmd] == nil {
                if blocks[pmd] == nil {
                    blocks[pmd] = Self.block(
                        for: pmd, from: address, geometry: geometry, altmap: &altmap, kernel: &kernel)
                }
                if blocks[pmd] != nil {
                    address = pmd + pmdByteCount
                    continue
                }
                guard !kernel.requestFails() else { throw .outOfMemory }
                pageCounts[pmd] = 0
            }
            if pages[address] == nil {
                guard let page = Self.page(for: address, geometry: geometry, altmap: &altmap, kernel: &kernel) else {
                    throw .outOfMemory
                }
                pages[address] = page
                pageCounts[pmd, default: 0] += 1
            }
            address += pageByteCount
        }
    }

    private static func block(
        for pmd: UInt64, from address: UInt64, geometry: MemoryMapGeometry, altmap: inout Altmap?,
        kernel: inout EmulatedKernel
    ) -> UInt64? {
        let byteCount = EmulatedLayout.pmdByteCount
        guard let map = altmap else { return kernel.allocateBlock(byteCount: byteCount, node: 0)?.rawValue }
        guard address == pmd, !map.isCrossed(byWindow: pmd, byteCount: byteCount, geometry: geometry) else {
            return nil
        }
        return altmap?.allocate(byteCount: byteCount)
    }

    private static func page(
        for address: UInt64, geometry: MemoryMapGeometry, altmap: inout Altmap?, kernel: inout EmulatedKernel
    ) -> UInt64? {
        let byteCount = geometry.pageByteCount
        if let map = altmap, !map.isCrossed(byWindow: address, byteCount: byteCount, geometry: geometry),
            let page = altmap?.allocate(byteCount: byteCount)
        {
            return page
        }
        return kernel.allocateBlock(byteCount: byteCount, node: 0)?.rawValue
    }

    /// Gives back what backs `[start, end)`: `radix__vmemmap_free` and `remove_pagetable`.
    ///
    /// A block or page that lies in the range as a whole goes; of one that reaches past it the kernel asks first
    /// whether any memory that it describes is still valid. A table that has become empty goes too.
    mutating func free(
        start: UInt64, end: UInt64, geometry: MemoryMapGeometry, altmap: inout Altmap?, kernel: inout EmulatedKernel
    ) {
        var address = start
        while address < end {
            let pmd = address.alignedDown(to: EmulatedLayout.pmdByteCount)
            let next = min(pmd + EmulatedLayout.pmdByteCount, end)
            let part = address..<next
            address = next
            if blocks[pmd] != nil {
                _ = Self.remove(
                    &blocks, at: pmd, byteCount: EmulatedLayout.pmdByteCount, part: part, geometry: geometry,
                    altmap: &altmap, kernel: &kernel)
                continue
            }
            guard pageCounts[pmd] != nil else { continue }
            var page = part.lowerBound.alignedDown(to: geometry.pageByteCount)
            while page < next {
                let isGone = Self.remove(
                    &pages, at: page, byteCount: geometry.pageByteCount, part: part, geometry: geometry,
                    altmap: &altmap, kernel: &kernel)
                if isGone { pageCounts[pmd, default: 0] -= 1 }
                page += geometry.pageByteCount
            }
            if pageCounts[pmd] == 0 { pageCounts[pmd] = nil }
        }
    }

    /// Takes out what backs the window at `address` if all of it goes or nothing valid is left in it.
    private static func remove(
        _ entries: inout [UInt64: UInt64], at address: UInt64, byteCount: UInt64, part: Range<UInt64>,
        geometry: MemoryMapGeometry, altmap: inout Altmap?, kernel: inout EmulatedKernel
    ) -> Bool {
        guard let phys = entries[address] else { return false }
        let isWhole = part.lowerBound <= address && address + byteCount <= part.upperBound
        guard isWhole || !kernel.isPopulated(window: address, byteCount: byteCount, geometry: geometry) else {
            return false
        }
        entries[address] = nil
        if let map = altmap, map.holds(phys) {
            altmap?.free(byteCount: byteCount)
        } else {
            kernel.freeBlock(PhysicalAddress(phys), byteCount: byteCount)
        }
        return true
    }
}
