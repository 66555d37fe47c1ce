// SPDX-License-Identifier: Apache-2.0

import AgentProtocol
import GuestMemory
import TestSupport
import Testing
import VmemmapPopulate

private func sampleReport(entries: Int = 3, blocks: Int = 4) -> GuestReport {
    GuestReport(
        list: ListWalk(
            head: 0xc000_0000_3fff_0030,
            entries: (0..<entries).map { index in
                let number = UInt64(index)
                return ListEntry(
                    node: 0xc000_0000_3fff_0000 + number * 24, list: number, phys: number << 16,
                    virtAddr: 0xc00c_0000_0000_0000 + number << 16)
            },
            end: .terminated, endLink: 0),
        blockByteCount: 256 << 20,
        blocks: (0..<blocks).map { MemoryBlock(index: UInt64($0), state: $0 % 2 == 0 ? .online : .offline) })
}

struct GuestReportTests {
    @Test(arguments: [ByteOrder.little, .big], [4096, 65536] as [UInt64])
    func roundTrip(order: ByteOrder, pageByteCount: UInt64) throws {
        try withRegion(pageByteCount: pageByteCount, order: order) { region, _ in
            let report = sampleReport()
            try report.write(to: region)
            #expect(try GuestReport(from: region) == report)
            #expect(try region.header(.generation) == 2)
            // A shorter one over a longer one.
            let shorter = sampleReport(entries: 1, blocks: 0)
            try shorter.write(to: region)
            #expect(try GuestReport(from: region) == shorter)
            #expect(try region.header(.generation) == 4)
        }
    }

    static let faults: [RadixWalk.Fault?] =
        [nil]
        + [
            .unreadable, .tableSize(word: 1), .tableAlignment(word: 2), .leafInRoot(word: 3),
            .tableBelowLastLevel(word: 4),
        ]
        .map {
            RadixWalk.Fault(entryAddress: PhysicalAddress(0x3fee_0008), virtAddr: 0xc00c_0000_0020_0000, reason: $0)
        }

    @Test(arguments: faults) func pageTables(fault: RadixWalk.Fault?) throws {
        try withRegion { region, _ in
            var report = sampleReport(entries: 0)
            report.list.head = 0
            report.tables = GuestReport.Tables(
                leaves: (0..<5).map {
                    RadixWalk.Leaf(
                        entryAddress: PhysicalAddress(0x3fee_0000 + $0 * 8), virtAddr: 0xc00c_0000_0000_0000 + $0 << 21,
                        phys: 0x3600_0000 + $0 << 21, byteCount: 2 << 20)
                }, fault: fault)
            try report.write(to: region)
            #expect(try GuestReport(from: region) == report)
            // A list over page tables.
            try sampleReport().write(to: region)
            #expect(try GuestReport(from: region) == sampleReport())
        }
    }

    @Test func pageTablesThatDoNotFit() throws {
        try withRegion(regionByteCount: 2 << 20) { region, _ in
            let capacity = Int(region.layout.reportEntryCapacity)
            var report = sampleReport(entries: 0)
            let leaf = RadixWalk.Leaf(entryAddress: PhysicalAddress(8), virtAddr: 1, phys: 2, byteCount: 3)
            report.tables = GuestReport.Tables(leaves: Array(repeating: leaf, count: capacity + 1), fault: nil)
            try report.write(to: region)
            let read = try GuestReport(from: region)
            #expect(read.list.end == .truncated)
            #expect(read.tables?.leaves.count == capacity)
        }
    }

    @Test(arguments: [(48, 0), (48, 3), (48, .max), (56, 8), (56, .max)] as [(UInt64, UInt64)])
    func damagedPageTables(offset: UInt64, value: UInt64) throws {
        try withRegion { region, _ in
            var report = sampleReport(entries: 0)
            report.tables = GuestReport.Tables(leaves: [], fault: Self.faults[1])
            try report.write(to: region)
            try region.store(value, at: SharedRegionLayout.reportOffset + offset)
            let problem = offset == 48 ? GuestReport.Problem.account(value) : .fault(value)
            #expect(throws: problem) { try GuestReport(from: region) }
        }
    }

    @Test(arguments: ListWalk.End.allCases)
    func everyEnd(end: ListWalk.End) throws {
        try withRegion { region, _ in
            var report = sampleReport()
            report.list.end = end
            report.list.endLink = 0xc000_0000_0000_0008
            try report.write(to: region)
            #expect(try GuestReport(from: region) == report)
        }
    }

