// SPDX-License-Identifier: Apache-2.0

import GuestMemory
import TestSupport
import Testing

struct KernelLayoutTests {
    @Test func realisticText() throws {
        let layout = try KernelLayout(SampleVmcoreinfo().parsed)
        #expect(layout.pageByteCount == 65536)
        #expect(layout.sectionSizeBits == 24)
        #expect(layout.listHeadAddress == 0xc000_0000_0020_0000)
        #expect(layout.structPageByteCount == 64)
        #expect(layout.sectionRootsAddress == 0xc000_0000_0030_0000)
        #expect(layout.sectionRootCount == 65536)
        #expect(layout.sectionByteCount == 32)
        #expect(layout.sectionMapOffset == 0)
        #expect(layout.pageSizeDefinitionsAddress == 0xc000_0000_0020_1000)
        #expect(layout.pageSizeDefinitionByteCount == 96)
        #expect(layout.pageSizeShiftOffset == 0)
        #expect(layout.vmemmapPageSizeIndexAddress == 0xc000_0000_0020_000c)
        #expect(layout.pageTableRootAddress == 0xc000_0000_0274_0000)
        #expect(layout.sectionsPerRoot == 2048)
        #expect(layout.memoryMapBytesPerSection == 16384)
    }

    @Test func fourKibibytePages() throws {
        let layout = try KernelLayout(SampleVmcoreinfo().replacing("PAGESIZE", with: "4096").parsed)
        #expect(layout.sectionsPerRoot == 128)
        #expect(layout.memoryMapBytesPerSection == 262_144)
    }

