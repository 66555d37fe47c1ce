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
import Verification
import VmemmapPopulate

@testable import OfflineCommands

/// What is found in `struct page`s, on a kernel that nobody ran: each way in which one can be wrong, in both byte orders.
@Suite struct StructPageSurveyTests {
    private static let keys: [(String, String)] = [
        ("OFFSET(page.flags)", "0"), ("OFFSET(page._refcount)", "52"), ("OFFSET(page.lru)", "8"),
        ("OFFSET(page._mapcount)", "48"), ("OFFSET(page.compound_head)", "8"), ("OFFSET(page.private)", "40"),
        ("NUMBER(PAGE_BUDDY_MAPCOUNT_VALUE)", "-129"), ("LENGTH(node_data)", "256"),
    ]

    /// Its pages are initialised, never used, and of node 1.
    private static func kernel(_ order: ByteOrder, keys: [(String, String)] = keys) -> SampleKernel {
        var kernel = SampleKernel(order: order)
        for (key, value) in keys { kernel.note = kernel.note.adding(key, value) }
        for page in 0..<UInt64(16384) {
            kernel.words[SampleKernel.blocks + page * 64] = 1 << 56
            kernel.words[SampleKernel.blocks + page * 64 + 8] = link(kernel, page)
            kernel.words[SampleKernel.blocks + page * 64 + 16] = link(kernel, page)
            kernel.put(0xffff_ffff, 4, page: page, offset: 48)
            kernel.put(1, 4, page: page, offset: 52)
        }
        return kernel
    }

    /// The address of a page's links.
    private static func link(_ kernel: SampleKernel, _ page: UInt64) -> UInt64 { kernel.base + page * 64 + 8 }

    /// What the kernel's account is, whatever stands in its pages.
    private static let snapshot = Result {
        let folder = try TemporaryFolder()
        let dump = try DumpMemory(FilePath(folder.write(SampleKernel().bytes, to: "dump")))
        return try Inspection(of: dump).snapshot
    }

    private func survey(
        _ kernel: SampleKernel, node: UInt64? = 1, looksAtAll: Bool = true
    ) throws -> StructPagesSnapshot? {
        var snapshot = try Self.snapshot.get()
        for index in snapshot.memory.indices { snapshot.memory[index].node = node }
        let layout = StructPageLayout(kernel.note.parsed, order: kernel.order, byteCount: 64)
        return StructPageSurvey.survey(snapshot, layout, nodeCount: 256, looksAtAll: looksAtAll) { address in
            address.rawValue < 1 << 30 ? kernel.words[address.rawValue] ?? 0 : nil
        }
    }

    @Test(arguments: [ByteOrder.little, .big]) func allIsWell(order: ByteOrder) throws {
        let pages = try #require(try survey(Self.kernel(order)))
        var expected = StructPagesSnapshot(frameStride: 1)
        (expected.readCount, expected.provenBlockCount) = (16384, 16)
        #expect(pages == expected)
    }

    @Test func aSampleIsOneInEach4KiB() throws {
        let pages = try #require(try survey(Self.kernel(.little), looksAtAll: false))
        #expect((pages.frameStride, pages.readCount, pages.provenBlockCount) == (64, 256, 16))
    }

    /// A way to spoil pages, and what is found.
    struct Case: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let faults: [StructPagesSnapshot.Fault]
        var freePlaces: [StructPagesSnapshot.FreePlace.Kind] = []
        let spoil: @Sendable (inout SampleKernel) -> Void

