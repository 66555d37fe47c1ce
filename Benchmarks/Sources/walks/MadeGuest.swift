// SPDX-License-Identifier: Apache-2.0

import CWalks
import Glibc
import GuestMemory
import KernelState
import MemoryBackends
import SystemPackage
import VmemmapPopulate

/// A file of guest memory with a 64K kernel's list and page tables in it, for windows of 64 KiB. It is mapped as a run maps
/// it, with two DIMMs behind it.
final class MadeGuest {
    static let nodeCount = 8192
    static let leafCount = 8192

    private static let pageByteCount: UInt64 = 65536
    private static let byteCount: UInt64 = 1 << 30
    // The emulator's node pages begin at 0.
    private static let listHead: UInt64 = 0x80_0000
    static let root: UInt64 = 0x100_0000
    private static let vmemmapBase: UInt64 = 0xc00c_0000_0000_0000

    let order: ByteOrder
    let kernel: Kernel
    let memory: KernelMemory<GuestRAM>
    let map = MemoryMap(base: vmemmapBase, pageShift: 16)
    let head: UInt64
    /// The same file, for C.
    var mapped = guest_memory()

    /// The tables are read as far as they are filled.
    let bounds = ReadingBounds(memoryEnd: PhysicalAddress(UInt64(leafCount) << 26))

    /// What they map.
    var mapRange: Range<UInt64> { Self.vmemmapBase..<Self.vmemmapBase + UInt64(Self.leafCount) << 16 }

    init(order: ByteOrder) throws {
        self.order = order
        let note = KernelNote(info: Vmcoreinfo(text: Self.note), order: order, addresses: [])
        kernel = try Kernel(note: note) { _ in SymbolLookup(addresses: [], reason: []) }
        let path = FilePath("/dev/shm/walks-\(UInt32.random(in: 0 ... .max))")
        let file = try FileDescriptor.open(
            path, .writeOnly, options: [.create, .exclusiveCreate], permissions: [.ownerReadWrite])
        // What is mapped stays.
        defer { unlink(path.string) }
        head = try file.closeAfter {
            try file.resize(to: Int64(Self.byteCount))
            try Self.writeTables(into: file)
            return try Self.writeList(into: file, order)
        }
        var regions: [GuestRAM.Region] = []
        for (index, name) in ["boot", "ua-dimm1", "ua-dimm2"].enumerated() {
            regions.append(
                .init(
                    name: name, base: PhysicalAddress(UInt64(index) * Self.byteCount),
                    file: try MappedFile(path, byteCount: Self.byteCount)))
        }
        memory = KernelMemory(GuestRAM(regions), order: order)
        guard guest_memory_map(path.string, Self.byteCount, order != .native, &mapped) else { throw Walks.Failure() }
    }

    deinit { munmap(UnsafeMutableRawPointer(mutating: mapped.base), Int(mapped.size)) }

    private static func writeList(into file: FileDescriptor, _ order: ByteOrder) throws -> UInt64 {
        let layout = try EmulatedLayout(rules: .hash, pageByteCount: pageByteCount)
        let memory = UInt64(nodeCount) * layout.geometry.describedByteCount
        let emulator = try VmemmapEmulator(layout: layout, bootMemory: [0..<memory])
        let words = try (0..<emulator.list.store.nodePageCount * pageByteCount / 8).map {
            try emulator.list.store.word(at: LinearMap.base + $0 * 8)
        }
        try write(words, at: 0, order, into: file)
        let head = emulator.list.state.head
        try write([head], at: listHead, order, into: file)
        return head
    }

    /// A table for each 2 MiB of the memory map, of 32 entries for base pages.
    private static func writeTables(into file: FileDescriptor) throws {
        let (upper, middle, tables) = (root + 0x1_0000, root + 0x1_1000, root + 0x2_0000)
        let valid: UInt64 = 1 << 63
        func put(_ word: UInt64, at entry: UInt64) throws { try write([word], at: entry, .big, into: file) }
        try put(valid | upper | 9, at: root + (vmemmapBase >> 39 & 0x1fff) * 8)
        try put(valid | middle | 9, at: upper + (vmemmapBase >> 30 & 0x1ff) * 8)
        for index in 0..<UInt64(leafCount / 32) {
            let table = tables + index * 256
            try put(valid | table | 5, at: middle + index * 8)
            let leaves = (0..<32).map { valid | 1 << 62 | (0x2000_0000 + (index * 32 + $0) << 16) | 0x18e }
            try write(leaves, at: table, .big, into: file)
        }
    }

    private static func write(
        _ words: [UInt64], at phys: UInt64, _ order: ByteOrder, into file: FileDescriptor
    ) throws {
        let stored = words.map { order.value(ofStored: $0) }
        _ = try stored.withUnsafeBytes { try file.writeAll(toAbsoluteOffset: Int64(phys), $0) }
    }

    private static var note: [UInt8] {
        func hex(_ phys: UInt64) -> String { String(LinearMap.base + phys, radix: 16) }
        let lines = [
            "OSRELEASE=made", "PAGESIZE=65536", "SYMBOL(swapper_pg_dir)=\(hex(root))",
            "SYMBOL(mem_section)=\(hex(0x90_0000))", "LENGTH(mem_section)=1048576", "SIZE(mem_section)=32",
            "OFFSET(mem_section.section_mem_map)=0", "NUMBER(SECTION_SIZE_BITS)=24", "SIZE(page)=64",
            "SYMBOL(vmemmap_list)=\(hex(listHead))", "SYMBOL(mmu_vmemmap_psize)=\(hex(0x91_0000))",
            "SYMBOL(mmu_psize_defs)=\(hex(0x92_0000))", "SIZE(vmemmap_backing)=24",
            "OFFSET(vmemmap_backing.list)=0", "OFFSET(vmemmap_backing.phys)=8", "OFFSET(vmemmap_backing.virt_addr)=16",
            "SIZE(mmu_psize_def)=96", "OFFSET(mmu_psize_def.shift)=0", "NUMBER(RADIX_MMU)=1",
        ]
        return Array(lines.map { $0 + "\n" }.joined().utf8)
    }
}