    /// Kernels that say which MMU they use say 0 or 1; older ones do not say it.
    @Test func mmu() throws {
        let key = "NUMBER(RADIX_MMU)"
        #expect(try KernelLayout(SampleVmcoreinfo().parsed).mmu == .unknown)
        #expect(try KernelLayout(SampleVmcoreinfo().adding(key, "0").parsed).mmu == .hash)
        #expect(try KernelLayout(SampleVmcoreinfo().adding(key, "1").parsed).mmu == .radix)
        for value in ["", "x", "2", "-1", "18446744073709551615", "18446744073709551616"] {
            let problem = try #require(throws: KernelLayout.Problem.self) {
                try KernelLayout(SampleVmcoreinfo().adding(key, value).parsed)
            }
            #expect("\(problem.key)" == key)
        }
    }

    /// Only radix needs the root page table, and takes only an aligned one.
    @Test(arguments: ["", "x", "0", "2740000", "c000000002741000", "ffffffffffff0000", "d000000002740000"])
    func unusableRootPageTable(value: String) throws {
        let key = "SYMBOL(swapper_pg_dir)"
        #expect(try KernelLayout(SampleVmcoreinfo().replacing(key, with: value).parsed).pageTableRootAddress == nil)
        #expect(try KernelLayout(SampleVmcoreinfo().removing(key).parsed).pageTableRootAddress == nil)
    }

    /// The keys without which nothing can be read.
    static let keys = [
        "PAGESIZE", "NUMBER(SECTION_SIZE_BITS)", "SIZE(page)", "SYMBOL(vmemmap_list)", "SIZE(vmemmap_backing)",
        "OFFSET(vmemmap_backing.list)", "OFFSET(vmemmap_backing.phys)", "OFFSET(vmemmap_backing.virt_addr)",
        "SYMBOL(mem_section)", "LENGTH(mem_section)", "SIZE(mem_section)", "OFFSET(mem_section.section_mem_map)",
        "SYMBOL(mmu_vmemmap_psize)", "SYMBOL(mmu_psize_defs)", "SIZE(mmu_psize_def)", "OFFSET(mmu_psize_def.shift)",
    ]

    @Test(arguments: keys)
    func missingKey(key: String) throws {
        let problem = try #require(throws: KernelLayout.Problem.self) {
            try KernelLayout(SampleVmcoreinfo().removing(key).parsed)
        }
        #expect("\(problem.key)" == key)
        #expect(problem.value == nil)
    }

    @Test(arguments: keys, ["", "x", "0x10", "-8", "99999999999999999999999"])
    func malformedValue(key: String, value: String) throws {
        let problem = try #require(throws: KernelLayout.Problem.self) {
            try KernelLayout(SampleVmcoreinfo().replacing(key, with: value).parsed)
        }
        #expect("\(problem.key)" == key)
        #expect(problem.value == nil)
    }

    @Test(arguments: [
        ("PAGESIZE", ["0", "1", "8192", "16384", "65537"]),
        ("NUMBER(SECTION_SIZE_BITS)", ["0", "19", "33", "64"]),
        ("SIZE(page)", ["0", "24", "63", "68", "264"]),
        ("SIZE(vmemmap_backing)", ["0", "16", "32"]),
        ("OFFSET(vmemmap_backing.list)", ["8", "16"]),
        ("OFFSET(vmemmap_backing.phys)", ["0", "16"]),
        ("OFFSET(vmemmap_backing.virt_addr)", ["0", "8"]),
        ("LENGTH(mem_section)", ["0", "16777217", "18446744073709551615"]),
        ("SIZE(mem_section)", ["0", "8", "24", "33", "256"]),
        ("OFFSET(mem_section.section_mem_map)", ["4", "32", "25", "18446744073709551608"]),
        ("SIZE(mmu_psize_def)", ["0", "2", "98", "1028"]),
        ("OFFSET(mmu_psize_def.shift)", ["2", "96", "93", "18446744073709551612"]),
    ])
    func impossibleNumber(key: String, values: [String]) throws {
        for value in values {
            let problem = try #require(throws: KernelLayout.Problem.self, "\(value)") {
                try KernelLayout(SampleVmcoreinfo().replacing(key, with: value).parsed)
            }
            #expect("\(problem.key)" == key)
            #expect(problem.value == UInt64(value))
        }
    }

    @Test(
        arguments: [
            "SYMBOL(vmemmap_list)", "SYMBOL(mem_section)", "SYMBOL(mmu_vmemmap_psize)", "SYMBOL(mmu_psize_defs)",
        ],
        ["0", "200000", "bfffffffffffffff", "c000000000200002", "c008000000000000", "fffffffffffffff8"]
    )
    func impossiblePointer(key: String, value: String) throws {
        let problem = try #require(throws: KernelLayout.Problem.self) {
            try KernelLayout(SampleVmcoreinfo().replacing(key, with: value).parsed)
        }
        #expect("\(problem.key)" == key)
        #expect(problem.value == UInt64(value, radix: 16))
    }

    @Test(arguments: [ByteOrder.little, .big], [UInt64(12), 16, 21, 24, 34])
    func vmemmapPageShift(order: ByteOrder, shift: UInt64) throws {
        let layout = try KernelLayout(SampleVmcoreinfo().parsed)
        let kernel = Self.kernel(index: 7, shift: shift, layout: layout, order: order)
        #expect(try layout.vmemmapPageShift(in: kernel, order: order) == shift)
    }

    @Test(arguments: [(16, 16), (0xffff_ffff, 16), (7, 0), (7, 11), (7, 35), (7, 0xffff_ffff)] as [(UInt64, UInt64)])
    func noVmemmapPageShift(index: UInt64, shift: UInt64) throws {
        let layout = try KernelLayout(SampleVmcoreinfo().parsed)
        let kernel = Self.kernel(index: index, shift: shift, layout: layout, order: .little)
        #expect(try layout.vmemmapPageShift(in: kernel, order: .little) == nil)
    }

    @Test func vmemmapPageShiftInUnmappedMemory() throws {
        let layout = try KernelLayout(SampleVmcoreinfo().parsed)
        #expect(throws: MemoryAccessError.unmapped(0xc000_0000_0020_0008)) {
            try layout.vmemmapPageShift(in: SparseWords(), order: .little)
        }
    }

    /// `mmu_vmemmap_psize` stands in the second half of its word, the shift in the first half of its own.
    private static func kernel(index: UInt64, shift: UInt64, layout: KernelLayout, order: ByteOrder) -> SparseWords {
        let definition = layout.pageSizeDefinitionsAddress + min(index, 15) * 96
        return SparseWords([
            layout.vmemmapPageSizeIndexAddress - 4: order == .little
                ? index << 32 | 0xdead_beef : 0xdead_beef << 32 | index,
            definition: order == .little ? 0xdead_beef << 32 | shift : shift << 32 | 0xdead_beef,
        ])
    }
}

