// SPDX-License-Identifier: Apache-2.0

import Foundation
import GuestMemory
import HarnessBasics
import Inspection
import MemoryBackends
import RunRecord
import SystemPackage
import TestSupport
import Testing

@testable import OfflineCommands

/// `inspect --pages`: what VMCOREINFO lets be read of a `struct page`, and what it does not.
@Suite struct StructPageTests {
    private let folder: TemporaryFolder

    init() throws { folder = try TemporaryFolder() }

    /// What a 6.1 kernel's note has of pages, and a 6.12 one's.
    private static let offsets: [(String, String)] = [
        ("OFFSET(page.flags)", "0"), ("OFFSET(page._refcount)", "52"), ("OFFSET(page.mapping)", "24"),
        ("OFFSET(page.lru)", "8"), ("OFFSET(page._mapcount)", "48"), ("OFFSET(page.private)", "40"),
        ("OFFSET(page.compound_head)", "8"), ("NUMBER(PG_lru)", "4"), ("NUMBER(PG_private)", "13"),
        ("NUMBER(PG_swapcache)", "10"), ("NUMBER(PG_swapbacked)", "19"), ("NUMBER(PG_hwpoison)", "22"),
        ("NUMBER(PG_head_mask)", "65536"),
    ]
    private static let flagTypes: [(String, String)] =
        offsets + [
            ("OFFSET(page.compound_dtor)", "16"), ("OFFSET(page.compound_order)", "17"), ("NUMBER(PG_slab)", "9"),
            ("NUMBER(PAGE_BUDDY_MAPCOUNT_VALUE)", "-129"), ("NUMBER(HUGETLB_PAGE_DTOR)", "2"),
            ("NUMBER(PAGE_OFFLINE_MAPCOUNT_VALUE)", "-257"),
        ]
    private static let byteTypes: [(String, String)] =
        offsets + [
            ("NUMBER(PAGE_SLAB_MAPCOUNT_VALUE)", "-184549376"), ("NUMBER(PAGE_BUDDY_MAPCOUNT_VALUE)", "-268435456"),
            ("NUMBER(PAGE_HUGETLB_MAPCOUNT_VALUE)", "-201326592"),
            ("NUMBER(PAGE_OFFLINE_MAPCOUNT_VALUE)", "-251658240"),
        ]

    private static func kernel(_ order: ByteOrder, _ keys: [(String, String)]) -> SampleKernel {
        var kernel = SampleKernel(order: order)
        for (key, value) in keys { kernel.note = kernel.note.adding(key, value) }
        return kernel
    }

    private func inspection(_ kernel: SampleKernel, _ frames: [UInt64]) throws -> Inspection {
        try Inspection(of: DumpMemory(FilePath(folder.write(kernel.bytes, to: "dump"))), frames: frames)
    }

    /// Numbers in a `struct page`, and what is read of them.
    struct Case: Sendable, CustomTestStringConvertible {
        let testDescription: String
        var page: UInt64 = 32
        var flags: UInt64 = 0
        var refcount: UInt64 = 1
        var mapcount: UInt64 = 0xffff_ffff
        var mapping: UInt64 = 0
        var privateWord: UInt64 = 0
        var lru: [UInt64] = [0xc000_0000_0012_3408, 0xc000_0000_0012_3410]
        /// In the first tail: flags, destructor, order.
        var tail: [UInt64] = [0, 0, 0]
        var names: [String] = []
        var use: StructPage.Use = .mapped(0)
        var compound: StructPage.Compound = .none
        var buddyOrder: UInt64?
        /// What a person reads, among other things.
        var words: String
    }

    private static let tailLink: UInt64 = 0xc00c_0000_0000_0801

