// SPDX-License-Identifier: Apache-2.0

import GuestMemory

/// RAM of a made-up guest, by physical address from 0 on.
package protocol FakeRAM {
    /// The bytes from an address on: as many as asked for, none of them behind the end of the page of 64 KiB.
    func bytes(at address: UInt64, byteCount: Int) -> [UInt8]

    /// Stores bytes anywhere.
    mutating func store(_ bytes: [UInt8], at address: UInt64)
}

/// RAM in sparse pages of 64 KiB; what was never stored is 0.
package struct SparsePages: FakeRAM {
    private static let pageByteCount: UInt64 = 65536
    private var pages: [UInt64: [UInt8]] = [:]

    package init() {}

    package func bytes(at address: UInt64, byteCount: Int) -> [UInt8] {
        guard let page = pages[address / Self.pageByteCount] else { return [UInt8](repeating: 0, count: byteCount) }
        let inPage = Int(address % Self.pageByteCount)
        return Array(page[inPage..<(inPage + byteCount)])
    }

    package mutating func store(_ bytes: [UInt8], at address: UInt64) {
        for (index, byte) in bytes.enumerated() {
            let place = address + UInt64(index)
            pages[place / Self.pageByteCount, default: [UInt8](repeating: 0, count: Int(Self.pageByteCount))][
                Int(place % Self.pageByteCount)] = byte
        }
    }
}

/// Kernel memory of a made-up guest under the linear map, and its face as /proc/kcore.
package struct FakeKernelMemory {
    package static let listHead: UInt64 = 0xc000_0000_0020_0000
    package static let vmemmapPageSizeIndex: UInt64 = 0xc000_0000_0020_000c
    package static let pageSizeDefinitions: UInt64 = 0xc000_0000_0020_1000
    package static let sectionRoots: UInt64 = 0xc000_0000_0030_0000
    package static let sectionRoot: UInt64 = 0xc000_0000_0039_0000
    package static let note: UInt64 = 0xc000_0000_0010_0000
    package static let firstNodePage: UInt64 = 0xc000_0000_0040_0000
    package static let vmemmapBase: UInt64 = 0xc00c_0000_0000_0000

    private static let pageByteCount: UInt64 = 65536
    /// Where the file holds physical address 0.
    private static let dataOffset: UInt64 = 0x2_0000
    /// Where it holds the other segments, which are empty.
    private static let otherOffset: UInt64 = 0x1_0000

    /// RAM in bytes; what is behind it is in no segment.
    package var byteCount: UInt64 = 1 << 30
    /// The file's first bytes: an ELF file of 64 bits, in the machine's own order.
    package var magic: [UInt8] = [0x7f, 0x45, 0x4c, 0x46, 2, ByteOrder.native == .little ? 1 : 2]
    /// Segments beside the linear map's.
    package var otherSegments: [(fileOffset: UInt64, address: UInt64, byteCount: UInt64)] = [
        (0x1_0000, 0xc008_0000_0000_0000, 0x1000)
    ]
    private var ram: any FakeRAM

    package init(ram: any FakeRAM = SparsePages()) {
        self.ram = ram
    }

    /// A word in the machine's own order.
    package static func bytes(of word: UInt64, count: Int = 8) -> [UInt8] {
        let little = (0..<count).map { UInt8(truncatingIfNeeded: word >> UInt64(8 * $0)) }
        return ByteOrder.native == .little ? little : little.reversed()
    }

    package mutating func store(_ word: UInt64, at address: UInt64) {
        store(Self.bytes(of: word), at: address)
    }

    package mutating func store(_ bytes: [UInt8], at address: UInt64) {
        ram.store(bytes, at: address - LinearMap.base)
    }

    /// The file's header: an ELF header, a note, other segments, the linear map's.
    private var header: [UInt8] {
        var header = [UInt8](repeating: 0, count: 64 + (otherSegments.count + 2) * 56)
        func put(_ value: UInt64, _ count: Int, at offset: Int) {
            header.replaceSubrange(offset..<(offset + count), with: Self.bytes(of: value, count: count))
        }
        header.replaceSubrange(0..<magic.count, with: magic)
        put(64, 8, at: 32)
        put(56, 2, at: 54)
        put(UInt64(otherSegments.count) + 2, 2, at: 56)
        let segments: [(type: UInt64, offset: UInt64, address: UInt64, byteCount: UInt64)] =
            [(4, 0x1000, 0, 0x1000)]
            + otherSegments.map { (1, $0.fileOffset, $0.address, $0.byteCount) }
            + [(1, Self.dataOffset, LinearMap.base, byteCount)]
        for (index, segment) in segments.enumerated() {
            let entry = 64 + index * 56
            put(segment.type, 4, at: entry)
            put(segment.offset, 8, at: entry + 8)
            put(segment.address, 8, at: entry + 16)
            put(segment.byteCount, 8, at: entry + 32)
            put(segment.byteCount, 8, at: entry + 40)
        }
        return header
    }

    /// A read of the file, which gives no more than to a page's end at once.
    package func read(at offset: UInt64, byteCount: Int) -> [UInt8] {
        guard offset >= Self.dataOffset else {
            let header = header
            guard offset >= Self.otherOffset else {
                return offset < header.count ? Array(header[Int(offset)...].prefix(byteCount)) : []
            }
            return [UInt8](repeating: 0, count: byteCount)
        }
        return physical(at: offset - Self.dataOffset, byteCount: byteCount)
    }

    /// Bytes at a physical address, no more than to a page's end.
    package func physical(at place: UInt64, byteCount: Int) -> [UInt8] {
        guard place < self.byteCount else { return [] }
        let inPage = Int(place % Self.pageByteCount)
        let count = min(byteCount, Int(Self.pageByteCount) - inPage, Int(self.byteCount - place))
        return ram.bytes(at: place, byteCount: count)
    }
}
