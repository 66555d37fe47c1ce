// SPDX-License-Identifier: Apache-2.0

import Foundation
import GuestMemory
import Inspection
import MemoryBackends
import RunRecord
import SystemPackage
import TestSupport
import Testing
import Verification

@testable import OfflineCommands

/// Kernels before 5.2, which have their memory map elsewhere. There is none to boot here: the memory is made up.
@Suite struct OldLayoutTests {
    private let folder: TemporaryFolder

    init() throws { folder = try TemporaryFolder() }

    private func inspection(_ kernel: SampleKernel) throws -> Inspection {
        try Inspection(of: DumpMemory(FilePath(folder.write(kernel.bytes, to: "dump"))))
    }

    private func text(_ inspection: Inspection, _ translated: [UInt64] = []) -> String {
        InspectionReport(inspection: inspection, path: "dump", listsEntries: true, translated: translated).text
            .replacing(/\n */, with: " ")
    }

    /// Their root page table begins with the vmalloc area's entry, as a radix kernel's does with the linear map's.
    @Test(arguments: [ByteOrder.little, .big]) func hashHasARegionOfItsOwn(order: ByteOrder) throws {
        var kernel = SampleKernel(order: order, base: 0xf000_0000_0000_0000)
        kernel.tables.words[kernel.tables.root.rawValue] = 0x8000_0000_1000_0009
        let inspection = try inspection(kernel)
        #expect(inspection.snapshot.kernel.mmu == .hash)
        #expect(inspection.mmuSource == "its memory map's place")
        #expect(inspection.verdict.account == .list)
        #expect(inspection.verdict.findings == [])
        #expect(inspection.verdict.unsaid.isEmpty)
        #expect(inspection.verdict.coveredSectionCount == 64)
        #expect(inspection.outcome == .passed)
        let text = text(inspection, [0x3fff_0000, 0xf000_0000_0000_0040, 0xf000_0000_0010_0000])
        for words in [
            "memory map: at 0xf000000000000000 (a region of its own, as in hash kernels before 5.2), struct page",
            "vmemmap_list: 16 entries in 1 node page",
            "page frame 16383, struct page at virt 0xf0000000000fffc0, phys 0x8fffc0;",
            "0xf000000000000040: phys 0x800040, the struct page of page frame 1;",
            "0xf000000000100000: in the memory map, of page frame 16384; nothing backs it",
        ] { #expect(text.contains(words), "\(words) in \(text)") }
    }

    /// What a list says of another region is told as in any kernel.
    @Test func hashIsJudgedThere() throws {
        var kernel = SampleKernel(base: 0xf000_0000_0000_0000)
        kernel.words[SampleKernel.node + 24 + 16] = 0xc00c_0000_0001_0000
        #expect(
            Set(try inspection(kernel).verdict.findings.map(\.name))
                == ["list-virt-outside-vmemmap", "list-coverage-hole"])
    }

    @Test(arguments: [ByteOrder.little, .big]) func radixBeginsElsewhere(order: ByteOrder) throws {
        var kernel = SampleKernel(order: order, base: 0xc00a_0000_0000_0000)
        kernel.mapMemoryMap()
        let inspection = try inspection(kernel)
        #expect(inspection.snapshot.kernel.mmu == .radix)
        #expect(inspection.mmuSource == "swapper_pg_dir")
        #expect(inspection.verdict.account == .list)
        #expect(inspection.snapshot.pageTables?.windows.count == 16)
        #expect(inspection.verdict.findings == [])
        #expect(inspection.outcome == .passed)
        #expect(text(inspection).contains("at 0xc00a000000000000 (as in radix kernels before 5.2), struct page"))
    }

    /// The same memory in today's layouts: nothing is said of old ones, and the page tables say which MMU it is.
    @Test(arguments: [ByteOrder.little, .big]) func todaysAreTakenAsBefore(order: ByteOrder) throws {
        let hash = try inspection(SampleKernel(order: order))
        #expect(hash.snapshot.kernel.mmu == .hash && hash.mmuSource == "swapper_pg_dir" && hash.outcome == .passed)
        var kernel = SampleKernel(order: order)
        kernel.mapMemoryMap()
        let radix = try inspection(kernel)
        #expect(radix.snapshot.kernel.mmu == .radix && radix.outcome == .passed)
        #expect(!text(radix).contains("before 5.2"))
    }

    /// What the note says of the MMU counts more than any place.
    @Test func theNoteCounts() throws {
        var kernel = SampleKernel(base: 0xf000_0000_0000_0000)
        kernel.note = kernel.note.adding("NUMBER(RADIX_MMU)", "1")
        #expect(try inspection(kernel).snapshot.kernel.mmu == .radix)
    }
}