        init(
            _ title: String, _ faults: [StructPagesSnapshot.Fault],
            free: [StructPagesSnapshot.FreePlace.Kind] = [], _ spoil: @escaping @Sendable (inout SampleKernel) -> Void
        ) {
            (testDescription, self.faults, freePlaces, self.spoil) = (title, faults, free, spoil)
        }
    }

    private static func putLinks(_ kernel: inout SampleKernel, _ page: UInt64, _ next: UInt64, _ previous: UInt64) {
        kernel.put(next, 8, page: page, offset: 8)
        kernel.put(previous, 8, page: page, offset: 16)
    }

    static let cases = [
        Case("poisoned", [.poisoned]) { $0.put(.max, 8, page: 700, offset: 0) },
        Case("all zero", [.zeroed]) { kernel in
            for offset in stride(from: UInt64(0), to: 64, by: 8) { kernel.put(0, 8, page: 700, offset: offset) }
        },
        Case("another node", [.otherNode]) { $0.put(2 << 56, 8, page: 700, offset: 0) },
        Case("a negative count", [.refcount]) { $0.put(0xffff_fff0, 4, page: 700, offset: 52) },
        Case("more users than there can be", [.refcount]) { $0.put(0x1000_0001, 4, page: 700, offset: 52) },
        Case("the links of another page", [.otherPage]) { kernel in
            putLinks(&kernel, 700, link(kernel, 800), link(kernel, 800))
        },
        Case("two pages that changed places", [.otherPage, .otherPage]) { kernel in
            putLinks(&kernel, 700, link(kernel, 800), link(kernel, 800))
            putLinks(&kernel, 800, link(kernel, 700), link(kernel, 700))
        },
        Case("a list of three", []) { kernel in
            putLinks(&kernel, 700, link(kernel, 800), LinearMap.base + 0x1000)
            putLinks(&kernel, 800, LinearMap.base + 0x1000, link(kernel, 700))
        },
        Case("a free page with a neighbour", []) { kernel in
            kernel.words[0x20_0100] = link(kernel, 700)
            kernel.words[0x20_0108] = link(kernel, 800)
            for page in [UInt64(700), 800] { kernel.put(0xffff_ff7f, 4, page: page, offset: 48) }
            putLinks(&kernel, 700, link(kernel, 800), LinearMap.base + 0x20_0100)
            putLinks(&kernel, 800, LinearMap.base + 0x20_0100, link(kernel, 700))
        },
        Case("a free page that its neighbour does not know", [.brokenLinks]) { kernel in
            kernel.put(0xffff_ff7f, 4, page: 700, offset: 48)
            putLinks(&kernel, 700, link(kernel, 800), link(kernel, 900))
        },
        Case("a free page whose neighbour is nowhere", []) { kernel in
            kernel.put(0xffff_ff7f, 4, page: 700, offset: 48)
            putLinks(&kernel, 700, .max - 7, link(kernel, 900))
        },
        // The blocks are the pages from 0x80 on, the nodes are in page 0x40.
        Case("a block that nobody uses", [], free: [.block]) { $0.put(0, 4, page: 0x83, offset: 52) },
        Case("a block that is free", [], free: [.block]) { kernel in
            kernel.put(0xffff_ff7f, 4, page: 0x83, offset: 48)
        },
        Case("a block that is a part of another page", []) { kernel in
            kernel.put(0, 4, page: 0x83, offset: 52)
            kernel.put(link(kernel, 0x82) - 7, 8, page: 0x83, offset: 8)
        },
        Case("nodes in memory that nobody uses", [], free: [.node]) { $0.put(0, 4, page: 0x40, offset: 52) },
    ]

    @Test(arguments: cases, [ByteOrder.little, .big]) func isFound(spoilt: Case, order: ByteOrder) throws {
        var kernel = Self.kernel(order)
        spoilt.spoil(&kernel)
        let pages = try #require(try survey(kernel))
        #expect(pages.faults.map(\.fault) == spoilt.faults)
        #expect(pages.faultCount == spoilt.faults.count)
        #expect(pages.freePlaces.map(\.kind) == spoilt.freePlaces)
        #expect(pages.provenBlockCount == 16)
    }

    @Test func aFaultSaysWhichWordShowsIt() throws {
        var kernel = Self.kernel(.little)
        kernel.put(2 << 56 | 7, 8, page: 700, offset: 0)
        let fault = StructPagesSnapshot.Faulty(
            .otherNode, frame: 700, phys: SampleKernel.blocks + 700 * 64, word: 2 << 56 | 7)
        #expect(try survey(kernel)?.faults == [fault])
    }

    /// Where the machine does not say it, a section is of its first page's node.
    @Test func aSectionIsOfOneNode() throws {
        var kernel = Self.kernel(.little)
        for page in UInt64(256)..<512 { kernel.put(3 << 56, 8, page: page, offset: 0) }
        #expect(try survey(kernel, node: nil)?.faultCount == 0)
        #expect(try survey(kernel)?.faultCount == 256)
        #expect(try survey(kernel)?.faults.count == StructPagesSnapshot.toldLimit)
        kernel.put(1 << 56, 8, page: 300, offset: 0)
        #expect(try survey(kernel, node: nil)?.faults.map(\.frame) == [300])
    }

    /// A block whose pages are all in use proves nothing, and is no fault.
    @Test func usedPagesProveNothing() throws {
        var kernel = Self.kernel(.little)
        for page in UInt64(1024)..<2048 {
            Self.putLinks(&kernel, page, LinearMap.base + 0x1000 + page * 16, LinearMap.base + 0x8000 + page * 16)
        }
        let pages = try #require(try survey(kernel))
        #expect((pages.faultCount, pages.provenBlockCount) == (0, 15))
    }

    /// A memory map at the end of all addresses, with a `struct page` that would go over it.
    @Test func aMemoryMapAtTheEndOfAllAddresses() throws {
        var snapshot = try Self.snapshot.get()
        snapshot.kernel.vmemmapBase = 0xffff_ffff_ffff_0000
        snapshot.kernel.structPageByteCount = 200
        for index in snapshot.kernelList.entries.indices {
            snapshot.kernelList.entries[index].virtAddr = 0xffff_ffff_ffff_0000
        }
        let kernel = Self.kernel(.little)
        let layout = StructPageLayout(kernel.note.parsed, order: .little, byteCount: 200)
        let pages = StructPageSurvey.survey(snapshot, layout, nodeCount: 256, looksAtAll: true) { _ in 1 << 56 }
        #expect(pages?.readCount == 16384)
        // 65536 bytes hold 327 of them; the next one does not end.
        #expect(pages?.unreadableCount == 16384 - 327)
    }

    @Test func aKernelThatDoesNotTellIsNotSurveyed() throws {
        #expect(try survey(Self.kernel(.little, keys: Array(Self.keys.dropFirst()))) == nil)
    }

    // MARK: - In dumps

    private func inspection(_ kernel: SampleKernel) throws -> Inspection {
        let folder = try TemporaryFolder()
        let dump = try DumpMemory(FilePath(folder.write(kernel.bytes, to: "dump")))
        return try Inspection(of: dump, surveyingStructPages: true)
    }

    /// The page frames that are looked at are the multiples of 64.
    static let dumps: [(title: String, findings: [String], spoil: @Sendable (inout SampleKernel) -> Void)] = [
        ("nothing", [], { _ in }),
        ("poisoned", ["struct-pages-not-initialised"], { $0.put(.max, 8, page: 704, offset: 0) }),
        ("another node", ["struct-pages-other-numa-node"], { $0.put(2 << 56, 8, page: 704, offset: 0) }),
        ("a negative count", ["struct-pages-impossible-count"], { $0.put(0xffff_fff0, 4, page: 704, offset: 52) }),
        (
            "the links of another page", ["struct-pages-other-page"],
            { putLinks(&$0, 704, link($0, 800), link($0, 800)) }
        ),
        ("a block that nobody uses", ["list-in-free-memory"], { $0.put(0, 4, page: 0x83, offset: 52) }),
        // A kernel that died may have been at work on them, and nobody can look again.
        (
            "a free page that its neighbour does not know", [],
            {
                $0.put(0xffff_ff7f, 4, page: 704, offset: 48)
                putLinks(&$0, 704, link($0, 800), link($0, 900))
            }
        ),
    ]

    @Test(arguments: dumps.indices, [ByteOrder.little, .big]) func isFoundInADump(
        index: Int, order: ByteOrder
    ) throws {
        let spoilt = Self.dumps[index]
        var kernel = Self.kernel(order)
        spoilt.spoil(&kernel)
        let inspection = try inspection(kernel)
        #expect(inspection.verdict.findings.map(\.name) == spoilt.findings, "\(spoilt.title)")
        #expect(inspection.verdict.unsaid.isEmpty)
        #expect(inspection.outcome == (spoilt.findings.isEmpty ? .passed : .failed))
        let statement = try #require(inspection.verdict.witnesses.first { $0.witness == .structPages })
        #expect(statement.agreeingCount == 16)
    }

    /// Without the option nothing is said of them, and the memory map is not read.
    @Test func aDumpIsSurveyedWhereThatIsAskedFor() throws {
        var kernel = Self.kernel(.little)
        kernel.put(.max, 8, page: 704, offset: 0)
        let folder = try TemporaryFolder()
        let inspection = try Inspection(of: DumpMemory(FilePath(folder.write(kernel.bytes, to: "dump"))))
        #expect(inspection.snapshot.structPages == nil)
        #expect(inspection.outcome == .passed)
    }

    /// What a dump lacks is no damage, and nothing that passed.
    @Test func whatADumpLacksIsUnsaid() throws {
        var kernel = Self.kernel(.little)
        kernel.lacking = [SampleKernel.blocks + 704 * 64]
        var inspection = try inspection(kernel)
        #expect(inspection.verdict.findings == [])
        #expect(
            inspection.verdict.unsaid == [
                Unsaid(.structPages, count: 1, "struct pages in memory that cannot be read")
            ])
        #expect(inspection.outcome == .incomplete)
        inspection = try self.inspection(Self.kernel(.little, keys: Array(Self.keys.dropFirst())))
        #expect(
            inspection.verdict.unsaid == [Unsaid(.structPages, count: 16, "the struct pages were not looked at")])
        #expect(inspection.verdict.findings == [])
    }
}
