// SPDX-License-Identifier: Apache-2.0

import GuestMemory

/// A kernel's memory as an input makes it: zeros up to an end, and words in them.
///
/// The variables have places of their own, so that a few bytes lead to lists and tables.
struct MadeMemory: PhysicalMemory {
    static let byteCount: UInt64 = 1 << 20
    static let listHead: UInt64 = 0x100
    static let pageSizeIndex: UInt64 = 0x108
    static let pageSizeDefinitions: UInt64 = 0x200
    static let sectionRoots: UInt64 = 0x1000
    static let sections: UInt64 = 0x2000
    static let pageTableRoot: UInt64 = 0x10000
    static let tables: UInt64 = 0x20000
    static let vmemmapBase: UInt64 = 0xc00c_0000_0000_0000

    private(set) var words: [UInt64: UInt64] = [:]
    let pageByteCount: UInt64
    let isRadix: Bool

    init(_ input: inout Input) {
        let kind = input.byte()
        pageByteCount = kind & 1 == 0 ? 65536 : 4096
        isRadix = kind & 2 == 0
        if kind & 4 == 0 { words[Self.pageSizeIndex] = UInt64(kind >> 4) }
        if kind & 8 == 0 {
            for index in 0..<16 { words[Self.pageSizeDefinitions + UInt64(index) * 96] = 12 + UInt64(index) }
        }
        while !input.isEmpty { store(&input) }
    }

    private mutating func store(_ input: inout Input) {
        let kind = input.byte()
        var address: UInt64 =
            switch kind & 7 {
            case 0: Self.listHead
            case 1: Self.sectionRoots + input.number(1) * 8
            case 2: Self.sections + input.number(2) % 1024 * 8
            // The memory map is in the root's quarter behind the linear map.
            case 3: Self.pageTableRoot + (Self.vmemmapBase >> 39 & 0x1fff) * 8 + input.number(1) % 4 * 8
            case 4: Self.tables + input.number(1) % 16 * 4096 + input.number(1) * 8
            case 5: nodeAddress(&input)
            default: input.number(3) % (Self.byteCount / 8) * 8
            }
        let count = kind & 0x40 == 0 ? 1 : input.number(1) % 32 + 1
        for _ in 0..<count {
            var word = word(&input, kind >> 3 & 7)
            if kind & 0x80 != 0 { word ^= 1 << (input.number(1) & 63) }
            words[address] = word
            address += 8
        }
    }

    private func nodeAddress(_ input: inout Input) -> UInt64 {
        let place = input.number(2)
        return 0x40000 + place >> 8 % 4 * pageByteCount + place % 170 * 24
    }

    private func word(_ input: inout Input, _ kind: UInt8) -> UInt64 {
        switch kind {
        case 0: input.number(8)
        case 1: LinearMap.base + nodeAddress(&input)
        case 2: LinearMap.base + Self.sections + input.number(1) * 32
        case 3: Self.vmemmapBase | input.number(1)
        case 4:  // a page table, in the tables' own byte order
            (1 << 63 | (Self.tables + input.number(1) % 16 * 4096) | [13, 9, 9, 5, 9][Int(input.byte() % 5)])
                .byteSwapped
        case 5: (0xc000_0000_0000_018e | input.number(2) << 16).byteSwapped
        case 6: Self.vmemmapBase + input.number(2) << 16
        default: input.number(2)
        }
    }

    func storedWord(at address: PhysicalAddress) throws(MemoryAccessError) -> UInt64 {
        guard address.rawValue % 8 == 0 else { throw .misaligned(address.rawValue) }
        guard address.rawValue < Self.byteCount else { throw .unmapped(address.rawValue) }
        return words[address.rawValue] ?? 0
    }

    /// What this kernel's note says.
    var note: [UInt8] {
        func pointer(_ address: UInt64) -> String { String(LinearMap.base + address, radix: 16) }
        let lines = [
            "OSRELEASE=6.1.0", "PAGESIZE=\(pageByteCount)", "SYMBOL(swapper_pg_dir)=\(pointer(Self.pageTableRoot))",
            "SYMBOL(mem_section)=\(pointer(Self.sectionRoots))", "LENGTH(mem_section)=65536", "SIZE(mem_section)=32",
            "OFFSET(mem_section.section_mem_map)=0", "NUMBER(SECTION_SIZE_BITS)=24", "SIZE(page)=64",
            "SYMBOL(vmemmap_list)=\(pointer(Self.listHead))",
            "SYMBOL(mmu_vmemmap_psize)=\(pointer(Self.pageSizeIndex))",
            "SYMBOL(mmu_psize_defs)=\(pointer(Self.pageSizeDefinitions))", "SIZE(vmemmap_backing)=24",
            "OFFSET(vmemmap_backing.list)=0", "OFFSET(vmemmap_backing.phys)=8",
            "OFFSET(vmemmap_backing.virt_addr)=16", "SIZE(mmu_psize_def)=96", "OFFSET(mmu_psize_def.shift)=0",
            "NUMBER(RADIX_MMU)=\(isRadix ? 1 : 0)",
        ]
        return Array(lines.joined(separator: "\n").utf8)
    }
}
