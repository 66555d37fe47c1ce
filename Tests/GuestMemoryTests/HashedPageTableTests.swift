// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing

@testable import GuestMemory

@Suite struct HashedPageTableTests {
    struct Recorded: Sendable {
        let segments: HashedSegments
        let tableShift: UInt64
        let pageShift: UInt64
        let virtAddr: UInt64
        let phys: UInt64
        let entry: HashedEntry

        init(
            _ segmentShift: UInt64, _ bits: UInt64, _ context: UInt64, table: UInt64, page: UInt64, _ virtAddr: UInt64,
            _ phys: UInt64, _ index: UInt64, _ v: UInt64, _ r: UInt64
        ) {
            segments = HashedSegments(segmentShift: segmentShift, virtualBitCount: bits, context: context)
            (tableShift, pageShift, self.virtAddr, self.phys) = (table, page, virtAddr, phys)
            entry = HashedEntry(index: index, v: v, r: r)
        }
    }

    /// From QEMU 7.2's streams of running guests; which address is mapped to which page, their lists say.
    private static let recorded = [
        // 6.1.0-50-powerpc64le, POWER8, disable_1tb_segments.
        Recorded(
            28, 40, 7, table: 21, page: 16, 0xc00c_0000_0007_0000, 0x3feb_0000, 0x501, 0x66bde000a7015, 0x3feb1194),
        Recorded(
            28, 40, 7, table: 21, page: 16, 0xc00c_0000_0010_0000, 0x4e1_0000, 0x5ba, 0x66bde000a7015, 0x4e11194),
        // 6.12.95+deb12-powerpc64le-64k, POWER9, disable_radix.
        Recorded(
            40, 28, 7, table: 23, page: 16, 0xc00c_0000_0007_0000, 0x3fe4_0000, 0x6f500, 0x4006_6bde_a700_0015,
            0x3fe41194),
        Recorded(
            40, 28, 7, table: 23, page: 16, 0xc00c_0000_0010_0000, 0x204_0000, 0x6f5b8, 0x4006_6bde_a700_0015,
            0x2041194),
        // 6.12.95+deb12-powerpc64le, POWER8, 4 KiB pages, a table that has grown from 2^23 bytes.
        Recorded(
            40, 28, 4, table: 26, page: 12, 0xc000_3f00_02dc_9000, 0x59b_e000, 0x1c0001, 0x4009_9bad_c900_0291,
            0x59be194),
        Recorded(
            40, 28, 4, table: 26, page: 12, 0xc000_3f00_00dc_9000, 0x383c_9000, 0x1d0004, 0x4009_9bad_c900_0091,
            0x383c9194),
        Recorded(
            40, 28, 4, table: 26, page: 12, 0xc000_3f00_0123_6000, 0x387f_d000, 0x1dfff8, 0x4009_9bad_c900_0111,
            0x387fd194),
        // 6.1.176, big-endian, POWER8.
        Recorded(
            40, 28, 7, table: 23, page: 16, 0xc00c_0000_000d_0000, 0x3fe8_0000, 0x6f550, 0x4006_6bde_a700_0015,
            0x3fe81194),
    ]

    @Test(arguments: recorded.indices) func readsRecordedEntries(index: Int) {
        let recorded = Self.recorded[index]
        let (entry, segments) = (recorded.entry, recorded.segments)
        #expect(entry.segmentShift == segments.segmentShift)
        #expect(entry.virtualSegment == segments.virtualSegment(of: recorded.virtAddr))
        #expect(
            segments.offset(of: entry, pageShift: recorded.pageShift, groupCount: 1 << (recorded.tableShift - 7))
                == recorded.virtAddr & (1 << segments.segmentShift - 1))
        #expect(entry.phys(pageShift: recorded.pageShift) == recorded.phys)
        #expect(entry.isValid && entry.isBolted && entry.isKernelData)
        for shift: UInt64 in [12, 16, 24] { #expect(entry.mapsPage(shift: shift) == (shift == recorded.pageShift)) }
        #expect(HashedSegments.candidates.contains(segments))
    }

    /// Both groups, each page size, each table: there and back.
    @Test(arguments: [12, 16, 24] as [UInt64], [(40, 28), (40, 25), (28, 40), (28, 37)] as [(UInt64, UInt64)])
    func findsTheAddressAgain(pageShift: UInt64, segment: (shift: UInt64, bits: UInt64)) {
        for tableShift: UInt64 in [18, 24, 30] {
            var table = SampleHashTable()
            (table.segmentShift, table.virtualBitCount) = segment
            (table.pageShift, table.tableShift) = (pageShift, tableShift)
            let segments = HashedSegments(
                segmentShift: segment.shift, virtualBitCount: segment.bits, context: table.context)
            for number: UInt64 in [0, 1, 127, 128, 2047, 2048, 12_345] {
                let virtAddr = 0xc00c_0000_0000_0000 + number << pageShift
                for isSecondary in [false, true] {
                    let entry = table.entry(virtAddr: virtAddr, phys: 0x4000_0000, isSecondary: isSecondary, slot: 7)
                    #expect(entry.isSecondary == isSecondary)
                    #expect(entry.mapsPage(shift: pageShift))
                    #expect(entry.virtualSegment == segments.virtualSegment(of: virtAddr))
                    func offset(_ entry: HashedEntry) -> UInt64? {
                        segments.offset(of: entry, pageShift: pageShift, groupCount: 1 << (tableShift - 7))
                    }
                    #expect(offset(entry) == virtAddr & (1 << segment.shift - 1))
                    // The same words in the group beside it are of another page, or of none.
                    let moved = HashedEntry(index: entry.index ^ 8 << 10, v: entry.v, r: entry.r)
                    #expect(offset(moved) != offset(entry))
                }
            }
        }
    }

    /// Each bit of what a mapping is like.
    @Test(
        arguments: [
            (0x100, true), (0x80, true), (0x40, false), (0x20, false), (0x10, false), (0x08, false), (0x04, false),
            (0x02, false), (0x01, false), (0x200, false), (0x400, false), (0x800, false), (1 << 63, false),
            (1 << 62, false),
            (1 << 61, false), (1 << 60, false), (1 << 59, true), (0x1000, true),
        ] as [(UInt64, Bool)]) func knowsTheKernelsOwnData(bit: UInt64, isStill: Bool)
    {
        #expect(HashedEntry(index: 0, v: 0x15, r: 0x3fe4_1194 ^ bit).isKernelData == isStill)
    }

    @Test func segmentsThatNoProcessorHas() {
        for v: UInt64 in [2 << 62, 3 << 62 | 0x15] {
            let entry = HashedEntry(index: 0, v: v, r: 0)
            #expect(entry.segmentShift == nil)
            #expect(entry.virtualSegment == nil)
        }
    }
}