    @Test(arguments: MemoryBlock.State.allCases)
    func everyBlockState(state: MemoryBlock.State) throws {
        try withRegion { region, _ in
            var report = sampleReport()
            report.blocks = [MemoryBlock(index: 8191, state: state), MemoryBlock(index: 1 << 40, state: state)]
            try report.write(to: region)
            #expect(try GuestReport(from: region) == report)
        }
    }

    @Test func emptyReport() throws {
        try withRegion { region, _ in
            let report = GuestReport(
                list: ListWalk(head: 0, entries: [], end: .terminated, endLink: 0), blockByteCount: 0, blocks: [])
            try report.write(to: region)
            #expect(try GuestReport(from: region) == report)
        }
    }

    @Test func asManyAsFit() throws {
        try withRegion(regionByteCount: 2 << 20) { region, _ in
            let report = sampleReport(entries: Int(region.layout.reportEntryCapacity), blocks: 8192)
            try report.write(to: region)
            #expect(try GuestReport(from: region) == report)
        }
    }

    @Test(arguments: [(1, 0), (0, 1), (100, 100)])
    func whatDoesNotFitIsLeftOut(moreEntries: Int, moreBlocks: Int) throws {
        try withRegion(regionByteCount: 2 << 20) { region, _ in
            let capacity = Int(region.layout.reportEntryCapacity)
            let origins = region.layout.originsOffset
            try region.store(77, at: origins)
            let report = sampleReport(entries: capacity + moreEntries, blocks: 8192 + moreBlocks)
            try report.write(to: region)
            let read = try GuestReport(from: region)
            #expect(read.list.end == .truncated)
            #expect(read.list.entries == Array(report.list.entries.prefix(capacity)))
            #expect(read.blocks == Array(report.blocks.prefix(8192)))
            #expect(read.list.head == report.list.head)
            // Nothing ran over into what follows.
            #expect(try region.word(at: origins) == 77)
        }
    }

    struct Damage: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let offset: UInt64
        let value: UInt64
        let problem: GuestReport.Problem
    }

    private static let capacity: UInt64 = 27300

    @Test(arguments: [
        Damage(
            testDescription: "one entry too many", offset: 8, value: capacity + 1,
            problem: .entryCount(capacity + 1, limit: capacity)),
        Damage(
            testDescription: "all entries", offset: 8, value: .max, problem: .entryCount(.max, limit: capacity)),
        Damage(testDescription: "no end", offset: 16, value: 0, problem: .end(0)),
        Damage(testDescription: "unknown end", offset: 16, value: 7, problem: .end(7)),
        Damage(testDescription: "huge end", offset: 16, value: .max, problem: .end(.max)),
        Damage(
            testDescription: "one block too many", offset: 24, value: 8193, problem: .blockCount(8193, limit: 8192)),
        Damage(
            testDescription: "all blocks", offset: 24, value: .max, problem: .blockCount(.max, limit: 8192)),
        Damage(testDescription: "unknown state", offset: 4096, value: 4, problem: .blockState(4)),
        Damage(testDescription: "huge state", offset: 4096 + 8, value: .max, problem: .blockState(255)),
    ])
    func damagedReport(damage: Damage) throws {
        try withRegion { region, _ in
            try sampleReport().write(to: region)
            try region.store(damage.value, at: SharedRegionLayout.reportOffset + damage.offset)
            #expect(throws: damage.problem) { try GuestReport(from: region) }
        }
    }

    @Test func aFreshRegionHoldsNoReport() throws {
        try withRegion { region, _ in
            #expect(throws: GuestReport.Problem.end(0)) { try GuestReport(from: region) }
        }
    }

    /// A region that is shorter than its layout: the mapping's end is found, not run over.
    @Test func theRegionEnds() throws {
        let layout = try SharedRegionLayout(regionByteCount: 4 << 20, pageByteCount: 65536)
        let heap = HeapWords(byteCount: Int(layout.reportBlocksOffset(.first)) + 8)
        try withExtendedLifetime(heap) {
            let region = SharedRegion(words: heap.words, layout: layout, order: .little)
            #expect(throws: MemoryAccessError.unmapped(layout.reportBlocksOffset(.first) + 8)) {
                try sampleReport(entries: 0, blocks: 2).write(to: region)
            }
            try region.store(1, at: SharedRegionLayout.reportOffset + 16)
            try region.store(1, at: SharedRegionLayout.reportOffset + 48)
            try region.store(2, at: SharedRegionLayout.reportOffset + 24)
            #expect(throws: GuestReport.Problem.memory(.unmapped(layout.reportBlocksOffset(.first) + 8))) {
                try GuestReport(from: region)
            }
        }
    }
}