    private static let flagTypeCases = [
        Case(
            testDescription: "anonymous", flags: 0x7_0008_0010, refcount: 3, mapcount: 1,
            mapping: 0xc000_0000_0432_1001,
            privateWord: 7, names: ["PG_lru", "PG_swapbacked"], use: .mapped(2),
            words: "flags 0x700080010 (PG_lru, PG_swapbacked); refcount 3; mapped 2 times; mapping 0xc000000004321001;"),
        Case(
            testDescription: "free", refcount: 0, mapcount: 0xffff_ff7f, privateWord: 3, use: .typed("buddy"),
            buddyOrder: 3, words: "refcount 0; free, in the buddy allocator, of order 3;"),
        Case(
            testDescription: "free, of an order that cannot be", refcount: 0, mapcount: 0xffff_ff7f,
            privateWord: 1 << 40, use: .typed("buddy"), words: "of order that cannot be, 0x10000000000;"),
        Case(
            testDescription: "offline", mapcount: 0xffff_feff, use: .typed("offline"), words: "of type offline;"),
        Case(
            testDescription: "a page table's", mapcount: 0xffff_fdff, use: .unnamed,
            words: "of a type that VMCOREINFO does not name, _mapcount 0xfffffdff;"),
        Case(
            testDescription: "slab, with its own count", flags: 1 << 9 | 1 << 16, mapcount: 0x0010_0002,
            tail: [0, 0, 2], names: ["PG_slab"], use: .typed("slab"), compound: .head(order: 2),
            words: "(PG_slab); refcount 1; of type slab; head of a compound page of order 2;"),
        Case(
            testDescription: "huge", flags: 1 << 16, tail: [0, 2, 5], use: .typed("hugetlb"),
            compound: .head(order: 5), words: "of type hugetlb; head of a compound page of order 5;"),
        Case(
            testDescription: "head of an order that cannot be", page: 34, flags: 1 << 16, tail: [0, 1, 5],
            compound: .head(order: nil), words: "mapped 0 times; head of a compound page;"),
        Case(
            testDescription: "a tail", page: 33, flags: 1 << 16 | 1 << 9 | 1 << 22, refcount: 0,
            lru: [tailLink, 0], names: ["PG_hwpoison"], compound: .tail(of: tailLink - 1, frame: 32),
            words: "(PG_hwpoison); refcount 0; mapped 0 times; tail of the compound page of page frame 32;"),
        Case(
            testDescription: "a tail of nothing", lru: [0x1235, 0], compound: .tail(of: 0x1234, frame: nil),
            words: "tail of the compound page of no page frame, at 0x1234;"),
        Case(
            testDescription: "the ends of numbers", flags: .max & ~(1 << 9), refcount: 0x8000_0000,
            mapcount: 0x7fff_ffff, mapping: .max, privateWord: .max, lru: [.max - 1, .max], tail: [.max, 255, 255],
            names: ["PG_lru", "PG_swapcache", "PG_private", "PG_swapbacked", "PG_hwpoison"], use: .mapped(1 << 31),
            compound: .head(order: nil), words: "refcount -2147483648; mapped 2147483648 times;"),
    ]

    private static let byteTypeCases = [
        Case(
            testDescription: "free", refcount: 0, mapcount: 0xf000_0000, privateWord: 8, use: .typed("buddy"),
            buddyOrder: 8, words: "free, in the buddy allocator, of order 8;"),
        Case(
            testDescription: "slab, with its owner's bits", flags: 1 << 16, mapcount: 0xf500_0007, tail: [0x3, 0, 0],
            use: .typed("slab"), compound: .head(order: 3), words: "of type slab; head of a compound page of order 3;"),
        Case(
            testDescription: "huge", flags: 1 << 16, mapcount: 0xf400_0000, tail: [0xffff_ff05, 0, 0],
            use: .typed("hugetlb"), compound: .head(order: 5),
            words: "of type hugetlb; head of a compound page of order 5;"),
        Case(
            testDescription: "offline", mapcount: 0xf100_0000, use: .typed("offline"), words: "of type offline;"),
        Case(testDescription: "another type", mapcount: 0xf200_0000, use: .unnamed, words: "_mapcount 0xf2000000;"),
        Case(testDescription: "a kernel's", flags: 1 << 9, words: "flags 0x200; refcount 1; mapped 0 times;"),
    ]

    private func check(_ sample: Case, _ order: ByteOrder, _ keys: [(String, String)]) throws {
        var kernel = Self.kernel(order, keys)
        let fields: [(UInt64, UInt64, UInt64)] = [
            (sample.flags, 8, 0), (sample.lru[0], 8, 8), (sample.lru[1], 8, 16), (sample.mapping, 8, 24),
            (sample.privateWord, 8, 40), (sample.mapcount, 4, 48), (sample.refcount, 4, 52),
        ]
        for (value, byteCount, offset) in fields { kernel.put(value, byteCount, page: sample.page, offset: offset) }
        for (index, (byteCount, offset)) in [(8, 0), (1, 16), (1, 17)].enumerated() {
            kernel.put(sample.tail[index], UInt64(byteCount), page: sample.page + 1, offset: UInt64(offset))
        }
        let inspection = try inspection(kernel, [sample.page])
        #expect(inspection.outcome == .passed)
        let page = try #require(inspection.pages.first)
        #expect(page.isPresent)
        #expect(page.location?.backing?.phys == SampleKernel.blocks + sample.page * 64)
        let contents = try #require(page.contents)
        #expect(contents.flags == sample.flags)
        #expect(contents.flagNames == sample.names)
        #expect(contents.refcount == Int32(truncatingIfNeeded: sample.refcount))
        #expect(contents.mapcount == UInt32(sample.mapcount))
        #expect(contents.use == sample.use)
        #expect(contents.compound == sample.compound)
        #expect(contents.buddyOrder == sample.buddyOrder)
        #expect(contents.mapping == sample.mapping && contents.privateWord == sample.privateWord)
        #expect(contents.lru == sample.lru)
        #expect(contents.words.count == 8)
        let text = InspectionReport(inspection: inspection, path: "dump", listsEntries: false, translated: []).text
        #expect(text.replacing(/\n */, with: " ").contains(sample.words), "\(sample.words) in \(text)")
        #expect(text.split(separator: "\n").allSatisfy { $0.count <= 80 })
    }

