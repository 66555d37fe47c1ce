// SPDX-License-Identifier: Apache-2.0

import GuestMemory
import TestSupport

/// A kernel that nobody ran, as a dump of its memory: 1 GiB in pages of 64 KiB, whose memory map are 16 windows of 64 KiB.
struct SampleKernel {
    static let blocks: UInt64 = 0x80_0000
    static let windowByteCount: UInt64 = 65536
    static let node: UInt64 = 0x40_0000
    private static let windowCount: UInt64 = 16

    let order: ByteOrder
    let base: UInt64
    var note = SampleVmcoreinfo()
    /// Words that are not 0, as numbers, by physical address.
    var words: [UInt64: UInt64] = [:]
    /// Page table entries.
    var tables = SampleRadixTables(pageByteCount: 65536)
    /// Pages of 4 KiB that the dump lacks, by their addresses.
    var lacking: Set<UInt64> = []

    init(order: ByteOrder = .little, base: UInt64 = 0xc00c_0000_0000_0000) {
        self.order = order
        self.base = base
        words[0x30_0000] = LinearMap.base + 0x50_0000
        for index in 0..<UInt64(64) { words[0x50_0000 + index * 32] = base | 7 }
        put(2, 4, at: 0x20_000c)  // mmu_vmemmap_psize
        put(16, 4, at: 0x20_1000 + 2 * 96)
        var link: UInt64 = 0
        for index in 0..<Self.windowCount {
            let node = Self.node + index * 24
            words[node] = link
            words[node + 8] = Self.blocks + index * Self.windowByteCount
            words[node + 16] = base + index * Self.windowByteCount
            link = LinearMap.base + node
        }
        words[0x20_0000] = link
        // Where the root of the page tables is there is memory, whatever stands in it.
        words[tables.root.rawValue] = 0
    }

    /// Maps the memory map, and the linear map's beginning, as a radix kernel does.
    mutating func mapMemoryMap() {
        tables.map(LinearMap.base, to: 0, byteCount: 2 << 20)
        for index in 0..<Self.windowCount {
            tables.map(
                base + index * Self.windowByteCount, to: Self.blocks + index * Self.windowByteCount, byteCount: 65536)
        }
    }

    /// Puts a number of one to eight bytes to a place inside of a word.
    mutating func put(_ value: UInt64, _ byteCount: UInt64, at phys: UInt64) {
        let (place, offset) = (phys & ~7, phys & 7)
        let shift = 8 * (order == .little ? offset : 8 - offset - byteCount)
        let mask = byteCount == 8 ? UInt64.max : (1 << (byteCount * 8) - 1) << shift
        words[place] = (words[place] ?? 0) & ~mask | value << shift & mask
    }

    /// Puts a number into a page's `struct page`.
    mutating func put(_ value: UInt64, _ byteCount: UInt64, page: UInt64, offset: UInt64) {
        put(value, byteCount, at: Self.blocks + page * 64 + offset)
    }

    /// Its pages of 4 KiB, by their addresses.
    var contents: [UInt64: [UInt8]] {
        var contents: [UInt64: [UInt8]] = [:]
        func put(_ word: UInt64, at phys: UInt64, _ order: ByteOrder) {
            let bytes = bigEndian(word, byteCount: 8)
            let offset = Int(phys & 0xfff)
            contents[phys & ~0xfff, default: [UInt8](repeating: 0, count: 4096)]
                .replaceSubrange(offset..<offset + 8, with: order == .little ? bytes.reversed() : bytes)
        }
        // All roots and all of the first one's entries are read, and the memory map can be.
        for (start, byteCount) in [
            (0x30_0000, 0x4000), (0x50_0000, 0x1_0000), (Self.blocks, Self.windowCount * Self.windowByteCount),
        ] {
            for page in stride(from: start, to: start + byteCount, by: 4096) { put(0, at: page, order) }
        }
        for (phys, word) in words { put(word, at: phys, order) }
        for (phys, word) in tables.words { put(word, at: phys, .big) }
        // A table ends with its page, and where nothing is mapped it has zeros.
        for phys in tables.words.keys {
            for page in stride(from: phys & ~0xffff, to: (phys & ~0xffff) + 0x1_0000, by: 4096)
            where contents[page] == nil { put(0, at: page, .big) }
        }
        return contents
    }

    /// An ELF core dump of it.
    var bytes: [UInt8] {
        let contents = self.contents
        let note = self.note.note(order: order)
        var header = SampleCoreHeader(order: order)
        let pages = contents.keys.filter { !lacking.contains($0) }.sorted()
        let start = UInt64(64 + 56 * (pages.count + 1))
        header.pieces = [.init(type: 4, offset: start, physAddr: 0, byteCount: UInt64(note.count))]
        for (index, page) in pages.enumerated() {
            header.pieces.append(
                .init(offset: start + UInt64(note.count + index * 4096), physAddr: page, byteCount: 4096))
        }
        return header.bytes + note + pages.flatMap { contents[$0] ?? [] }
    }
}
