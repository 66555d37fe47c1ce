// SPDX-License-Identifier: Apache-2.0

import GuestMemory
import SystemPackage
import VmemmapPopulate

/// The dump of a kernel that the emulator stands in for: an ELF file with all of its memory in one piece, most of it a hole.
enum LargeDump {
    static let memoryByteCount: UInt64 = 16 << 30
    private static let headerByteCount: UInt64 = 65536
    // Behind the emulator's node pages, which begin at 0, and below its first block.
    private static let variables: UInt64 = 0x80_0000
    private static let roots: UInt64 = 0x90_0000
    private static let sections: UInt64 = 0xa0_0000

    static func write(to path: String) throws {
        let layout = try EmulatedLayout(rules: .hash, pageByteCount: 4096)
        let emulator = try VmemmapEmulator(layout: layout, bootMemory: [0..<memoryByteCount])
        let file = try FileDescriptor.open(
            FilePath(path), .writeOnly, options: [.create, .truncate], permissions: [.ownerReadWrite])
        try file.closeAfter {
            try file.resize(to: Int64(headerByteCount + memoryByteCount))
            func put(_ words: [UInt64], at phys: UInt64) throws {
                try file.writeAll(toAbsoluteOffset: Int64(headerByteCount + phys), words.flatMap { little($0, 8) })
            }
            let state = emulator.list.state
            for page in 0..<emulator.list.store.nodePageCount {
                let words = try (0..<512).map {
                    try emulator.list.store.word(at: LinearMap.base + page * 4096 + $0 * 8)
                }
                try put(words, at: page * 4096)
            }
            let shift = layout.geometry.vmemmapPageShift
            // vmemmap_list, mmu_vmemmap_psize, and its definition.
            try put([state.head, 0, shift], at: variables)
            let sectionCount = memoryByteCount >> 24
            for root in 0..<(sectionCount + 127) / 128 {
                try put([LinearMap.base + sections + root * 4096], at: roots + root * 8)
                let entries = (0..<128).flatMap { _ -> [UInt64] in [layout.geometry.vmemmapBase | 7, 0, 0, 0] }
                try put(entries, at: sections + root * 4096)
            }
            try file.writeAll(toAbsoluteOffset: 0, header())
        }
        print("\(emulator.list.state.liveCount) entries in \(emulator.list.store.nodePageCount) node pages")
    }

    private static func header() -> [UInt8] {
        let lines = [
            "OSRELEASE=emulated", "PAGESIZE=4096", "SYMBOL(swapper_pg_dir)=c000000000b00000",
            "SYMBOL(mem_section)=\(hex(roots))", "LENGTH(mem_section)=1048576", "SIZE(mem_section)=32",
            "OFFSET(mem_section.section_mem_map)=0", "NUMBER(SECTION_SIZE_BITS)=24", "SIZE(page)=64",
            "SYMBOL(vmemmap_list)=\(hex(variables))", "SYMBOL(mmu_vmemmap_psize)=\(hex(variables + 8))",
            "SYMBOL(mmu_psize_defs)=\(hex(variables + 16))", "SIZE(vmemmap_backing)=24",
            "OFFSET(vmemmap_backing.list)=0", "OFFSET(vmemmap_backing.phys)=8", "OFFSET(vmemmap_backing.virt_addr)=16",
            "SIZE(mmu_psize_def)=96", "OFFSET(mmu_psize_def.shift)=0", "NUMBER(RADIX_MMU)=0",
        ]
        let text = Array(lines.map { $0 + "\n" }.joined().utf8)
        let note = little(11, 4) + little(UInt64(text.count), 4) + little(0, 4) + Vmcoreinfo.noteName + text
        var bytes: [UInt8] = [0x7f, 0x45, 0x4c, 0x46, 2, 1, 1] + [UInt8](repeating: 0, count: 9)
        for (number, byteCount) in [
            (4, 2), (ELFIdentity.ppc64Machine, 2), (1, 4), (0, 8), (64, 8), (0, 8), (2, 4), (64, 2), (56, 2), (2, 2),
            (0, 6),
        ] as [(UInt64, Int)] { bytes += little(number, byteCount) }
        for (type, offset, byteCount) in [
            (ELFProgramHeader.noteType, 176, UInt64(note.count)),
            (ELFProgramHeader.loadType, headerByteCount, memoryByteCount),
        ] as [(UInt64, UInt64, UInt64)] {
            bytes += little(type, 4) + little(0, 4)
            for number in [offset, 0, 0, byteCount, byteCount, 0] { bytes += little(number, 8) }
        }
        return bytes + note
    }

    private static func hex(_ phys: UInt64) -> String { String(LinearMap.base + phys, radix: 16) }

    private static func little(_ number: UInt64, _ byteCount: Int) -> [UInt8] {
        (0..<byteCount).map { $0 < 8 ? UInt8(truncatingIfNeeded: number >> (8 * UInt64($0))) : 0 }
    }
}
