// SPDX-License-Identifier: Apache-2.0

/// Where a kernel keeps its vmemmap bookkeeping, read from VMCOREINFO. A symbol that the kernel's own text
/// lacks may come from a symbol table (``Vmcoreinfo/adding(_:)``).
public struct KernelLayout: Equatable, Sendable {
    /// `PAGE_SIZE` in bytes: 4096 or 65536 (`PAGESIZE`).
    public var pageByteCount: UInt64
    /// log2 of a section's bytes (`NUMBER(SECTION_SIZE_BITS)`; 24 on ppc64).
    public var sectionSizeBits: UInt64
    /// The address of the variable `vmemmap_list`, whose word is the list's head.
    public var listHeadAddress: UInt64
    /// `sizeof(struct page)` in bytes (`SIZE(page)`).
    public var structPageByteCount: UInt64
    /// The address of the first `struct mem_section *` root: the array itself, not the variable that points to it.
    public var sectionRootsAddress: UInt64
    /// How many roots there are (`LENGTH(mem_section)`).
    public var sectionRootCount: UInt64
    /// `sizeof(struct mem_section)` in bytes.
    public var sectionByteCount: UInt64
    /// The byte offset of `section_mem_map` in it.
    public var sectionMapOffset: UInt64
    /// The address of `mmu_psize_defs`.
    public var pageSizeDefinitionsAddress: UInt64
    /// `sizeof(struct mmu_psize_def)` in bytes.
    public var pageSizeDefinitionByteCount: UInt64
    /// The byte offset of `shift` in it.
    public var pageSizeShiftOffset: UInt64
    /// The address of `mmu_vmemmap_psize`, an index into `mmu_psize_defs`. Means nothing on radix since 6.6.
    public var vmemmapPageSizeIndexAddress: UInt64
    /// The address of `swapper_pg_dir`, the kernel's own root page table; nil when VMCOREINFO has none that a radix MMU
    /// could use.
    public var pageTableRootAddress: UInt64?
    /// The MMU that the kernel uses (`NUMBER(RADIX_MMU)`, which is `early_radix_enabled()`), unknown where VMCOREINFO does
    /// not say it: kernels do so since 36e826b568e4, together with `cur_cpu_spec`, whose `mmu_features` say the same.
    public var mmu: MMU

    /// A key that is missing, malformed, or has a value that no kernel of this kind has.
    public struct Problem: Error, Sendable {
        /// The VMCOREINFO key.
        public let key: StaticString
        /// Its value, or nil when there is none that is a number.
        public let value: UInt64?
    }