    @Test(arguments: flagTypeCases, [ByteOrder.little, .big])
    func readsTypesThatAreFlags(sample: Case, order: ByteOrder) throws {
        try check(sample, order, Self.flagTypes)
    }

    @Test(arguments: byteTypeCases, [ByteOrder.little, .big])
    func readsTypesInTheUpperByte(sample: Case, order: ByteOrder) throws {
        try check(sample, order, Self.byteTypes)
    }

    /// Page frame numbers up to the last one, and pages that nobody can look at.
    @Test(
        arguments: [
            (16383, "page frame 16383: struct page at virt 0xc00c0000000fffc0, phys 0x8fffc0; node"),
            (16384, "16384, of no present section: struct page at virt 0xc00c000000100000; nothing backs it"),
            (1 << 35 - 1, "of no present section: struct page at virt 0xc00c01ffffffffc0; nothing backs it"),
            (1 << 35, "page frame 34359738368, of no present section: no memory map reaches it"),
            (.max / 65536 + 1, "of no present section: no memory map reaches it"),
            (.max, "page frame 18446744073709551615, of no present section: no memory map reaches it"),
            (
                64,
                "page frame 64: struct page at virt 0xc00c000000001000, phys 0x801000; not in the ELF core dump; node"
            ),
        ] as [(UInt64, String)])
    func everyFrameHasAnAnswer(frame: UInt64, words: String) async throws {
        var kernel = Self.kernel(.little, Self.flagTypes)
        kernel.lacking = [0x80_1000]
        let inspection = try inspection(kernel, [frame])
        let report = InspectionReport(inspection: inspection, path: "dump", listsEntries: false, translated: [])
        let text = report.text.replacing(/\n */, with: " ")
        #expect(text.contains(words), "\(words) in \(text)")
        #expect(inspection.pages.map(\.frame) == [frame])
        #expect((inspection.pages[0].contents == nil) == (frame != 16383))
        #expect(try await JSONSchema("inspection").refusals(of: Data(report.json().utf8)) == [nil])
    }

    /// Blocks that are no memory, and one that ends in the middle of a `struct page`.
    @Test func blocksMayBeAnywhere() throws {
        for phys: UInt64 in [.max, .max - 0xffff, 1 << 50, 3, 0xffff_ffff_ffff_fff8] {
            var kernel = Self.kernel(.little, Self.flagTypes)
            kernel.words[SampleKernel.node + 8] = phys
            #expect(try inspection(kernel, [0, 1, 1023]).pages.allSatisfy { $0.contents == nil })
        }
        var kernel = Self.kernel(.little, Self.flagTypes)
        kernel.words[SampleKernel.node + 8] = 0x80_0fe0
        kernel.lacking = [0x80_1000]
        let contents = try #require(try inspection(kernel, [0]).pages[0].contents)
        #expect(contents.words == [0, 0, 0, 0, nil, nil, nil, nil])
        #expect(contents.flags == 0 && contents.privateWord == nil && contents.use == nil && contents.lru == [0, 0])
    }

    /// Keys with values that no kernel means: nothing is read by them, and that is told.
    @Test(arguments: [
        ("OFFSET(page.flags)", "57"), ("OFFSET(page.flags)", "64"), ("OFFSET(page.flags)", "18446744073709551615"),
        ("OFFSET(page.flags)", "-8"), ("OFFSET(page.flags)", "9223372036854775807"), ("OFFSET(page._refcount)", "62"),
        ("OFFSET(page._refcount)", "50"), ("OFFSET(page._mapcount)", "64"), ("OFFSET(page.lru)", "56"),
        ("OFFSET(page.private)", ""), ("OFFSET(page.mapping)", "0x18"), ("OFFSET(page.compound_head)", "4"),
        ("OFFSET(page.compound_order)", "64"), ("NUMBER(PG_lru)", "64"), ("NUMBER(PG_lru)", "-1"),
        ("NUMBER(PG_head_mask)", "0"), ("NUMBER(PG_head_mask)", "18446744073709551616"),
        ("NUMBER(PAGE_BUDDY_MAPCOUNT_VALUE)", "-2147483649"), ("NUMBER(PAGE_BUDDY_MAPCOUNT_VALUE)", "4294967296"),
        ("NUMBER(HUGETLB_PAGE_DTOR)", "256"), ("OFFSET(page.flags)", "1\u{1b}[2J"),
    ]) func whatCannotBeIsToldAndLeftOut(key: String, value: String) throws {
        var kernel = Self.kernel(.little, Self.flagTypes)
        kernel.note = kernel.note.replacing(key, with: value)
        kernel.put(.max, 8, page: 32, offset: 0)
        let inspection = try inspection(kernel, [32])
        let layout = try #require(inspection.structPageLayout)
        #expect(layout.unusable.count == 1 && layout.unusable[0].hasPrefix("\(key)="))
        #expect(inspection.pages[0].contents != nil)
        let text = InspectionReport(inspection: inspection, path: "dump", listsEntries: false, translated: []).text
        #expect(text.contains("  not usable in VMCOREINFO: \(key)=") && !text.contains("\u{1b}"))
    }

