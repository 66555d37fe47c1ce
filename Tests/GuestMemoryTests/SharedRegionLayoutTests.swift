// SPDX-License-Identifier: Apache-2.0

import GuestMemory
import Testing

struct SharedRegionLayoutTests {
    struct Offsets: Sendable {
        let pageByteCount: UInt64
        let nodePageCapacity, nodesPerPage, originsOffset, nodesOffset: UInt64
    }

    /// The format is read by other programs: these numbers are part of it.
    @Test(arguments: [
        Offsets(
            pageByteCount: 65536,
            nodePageCapacity: 10,
            nodesPerPage: 2730,
            originsOffset: 3_000_576,
            nodesOffset: 3_276_800
        ),
        Offsets(
            pageByteCount: 4096,
            nodePageCapacity: 179,
            nodesPerPage: 170,
            originsOffset: 3_200_896,
            nodesOffset: 3_444_736
        ),
    ])
    func offsetsOfFourMebibytes(expected: Offsets) throws {
        let layout = try SharedRegionLayout(regionByteCount: 4 << 20, pageByteCount: expected.pageByteCount)
        #expect(SharedRegionLayout.ringOffset == 65536)
        #expect(SharedRegionLayout.reportOffset == 1_114_112)
        #expect(layout.reportBlocksOffset(.first) == 1_118_208)
        #expect(layout.reportEntriesOffset(.first) == 1_183_744)
        #expect(layout.nodePageCapacity == expected.nodePageCapacity)
        #expect(layout.nodesPerPage == expected.nodesPerPage)
        #expect(layout.nodeCapacity == expected.nodePageCapacity * expected.nodesPerPage)
        #expect(layout.originsOffset == expected.originsOffset)
        #expect(layout.nodesOffset == expected.nodesOffset)
    }

