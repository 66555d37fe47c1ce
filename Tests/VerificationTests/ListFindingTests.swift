// SPDX-License-Identifier: Apache-2.0

import GuestMemory
import KernelState
import Testing
import Verification
import VmemmapPopulate

extension Snapshot {
    /// Puts a node elsewhere, in the kernel's list and in the report, and leads there.
    fileprivate mutating func moveNode(_ index: Int, to address: UInt64) {
        func move(_ entries: inout [ListEntry]) {
            entries[index].node = address
            if index > 0 { entries[index - 1].list = address }
        }
        kernelList.change(move)
        report?.list.change(move)
    }
}

/// Faults of the list itself: its links, its nodes, and the memory that its entries name.
@Suite struct ListFindingTests {
    static func holes(_ count: Int) -> [String] { Array(repeating: "list-coverage-hole", count: count) }

    static let changes: [Change] = [
        // Blocks that nobody saw come and go may have needed that page.
        Change("a node has left the pages unseen", []) {
            $0.history?.noteGap("the agent lost 3 events")
            $0.moveNode(5, to: $0.kernelList.entries[5].node + 65536)
        },
        Change("a node has left the pages", ["list-node-pages", "model-other-node"]) {
            $0.kernelList.change { $0[5].node += 65536 }
            $0.report?.list.change { $0[5].node += 65536 }
        },
        Change("a node in memory that is not there", ["list-node-pages", "list-outside-memory", "model-other-node"]) {
            $0.moveNode(5, to: 0xc000_0000_0000_0000 + 3 << 30)
        },
        Change(
            "a node at the end of the linear map", ["list-node-pages", "list-outside-memory", "model-other-node"]
        ) {
            $0.moveNode(5, to: 0xc007_ffff_ffff_0018)
        },
        Change("a node in a block", ["list-node-pages", "list-in-block", "model-other-node"]) {
            $0.moveNode(5, to: 0xc000_0000_0000_0000 + GoodSnapshot.firstBlock + 24)
        },
        Change(
            "a node in a page table", ["list-node-pages", "list-in-block", "model-other-node"], of: GoodSnapshot.radix
        ) {
            $0.moveNode(1, to: 0xc000_0000_3fee_0018)
        },
        Change("no VMCOREINFO note any more", ["guest-note"]) { $0.noteProblem = "it is not there" },
        Change("misaligned virt", ["list-misaligned-virt"] + holes(4)) {
            $0.changeList { $0.entries[0].virtAddr += 4096 }
        },
        Change("misaligned phys", ["list-misaligned-phys"]) { $0.changeList { $0.entries[0].phys += 4096 } },
        Change("virt below the vmemmap", ["list-virt-outside-vmemmap"] + holes(4)) {
            $0.changeList { $0.entries[0].virtAddr = 0xc00b_ffff_ffff_0000 }
        },
        Change("virt at the end of the address space", ["list-virt-outside-vmemmap"] + holes(4)) {
            $0.changeList { $0.entries[0].virtAddr = 0xffff_ffff_ffff_0000 }
        },
        Change(
            "duplicate virt",
            ["list-duplicate-virt"] + holes(4)
                + ["mirror-duplicate-virt", "report-duplicate-virt", "mmu-contradiction", "mmu-contradiction"]
        ) {
            $0.changeList { $0.entries[0].virtAddr = $0.entries[1].virtAddr }
        },
        Change("phys outside memory", ["list-phys-outside-memory"]) {
            $0.changeList { $0.entries[0].phys = 3 << 30 }
        },
        Change("a block across the end of memory", ["list-misaligned-phys", "list-phys-outside-memory"]) {
            $0.changeList { $0.entries[0].phys = (2 << 30) - 4096 }
        },
        Change("a block across the end of the address space", ["list-phys-outside-memory"]) {
            $0.changeList { $0.entries[0].phys = 0xffff_ffff_ffff_0000 }
        },
        Change("the highest phys", ["list-misaligned-phys", "list-phys-outside-memory"]) {
            $0.changeList { $0.entries[0].phys = .max }
        },
        Change("two blocks in one place", ["list-overlap"]) {
            $0.changeList { $0.entries[0].phys = $0.entries[1].phys }
        },
        Change("blocks that overlap by a page", ["list-misaligned-phys", "list-overlap"]) {
            $0.changeList { $0.entries[0].phys -= 4096 }
        },
        Change("struct pages without a block", holes(4)) { $0.changeList { $0.entries.remove(at: 7) } },
        Change("no block for the last sections", holes(64), of: GoodSnapshot.radix) {
            $0.changeList { $0.entries.removeFirst() }
        },
        Change("an entry for memory that is not there", ["list-stale-entry"]) {
            $0.changeList {
                let stale = ListEntry(
                    node: $0.head + 24, list: $0.head, phys: 0x3000_0000, virtAddr: 0xc00c_0000_0040_0000)
                $0.entries.insert(stale, at: 0)
            }
            $0.peakEntryCount = 33
        },
        Change("empty on hash", ["list-empty"] + holes(128)) { $0.clearLists() },
        Change("empty, and the kernel does not say its MMU", ["list-empty"] + holes(128)) {
            $0.clearLists()
            $0.kernel.mmu = .unknown
        },
        Change("the same where it may be a radix kernel's, which keeps none", [], of: GoodSnapshot.hashOfSmallWindows) {
            $0.clearLists()
            $0.kernel.mmu = .unknown
            $0.peakEntryCount = 0
        },
        Change("the same without a page size", []) {
            $0.clearLists()
            $0.kernel.mmu = .unknown
            $0.kernel.vmemmapPageShift = nil
            $0.peakEntryCount = .max
        },
        Change(
            "the same where it has had entries", ["list-empty"] + holes(128), of: GoodSnapshot.hashOfSmallWindows
        ) {
            $0.clearLists()
            $0.kernel.mmu = .unknown
        },
        Change(
            "the same where nodes are free", ["list-empty"] + holes(128), of: GoodSnapshot.hashOfSmallWindows
        ) {
            $0.clearLists()
            $0.kernel.mmu = .unknown
            $0.peakEntryCount = .max
            let node = GoodSnapshot.nodePage
            $0.add(FreeNodes(next: node, leftCount: 2729, freedCount: 1, freed: [node], unused: node + 24))
        },
        Change(
            "empty in the kernel only",
            ["list-empty"] + holes(320) + Array(repeating: "page-tables-extra-entry", count: 3)
                + Array(repeating: "mirror-extra-entry", count: 3)
                + Array(repeating: "report-extra-entry", count: 3) + ["report-other-node"]
                + Array(repeating: "model-extra-entry", count: 3),
            of: GoodSnapshot.radix
        ) {
            $0.kernelList = ListWalk(head: 0, entries: [], end: .terminated, endLink: 0)
        },
    ]

    @Test(arguments: changes) func findsExactly(change: Change) throws {
        let verdict = try Verifier.verdict(on: change.snapshot())
        #expect(verdict.findings.map(\.name) == change.names)
        #expect(!verdict.hasPassed)
    }

    @Test func saysWhatDiffersWithTheNumbers() throws {
        var snapshot = GoodSnapshot.hash()
        snapshot.changeList { $0.entries[0].phys = 3 << 30 }
        #expect(
            try Verifier.verdict(on: snapshot).findings.map(\.message) == [
                "phys 0xc0000000 of virt 0xc00c0000001f0000 in node 0xc0000000020002e8 lies outside present memory"
            ])
    }

    @Test func countsWhatIsCovered() throws {
        var snapshot = GoodSnapshot.hash()
        snapshot.changeList { $0.entries.remove(at: 7) }
        let verdict = try Verifier.verdict(on: snapshot)
        #expect(verdict.coveredSectionCount == 124)
        #expect(verdict.witnesses.map(\.standing) == [.contradicts, .agrees, .agrees, .agrees, .absent])
    }
}
