// SPDX-License-Identifier: Apache-2.0

import GuestMemory

/// The rest of the kernel, as `radix__vmemmap_populate` and `radix__vmemmap_free` see it.
public protocol RadixEnvironment: ValidMemory, ~Copyable {
    /// The physical address of 2 MiB for an empty PMD entry, or nil when base pages have to do. `pmd` is the address that
    /// the entry maps, `address` the one in it that the populate has come to.
    mutating func allocateBlock(pmd: UInt64, from address: UInt64, geometry: MemoryMapGeometry) -> UInt64?

    /// The physical address of a base page for an effective address, or nil when there is none.
    mutating func allocatePage(for address: UInt64, geometry: MemoryMapGeometry) -> UInt64?

    /// Whether there is a page for a table.
    mutating func allocateTable() -> Bool

    /// Takes back what backed a window.
    mutating func release(_ backing: RadixTables.Backing)
}

/// The memory map's part of `init_mm`'s page tables, which radix keeps instead of a list since 368a0590d954.
///
/// A PMD entry (2 MiB of vmemmap) is empty, maps a block, or leads to a table of base pages. Which of the three it is
/// depends on history: the first populate of an empty one gets a block if there is memory for it, and a PMD that has a
/// table keeps to base pages until the table is empty again.
public struct RadixTables: Sendable {
    /// What backs a stretch of the memory map.
    public struct Backing: Equatable, Sendable {
        /// The first effective address, a multiple of `byteCount`.
        public let virtAddr: UInt64
        /// 2 MiB or a base page.
        public let byteCount: UInt64
        /// The physical address of what is there.
        public let phys: UInt64

        /// Describes a backing.
        public init(virtAddr: UInt64, byteCount: UInt64, phys: UInt64) {
            self.virtAddr = virtAddr
            self.byteCount = byteCount
            self.phys = phys
        }
    }

    /// The blocks, by the address that their PMD entry maps.
    private var blocks: [UInt64: UInt64] = [:]
    /// The base pages, by the address that they back.
    private var pages: [UInt64: UInt64] = [:]
    /// How many base pages each table holds, by the address of its PMD entry's part.
    private var pageCounts: [UInt64: Int] = [:]

    /// Tables that map this. What is neither a block nor a base page is left out.
    public init(_ backings: some Sequence<Backing>, pageByteCount: UInt64) {
        for backing in backings {
            if backing.byteCount == EmulatedLayout.pmdByteCount {
                blocks[backing.virtAddr] = backing.phys
            } else if backing.byteCount == pageByteCount {
                pages[backing.virtAddr] = backing.phys
                pageCounts[backing.virtAddr.alignedDown(to: EmulatedLayout.pmdByteCount), default: 0] += 1
            }
        }
    }

    /// Empty tables.
    init() {}

    /// How many blocks and base pages there are.
    var count: (blocks: Int, pages: Int) { (blocks.count, pages.count) }

    /// All that backs the memory map, ascending by address.
    public func backings(pageByteCount: UInt64) -> [Backing] {
        let all =
            blocks.map { Backing(virtAddr: $0.key, byteCount: EmulatedLayout.pmdByteCount, phys: $0.value) }
            + pages.map { Backing(virtAddr: $0.key, byteCount: pageByteCount, phys: $0.value) }
        return all.sorted { $0.virtAddr < $1.virtAddr }
    }

    /// Backs `[start, end)`: `radix__vmemmap_populate` (arch/powerpc/mm/book3s64/radix_pgtable.c).
    ///
    /// An empty PMD entry gets a block if the kernel has one for it, and base pages where it has none (see
    /// ``RadixEnvironment/allocateBlock(pmd:from:geometry:)``).
    ///
    /// - Parameters:
    ///   - start: effective address of the first `struct page`.
    ///   - end: effective address behind the last one.
    ///   - rule: where it begins.
    ///   - hasAltmap: whether the call has one.
    ///   - geometry: the memory map's arithmetic.
    ///   - kernel: the rest of the kernel.
    /// - Throws: `outOfMemory` with everything before it left in place (`section_deactivate` undoes it), or `badRange`.
    public mutating func populate(
        start: UInt64, end: UInt64, rule: RadixStart, hasAltmap: Bool, geometry: MemoryMapGeometry,
        kernel: inout some RadixEnvironment & ~Copyable
    ) throws(PopulateError) {
        try geometry.check(start: start, end: end)
        let pageByteCount = geometry.pageByteCount
        let pmdByteCount = EmulatedLayout.pmdByteCount
        var address = rule.first(from: start, hasAltmap: hasAltmap, pageByteCount: pageByteCount)
        while address < end {
            let pmd = address.alignedDown(to: pmdByteCount)
            if pageCounts[pmd] == nil {
                if blocks[pmd] == nil {
                    blocks[pmd] = kernel.allocateBlock(pmd: pmd, from: address, geometry: geometry)
                }
                if blocks[pmd] != nil {
                    address = pmd + pmdByteCount
                    continue
                }
                guard kernel.allocateTable() else { throw .outOfMemory }
                pageCounts[pmd] = 0
            }
            if pages[address] == nil {
                guard let page = kernel.allocatePage(for: address, geometry: geometry) else {
                    throw .outOfMemory
                }
                pages[address] = page
                pageCounts[pmd, default: 0] += 1
            }
            address += pageByteCount
        }
    }

    /// Gives back what backs `[start, end)`: `radix__vmemmap_free` and `remove_pagetable`.
    ///
    /// A block or page that lies in the range as a whole goes; of one that reaches past it the kernel asks first
    /// whether any memory that it describes is still valid. A table that has become empty goes too.
    ///
    /// - Throws: `badRange`.
    public mutating func free(
        start: UInt64, end: UInt64, geometry: MemoryMapGeometry, kernel: inout some RadixEnvironment & ~Copyable
    ) throws(PopulateError) {
        try geometry.check(start: start, end: end)
        var address = start
        while address < end {
            let pmd = address.alignedDown(to: EmulatedLayout.pmdByteCount)
            let next = min(pmd + EmulatedLayout.pmdByteCount, end)
            let part = address..<next
            address = next
            if blocks[pmd] != nil {
                _ = Self.remove(
                    &blocks, at: pmd, byteCount: EmulatedLayout.pmdByteCount, part: part, geometry: geometry,
                    kernel: &kernel)
                continue
            }
            guard pageCounts[pmd] != nil else { continue }
            var page = part.lowerBound.alignedDown(to: geometry.pageByteCount)
            while page < next {
                let isGone = Self.remove(
                    &pages, at: page, byteCount: geometry.pageByteCount, part: part, geometry: geometry,
                    kernel: &kernel)
                if isGone { pageCounts[pmd, default: 0] -= 1 }
                page += geometry.pageByteCount
            }
            if pageCounts[pmd] == 0 { pageCounts[pmd] = nil }
        }
    }

    /// Takes out what backs the window at `address` if all of it goes or nothing valid is left in it.
    private static func remove(
        _ entries: inout [UInt64: UInt64], at address: UInt64, byteCount: UInt64, part: Range<UInt64>,
        geometry: MemoryMapGeometry, kernel: inout some RadixEnvironment & ~Copyable
    ) -> Bool {
        guard let phys = entries[address] else { return false }
        let isWhole = part.lowerBound <= address && address + byteCount <= part.upperBound
        guard isWhole || !kernel.isPopulated(window: address, byteCount: byteCount, geometry: geometry) else {
            return false
        }
        entries[address] = nil
        kernel.release(Backing(virtAddr: address, byteCount: byteCount, phys: phys))
        return true
    }
}