    /// Reads the layout.
    ///
    /// Throws the first key that is missing or that no kernel of this kind can have: the values are used to bound
    /// loops, so they are checked here once.
    public init(_ info: Vmcoreinfo) throws(Problem) {
        func decimal(_ key: StaticString, _ isPossible: (UInt64) -> Bool) throws(Problem) -> UInt64 {
            let value = info.decimal(key)
            guard let value, isPossible(value) else { throw Problem(key: key, value: value) }
            return value
        }
        func pointer(_ key: StaticString, alignment: UInt64) throws(Problem) -> UInt64 {
            let value = info.hexadecimal(key)
            guard let value, LinearMap.physical(value) != nil, value % alignment == 0 else {
                throw Problem(key: key, value: value)
            }
            return value
        }

        pageByteCount = try decimal("PAGESIZE") { $0 == 4096 || $0 == 65536 }
        sectionSizeBits = try decimal("NUMBER(SECTION_SIZE_BITS)") { 20...32 ~= $0 }
        structPageByteCount = try decimal("SIZE(page)") { 32...256 ~= $0 && $0 % 8 == 0 }

        listHeadAddress = try pointer("SYMBOL(vmemmap_list)", alignment: 8)
        // The node's layout has been this since 2010, and the mirror's is the same: another one is another kernel.
        _ = try decimal("SIZE(vmemmap_backing)") { $0 == 24 }
        _ = try decimal("OFFSET(vmemmap_backing.list)") { $0 == 0 }
        _ = try decimal("OFFSET(vmemmap_backing.phys)") { $0 == 8 }
        _ = try decimal("OFFSET(vmemmap_backing.virt_addr)") { $0 == 16 }

        sectionRootsAddress = try pointer("SYMBOL(mem_section)", alignment: 8)
        sectionRootCount = try decimal("LENGTH(mem_section)") { 1...(1 << 24) ~= $0 }
        let sectionByteCount = try decimal("SIZE(mem_section)") { 16...128 ~= $0 && $0.isPowerOfTwo }
        self.sectionByteCount = sectionByteCount
        sectionMapOffset = try decimal("OFFSET(mem_section.section_mem_map)") {
            $0 % 8 == 0 && $0 <= sectionByteCount - 8
        }

        vmemmapPageSizeIndexAddress = try pointer("SYMBOL(mmu_vmemmap_psize)", alignment: 4)
        pageSizeDefinitionsAddress = try pointer("SYMBOL(mmu_psize_defs)", alignment: 4)
        let definitionByteCount = try decimal("SIZE(mmu_psize_def)") { 4...1024 ~= $0 && $0 % 4 == 0 }
        pageSizeDefinitionByteCount = definitionByteCount
        pageSizeShiftOffset = try decimal("OFFSET(mmu_psize_def.shift)") {
            $0 % 4 == 0 && $0 <= definitionByteCount - 4
        }
        mmu =
            info.value("NUMBER(RADIX_MMU)") == nil
            ? .unknown : try decimal("NUMBER(RADIX_MMU)") { $0 <= 1 } == 1 ? .radix : .hash
        // Only radix needs it, and only radix aligns it.
        pageTableRootAddress = try? pointer("SYMBOL(swapper_pg_dir)", alignment: RadixWalk.rootByteCount)
    }

    /// How many sections one root holds (`SECTIONS_PER_ROOT`, SPARSEMEM_EXTREME).
    public var sectionsPerRoot: UInt64 { pageByteCount / sectionByteCount }

    /// The bytes of the memory map that describe one section.
    public var memoryMapBytesPerSection: UInt64 { (1 << sectionSizeBits) / pageByteCount * structPageByteCount }

    /// log2 of a page of the memory map: `mmu_psize_defs[mmu_vmemmap_psize].shift`, read from the kernel's memory.
    ///
    /// Nil when the architecture does not have the kernel's index or shift.
    public func vmemmapPageShift(
        in kernel: borrowing some WordMemory, order: ByteOrder
    ) throws(MemoryAccessError) -> UInt64? {
        let index = UInt64(try kernel.halfWord(at: vmemmapPageSizeIndexAddress, order: order))
        // MMU_PAGE_COUNT is 16 (arch/powerpc/include/asm/mmu.h).
        guard index < 16 else { return nil }
        let definition = pageSizeDefinitionsAddress + index * pageSizeDefinitionByteCount
        let shift = UInt64(try kernel.halfWord(at: definition + pageSizeShiftOffset, order: order))
        return 12...34 ~= shift ? shift : nil
    }

    /// Walks the kernel's own page tables over the memory map. Only for kernels that use the radix MMU.
    ///
    /// - Parameters:
    ///   - vmemmapBase: the effective address of page frame 0's `struct page`.
    ///   - endAddress: the end of the physical addresses that can hold memory.
    ///   - limit: the most leaves, and the most faults.
    ///   - memory: the guest's physical memory.
    /// - Returns: what they map, nil when the kernel does not say where they are.
    @inlinable public func memoryMapTables(
        vmemmapBase: UInt64, endAddress: PhysicalAddress, limit: Int = .max, in memory: borrowing some PhysicalMemory
    ) -> RadixWalk? {
        guard let root = pageTableRootAddress.flatMap(LinearMap.physical) else { return nil }
        let byteCount = endAddress.rawValue / pageByteCount * structPageByteCount
        let (end, overflows) = vmemmapBase.addingReportingOverflow(byteCount)
        return RadixWalk(
            root: root, range: vmemmapBase..<(overflows ? .max : end), pageByteCount: pageByteCount, limit: limit,
            in: memory)
    }
}