    @Test func headerFieldsStayWhereTheyAre() {
        typealias Field = SharedRegionLayout.Field
        #expect(Field.magic.offset == 0)
        #expect(Field.byteOrderMark.offset == 16)
        #expect(Field.generation.offset == 40)
        #expect(Field.head.offset == 64)
        #expect(Field.eventCount.offset == 104)
        #expect(Field.eventSource.offset == 208)
        #expect(Field.allCases.map(\.offset) == (0..<27).map { $0 * 8 })
        typealias CaptureField = SharedRegionLayout.CaptureField
        #expect(CaptureField.allCases.map(\.offset) == (0..<6).map { 4096 + $0 * 8 })
        #expect(CaptureField.generation.offset == 4120)
        #expect(SharedRegionLayout.releaseOffset >= Field.eventSource.offset + 8)
        #expect(
            SharedRegionLayout.releaseOffset + SharedRegionLayout.releaseByteCount <= SharedRegionLayout.ringOffset
        )
    }

    @Test(arguments: Array(21...40), [4096, 65536] as [UInt64])
    func areasFollowEachOtherInsideTheRegion(sizeBits: Int, pageByteCount: UInt64) throws {
        let size: UInt64 = 1 << sizeBits
        let layout = try SharedRegionLayout(regionByteCount: size, pageByteCount: pageByteCount)
        let areas: [(start: UInt64, byteCount: UInt64)] = [
            (0, SharedRegionLayout.releaseOffset + SharedRegionLayout.releaseByteCount),
            (
                SharedRegionLayout.captureHeaderOffset,
                SharedRegionLayout.releaseOffset + SharedRegionLayout.releaseByteCount
            ),
            (
                SharedRegionLayout.ringOffset,
                SharedRegionLayout.ringSlotCount * SharedRegionLayout.ringSlotByteCount
            ),
            (SharedRegionLayout.reportOffset, SharedRegionLayout.reportHeaderByteCount),
            (layout.reportBlocksOffset(.first), SharedRegionLayout.reportBlockCapacity * 8),
            (layout.reportEntriesOffset(.first), layout.reportEntryCapacity * SharedRegionLayout.reportEntryByteCount),
            (layout.reportOffset(.capture), SharedRegionLayout.reportHeaderByteCount),
            (layout.reportBlocksOffset(.capture), SharedRegionLayout.reportBlockCapacity * 8),
            (
                layout.reportEntriesOffset(.capture),
                layout.reportEntryCapacity * SharedRegionLayout.reportEntryByteCount
            ),
            (layout.originsOffset, layout.nodeCapacity * 8),
            (layout.nodesOffset, layout.nodePageCapacity * pageByteCount),
        ]
        for (area, next) in zip(areas, areas.dropFirst()) {
            #expect(area.start + area.byteCount <= next.start)
            #expect(next.start % 8 == 0)
        }
        #expect(layout.nodesOffset % pageByteCount == 0)
        #expect(layout.nodesOffset + layout.nodePageCapacity * pageByteCount <= size)
        #expect(layout.nodePageCapacity > 0)
    }

    @Test(arguments: [4096, 65536] as [UInt64])
    func slotsOfNodes(pageByteCount: UInt64) throws {
        let layout = try SharedRegionLayout(regionByteCount: 4 << 20, pageByteCount: pageByteCount)
        let nodes = layout.nodesOffset
        #expect(layout.slot(ofNodeAt: nodes) == 0)
        #expect(layout.slot(ofNodeAt: nodes + 24) == 1)
        #expect(layout.slot(ofNodeAt: nodes + pageByteCount) == layout.nodesPerPage)
        let lastInPage = nodes + (layout.nodesPerPage - 1) * 24
        #expect(layout.slot(ofNodeAt: lastInPage) == layout.nodesPerPage - 1)
        let last = nodes + (layout.nodePageCapacity - 1) * pageByteCount + (layout.nodesPerPage - 1) * 24
        #expect(layout.slot(ofNodeAt: last) == layout.nodeCapacity - 1)

        let invalid: [UInt64] = [
            0, 24, nodes - 24, nodes - 1, nodes + 1, nodes + 8, nodes + 23, lastInPage + 24,
            nodes + layout.nodePageCapacity * pageByteCount, .max, .max - 23,
        ]
        for offset in invalid {
            #expect(layout.slot(ofNodeAt: offset) == nil, "offset \(offset)")
        }
    }

    /// Every slot has its own origin word, and no node another's slot.
    @Test func slotsAreDistinctAndHaveTheirOrigin() throws {
        let layout = try SharedRegionLayout(regionByteCount: 2 << 20, pageByteCount: 4096)
        var expected: UInt64 = 0
        for page in 0..<layout.nodePageCapacity {
            for node in 0..<layout.nodesPerPage {
                let slot = layout.slot(ofNodeAt: layout.nodesOffset + page * 4096 + node * 24)
                try #require(slot == expected)
                expected += 1
            }
        }
        #expect(expected == layout.nodeCapacity)
        #expect(layout.originsOffset + expected * 8 <= layout.nodesOffset)
    }

    @Test(arguments: [0, 1, 2, 3, 4, 7, 8, 16, 60, 64, 100, 256, 1000, 1024, 4096, 16384] as [UInt64])
    func sizeForAGuestHoldsItsNodes(gibibytes: UInt64) throws {
        for extra: UInt64 in [0, 1 << 28] {
            let memory = gibibytes << 30 + extra
            let size = SharedRegionLayout.regionByteCount(maximumMemoryByteCount: memory)
            #expect(size.isPowerOfTwo)
            for pageByteCount: UInt64 in [4096, 65536] {
                let layout = try SharedRegionLayout(regionByteCount: size, pageByteCount: pageByteCount)
                // One node for every 256 KiB: 4 KiB pages, 64 bytes a page, 4 KiB blocks.
                #expect(layout.nodeCapacity >= memory >> 18)
                #expect(layout.reportEntryCapacity >= memory >> 18)
            }
        }
    }

    @Test(arguments: [0, 1, 1 << 19, 1 << 20, 3 << 20, 4 << 20 + 8, 4 << 20 - 1, 1 << 41, .max] as [UInt64])
    func refusedRegionSizes(size: UInt64) {
        for pageByteCount: UInt64 in [4096, 65536] {
            #expect(throws: SharedRegionLayout.Problem.regionSize(size)) {
                try SharedRegionLayout(regionByteCount: size, pageByteCount: pageByteCount)
            }
        }
    }

    @Test(arguments: [0, 1, 4095, 8192, 16384, 65537, 1 << 21, .max] as [UInt64])
    func refusedPageSizes(pageByteCount: UInt64) {
        #expect(throws: SharedRegionLayout.Problem.pageSize(pageByteCount)) {
            try SharedRegionLayout(regionByteCount: 4 << 20, pageByteCount: pageByteCount)
        }
    }
}