struct SectionTableTests {
    private let layout: KernelLayout
    private static let base: UInt64 = 0xc00c_0000_0000_0000
    private static let root: UInt64 = 0xc000_0000_0031_0000

    init() throws {
        layout = try KernelLayout(SampleVmcoreinfo().parsed)
    }

    /// A table of two roots: the first at `root`, all of its sections absent; the second one missing.
    private func kernel() -> SparseWords {
        var kernel = SparseWords([layout.sectionRootsAddress: Self.root, layout.sectionRootsAddress + 8: 0])
        for index in 0..<layout.sectionsPerRoot {
            kernel.content[Self.root + index * 32] = 0
        }
        return kernel
    }

    @Test func presentSectionsAscending() throws {
        var kernel = kernel()
        kernel.content[Self.root] = Self.base | 0x7
        kernel.content[Self.root + 32] = Self.base | 0x3
        kernel.content[Self.root + 64] = Self.base | 0x6
        kernel.content[Self.root + 5 * 32] = Self.base | 0x1f
        let sections = try SectionTable.presentSections(
            layout: layout,
            in: kernel,
            endAddress: PhysicalAddress(1 << 30)
        )
        #expect(
            sections == [
                MemorySection(number: 0, vmemmapBase: Self.base, flags: [.present, .hasMemoryMap, .online]),
                MemorySection(number: 1, vmemmapBase: Self.base, flags: [.present, .hasMemoryMap]),
                MemorySection(number: 5, vmemmapBase: Self.base, flags: .known),
            ]
        )
    }

    @Test func theEndBoundsTheWalk() throws {
        var kernel = kernel()
        kernel.content[Self.root + 3 * 32] = Self.base | 1
        // Nothing of what lies behind is mapped: touching it would throw.
        kernel.content[Self.root + 4 * 32] = nil
        let ends: [(UInt64, Int)] = [(0, 0), (3 << 24, 0), (3 << 24 + 1, 1), (4 << 24, 1)]
        for (end, count) in ends {
            let sections = try SectionTable.presentSections(
                layout: layout,
                in: kernel,
                endAddress: PhysicalAddress(end)
            )
            #expect(sections.count == count, "end \(end)")
        }
        #expect(throws: MemoryAccessError.unmapped(Self.root + 4 * 32)) {
            try SectionTable.presentSections(layout: layout, in: kernel, endAddress: PhysicalAddress(5 << 24))
        }
    }

    @Test func aSecondRoot() throws {
        var kernel = kernel()
        let second = Self.root + 0x10_0000
        kernel.content[layout.sectionRootsAddress + 8] = second
        for index in 0..<layout.sectionsPerRoot {
            kernel.content[second + index * 32] = index == 1 ? Self.base | 5 : 0
        }
        let sections = try SectionTable.presentSections(
            layout: layout,
            in: kernel,
            endAddress: PhysicalAddress(64 << 30)
        )
        #expect(sections == [MemorySection(number: 2049, vmemmapBase: Self.base, flags: [.present, .online])])
    }

    @Test func rootsAreNoMoreThanTheKernelHas() throws {
        var layout = layout
        layout.sectionRootCount = 1
        let sections = try SectionTable.presentSections(
            layout: layout,
            in: kernel(),
            endAddress: PhysicalAddress(1 << 50)
        )
        #expect(sections.isEmpty)
    }

    @Test func aRootPointerOutsideMemory() throws {
        var kernel = kernel()
        kernel.content[layout.sectionRootsAddress] = .max - 7
        #expect(throws: MemoryAccessError.unmapped(.max - 7)) {
            try SectionTable.presentSections(layout: layout, in: kernel, endAddress: PhysicalAddress(1 << 30))
        }
    }
}