    /// A note that says nothing of pages: their places are told, and their words.
    @Test func whatIsNotToldIsNotGuessed() throws {
        var kernel = SampleKernel()
        kernel.put(.max, 8, page: 32, offset: 0)
        let inspection = try inspection(kernel, [32])
        let contents = try #require(inspection.pages[0].contents)
        #expect(contents.words == [.max] + [UInt64?](repeating: 0, count: 7))
        #expect(contents.flags == nil && contents.refcount == nil && contents.use == nil && contents.compound == nil)
        let text = InspectionReport(inspection: inspection, path: "dump", listsEntries: false, translated: []).text
        #expect(
            text.replacing(/\n */, with: " ").contains(
                "not told by VMCOREINFO: page.flags, page._refcount, page._mapcount, page.mapping, page.private, page.lru, "
                    + "page.compound_head, PG_lru, PG_private, PG_swapcache, PG_swapbacked, PG_slab, PG_hwpoison, PG_head, "
                    + "page types"))
    }

    /// The name that `_refcount` had once.
    @Test func anOlderNameIsTaken() throws {
        var kernel = Self.kernel(.little, [("OFFSET(page._count)", "28"), ("OFFSET(page._mapcount)", "24")])
        kernel.put(5, 4, page: 3, offset: 28)
        kernel.put(4, 4, page: 3, offset: 24)
        let contents = try #require(try inspection(kernel, [3]).pages[0].contents)
        #expect(contents.refcount == 5 && contents.use == .mapped(5))
    }

    /// The name that `compound_head` has since 7.1 or so.
    @Test func aNewerNameIsTaken() throws {
        var kernel = Self.kernel(
            .big, [("OFFSET(page.compound_info)", "8"), ("OFFSET(page.flags)", "0"), ("NUMBER(PG_head_mask)", "65536")])
        kernel.put(kernel.base + 2 * 64 + 1, 8, page: 3, offset: 8)
        #expect(
            try inspection(kernel, [3]).pages[0].contents?.compound == .tail(of: kernel.base + 2 * 64, frame: 2))
    }

    /// Pages that were looked at are in a reduced dump, and others are not.
    @Test func reducedDumpsHaveThem() throws {
        var kernel = Self.kernel(.big, Self.flagTypes)
        kernel.put(7, 4, page: 70, offset: 52)
        let path = FilePath(try folder.write(kernel.bytes, to: "dump"))
        let first = try Inspection(
            of: DumpMemory(path), frames: [70], reducingTo: FilePath(folder.path("small.elf")))
        #expect(first.pages[0].contents?.refcount == 7)
        let small = try DumpMemory(FilePath(folder.path("small.elf")))
        let again = try Inspection(of: small, frames: [70, 0])
        #expect(again.pages[0] == first.pages[0])
        #expect(again.pages[1].contents == nil)
        #expect(again.outcome == .passed)
    }

    @Test func aProgramReadsThem() async throws {
        var kernel = Self.kernel(.little, Self.flagTypes)
        kernel.put(0xffff_ff7f, 4, page: 32, offset: 48)
        kernel.put(Self.tailLink, 8, page: 33, offset: 8)
        kernel.put(1 << 16, 8, page: 34, offset: 0)
        let inspection = try inspection(kernel, [32, 33, 34, 16384, .max])
        let report = InspectionReport(inspection: inspection, path: "dump", listsEntries: false, translated: [])
        let schema = JSONSchema("inspection")
        let document = try report.json()
        #expect(try await schema.refusals(of: Data(document.utf8)) == [nil])
        for (old, new) in [("\"isTail\"", "\"tail\""), ("\"buddy\"", "\"none\""), ("\"isPresent\"", "\"present\"")] {
            let other = document.replacing(old, with: new)
            #expect(other != document)
            #expect(try await schema.refusals(of: Data(other.utf8)) != [nil])
        }
    }
}
