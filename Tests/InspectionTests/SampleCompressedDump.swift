// SPDX-License-Identifier: Apache-2.0

import GuestMemory
import TestSupport

/// A compressed dump in makedumpfile's format (`struct disk_dump_header`, `struct kdump_sub_header`, `page_desc_t`:
/// diskdump_mod.h). Its pages are in each of the ways in which they can be compressed, by hand: that needs no library here.
struct SampleCompressedDump {
    enum Compression: UInt64, CaseIterable, Sendable {
        case none = 0
        case zlib = 1
        case lzo = 2
        case snappy = 4
        case zstd = 0x20
    }

    let order: ByteOrder
    let compression: Compression
    /// VMCOREINFO, its note.
    let note: [UInt8]
    /// Pages by their addresses.
    let pages: [UInt64: [UInt8]]
    let pageByteCount = 65536
    /// The pages below 1 GiB.
    private let pageCount = 16384

    private func number(_ value: UInt64, _ byteCount: Int) -> [UInt8] {
        let bytes = bigEndian(value, byteCount: byteCount)
        return order == .little ? bytes.reversed() : bytes
    }

    private func block(_ bytes: [UInt8]) -> [UInt8] {
        bytes + [UInt8](repeating: 0, count: pageByteCount - bytes.count)
    }

    var bytes: [UInt8] {
        var header = Array("KDUMP   ".utf8) + number(6, 4)
        for name in ["Linux", "(none)", "6.1.0", "#1", order == .little ? "ppc64le" : "ppc64", "(none)"] {
            header += Array(name.utf8) + [UInt8](repeating: 0, count: 65 - name.utf8.count)
        }
        header += [UInt8](repeating: 0, count: 6 + 16)
        // Status, sizes of a block, of the second header and of both bitmaps, pages, what counts them, processors.
        for value in [compression.rawValue, UInt64(pageByteCount), 1, 2, UInt64(pageCount), 0, 0, 0, 0, 1] {
            header += number(value, 4)
        }
        // Since version 4 the note counts, wherever else its text is said to be.
        let noteOffset = UInt64(pageByteCount + 512)
        var second = number(0, 8) + number(31, 4) + number(0, 4)
        let text = noteOffset + 24
        for value in [
            0, 0, text, UInt64(note.count) - 24, noteOffset, UInt64(note.count), 0, 0, 0, 0, UInt64(pageCount),
        ] {
            second += number(value, 8)
        }
        second += [UInt8](repeating: 0, count: 512 - second.count) + note
        var bitmap = [UInt8](repeating: 0, count: pageCount / 8)
        for page in pages.keys { bitmap[Int(page) / pageByteCount / 8] |= 1 << (Int(page) / pageByteCount % 8) }
        var descriptors: [UInt8] = []
        var data: [UInt8] = []
        let dataOffset = 4 * pageByteCount + pages.count * 24
        for (_, page) in pages.sorted(by: { $0.key < $1.key }) {
            let content = compressed(page)
            descriptors += number(UInt64(dataOffset + data.count), 8) + number(UInt64(content.count), 4)
            descriptors += number(compression.rawValue, 4) + number(0, 8)
            data += content
        }
        return block(header) + block(second) + block(bitmap) + block(bitmap) + descriptors + data
    }

    /// A page's bytes up to its last zeros as they stand, and those as a repetition. It is to be smaller than the page: the
    /// library's buffer for it is no larger.
    private func compressed(_ page: [UInt8]) -> [UInt8] {
        func little(_ value: Int, _ byteCount: Int) -> [UInt8] {
            bigEndian(UInt64(value), byteCount: byteCount).reversed()
        }
        let headByteCount = max((page.lastIndex { $0 != 0 } ?? 0) + 1, 64)
        let (head, zeroCount) = (Array(page.prefix(headByteCount)), page.count - headByteCount)
        switch compression {
        case .none: return page
        case .zlib:
            // RFC 1950, 1951: a stored block, one with fixed codes, and Adler-32.
            var (low, high): (UInt64, UInt64) = (1, 0)
            for byte in page { (low, high) = ((low + UInt64(byte)) % 65521, (high + low + UInt64(byte)) % 65521) }
            var bits = "110" + String(repeating: "00110000", count: 1 + (zeroCount - 1) % 258)
            bits += String(repeating: "11000101" + "00000", count: (zeroCount - 1) / 258) + "0000000"
            bits += String(repeating: "0", count: (8 - bits.count % 8) % 8)
            var block: [UInt8] = []
            for (index, bit) in bits.utf8.enumerated() {
                if index % 8 == 0 { block.append(0) }
                if bit == 0x31 { block[index / 8] |= 1 << UInt8(index % 8) }
            }
            let stored: [UInt8] = [0] + little(headByteCount, 2) + little(~headByteCount & 0xffff, 2) + head
            return [0x78, 1] + stored + block + bigEndian(high << 16 | low)
        case .lzo:
            // Literals, a repetition of the last one, both with their lengths in 255s, and the end of the stream.
            func count(_ rest: Int) -> [UInt8] {
                [UInt8](repeating: 0, count: (rest - 1) / 255) + [UInt8((rest - 1) % 255 + 1)]
            }
            let literals: [UInt8] = [0] + count(headByteCount + 1 - 18) + head + [0]
            let repetition: [UInt8] = [0x20] + count(zeroCount - 1 - 33) + [0, 0]
            return literals + repetition + [0x11, 0, 0]
        case .snappy:
            // The length, seven bits a byte, a literal with a zero more, and repetitions of that.
            var copies: [UInt8] = []
            for rest in stride(from: zeroCount - 1, to: 0, by: -64) {
                copies += [UInt8(min(rest, 64) - 1) << 2 | 2, 1, 0]
            }
            let literal: [UInt8] = [0xf4] + little(headByteCount, 2) + head + [0]
            return [0x80, 0x80, 0x04] + literal + copies
        case .zstd:
            // RFC 8878: a frame in one segment, a raw block, and one of a repetition, the last one.
            let header: [UInt8] = [0x28, 0xb5, 0x2f, 0xfd, 0xa0] + little(page.count, 4)
            let raw: [UInt8] = little(headByteCount << 3, 3) + head
            return header + raw + little(zeroCount << 3 | 2 | 1, 3) + [0]
        }
    }
}

extension SampleKernel {
    /// A compressed dump of it: pages of 64 KiB.
    func compressed(_ compression: SampleCompressedDump.Compression) -> SampleCompressedDump {
        var pages: [UInt64: [UInt8]] = [:]
        for (page, content) in contents where !lacking.contains(page & ~0xffff) {
            let offset = Int(page & 0xffff)
            pages[page & ~0xffff, default: [UInt8](repeating: 0, count: 65536)]
                .replaceSubrange(offset..<offset + 4096, with: content)
        }
        // A note is padded; one that is not is none to the library.
        var padded = note.note(order: order)
        padded += [UInt8](repeating: 0, count: (4 - padded.count % 4) % 4)
        return SampleCompressedDump(order: order, compression: compression, note: padded, pages: pages)
    }
}
