// SPDX-License-Identifier: Apache-2.0

import GuestMemory
import Testing
import Verification
import VmemmapPopulate

/// What a radix kernel's page tables are found to be: beside a list, and as its only account.
@Suite struct PageTableFindingTests {
    private static let base: UInt64 = 0xc00c_0000_0000_0000
    private static let block: UInt64 = 2 << 20

    /// The memory of the first eight base pages is a device's.
    private static func ofDevice() -> Snapshot {
        var snapshot = GoodSnapshot.radixTables()
        for number in 128..<160 { snapshot.sections[number].flags = 0x17 }
        return snapshot
    }

    private static func fault(_ reason: WalkedTables.Fault.Reason, word: UInt64? = nil) -> WalkedTables.Fault {
        .init(entry: 0x3fee_0008, virtAddr: base + block, reason: reason, word: word)
    }

    /// A table for the first address of the memory map, or for the one a GiB further.
    private static func table(
        _ base: UInt64, level: UInt64, _ state: WalkedTables.Table.State = .used, second: Bool = false
    ) -> WalkedTables.Table {
        .init(
            base: base, level: level, virtAddr: Self.base + (second ? 1 << 30 : 0), byteCount: 4096, state: state)
    }

    /// The table of the list's three blocks, and one that leads there.
    private static func tables(pud: UInt64 = 0x3fef_0000) -> [WalkedTables.Table] {
        [table(pud, level: 1), table(0x3fee_0000, level: 2)]
    }

    /// A kernel before 6.6, whose list has three blocks of 2 MiB.
    static let besideAList: [Change] = [
        Change("nothing", [], of: GoodSnapshot.radix) { _ in },
        Change("not there", [], of: GoodSnapshot.radix) { $0.pageTables = nil },
        Change("tables in their places", [], of: GoodSnapshot.radix) { $0.pageTables?.tables = tables() },
        Change("a table that maps nothing", [], of: GoodSnapshot.radix) {
            $0.pageTables?.tables = tables() + [table(0x3fef_1000, level: 2, .empty, second: true)]
        },
        Change("a table outside memory", ["page-tables-outside-memory"], of: GoodSnapshot.radix) {
            $0.pageTables?.tables = tables(pud: 1 << 40)
        },
        Change("a table at the end of all addresses", ["page-tables-outside-memory"], of: GoodSnapshot.radix) {
            $0.pageTables?.tables = tables(pud: .max - 4095)
        },
        Change("a table in a block", ["page-tables-in-block"], of: GoodSnapshot.radix) {
            $0.pageTables?.tables = tables(pud: GoodSnapshot.firstBlock + 4096)
        },
        Change("tables that do not end", ["page-tables-too-long"], of: GoodSnapshot.radix) {
            $0.pageTables?.isCut = true
        },
        Change("another phys", ["page-tables-wrong-phys"], of: GoodSnapshot.radix) {
            $0.pageTables?.windows[1].phys += block
        },
        Change("phys at the end of all addresses", ["page-tables-wrong-phys"], of: GoodSnapshot.radix) {
            $0.pageTables?.windows[1].phys = .max
        },
        Change("an entry is not mapped", ["page-tables-missing-entry"], of: GoodSnapshot.radix) {
            $0.pageTables?.windows.remove(at: 1)
        },
        Change(
            "nothing is mapped", Array(repeating: "page-tables-missing-entry", count: 3), of: GoodSnapshot.radix
        ) {
            $0.pageTables?.windows = []
        },
        Change("more is mapped", ["page-tables-extra-entry"], of: GoodSnapshot.radix) {
            $0.pageTables?.windows.append(
                BackedWindow(place: 0x3fee_0018, virtAddr: base + 3 * block, phys: 0x3000_0000, byteCount: block))
        },
        Change("base pages instead of a block", [], of: GoodSnapshot.radix) { $0.splitBlock(1) },
        Change("one of the base pages elsewhere", ["page-tables-wrong-phys"], of: GoodSnapshot.radix) {
            $0.splitBlock(1)
            $0.pageTables?.windows[30].phys += 65536
        },
        Change("two of the base pages elsewhere", ["page-tables-wrong-phys"], of: GoodSnapshot.radix) {
            $0.splitBlock(1)
            $0.pageTables?.windows[30].phys += 65536
            $0.pageTables?.windows[31].phys += 65536
        },
        Change("one of the base pages missing", ["page-tables-missing-entry"], of: GoodSnapshot.radix) {
            $0.splitBlock(1)
            $0.pageTables?.windows.remove(at: 30)
        },
        Change(
            "a GiB at once", ["page-tables-extra-entry", "page-tables-missing-entry", "page-tables-missing-entry"],
            of: GoodSnapshot.radix
        ) {
            $0.pageTables?.windows = [
                BackedWindow(place: 0x3fef_0000, virtAddr: base + 1 << 30, phys: 0, byteCount: 1 << 30)
            ]
            $0.pageTables?.windows.insert(
                BackedWindow(place: 0x3fee_0000, virtAddr: base, phys: GoodSnapshot.firstBlock, byteCount: block), at: 0
            )
        },
        Change("an entry that is not clear", ["page-tables-not-valid"], of: GoodSnapshot.radix) {
            $0.pageTables?.faults = [fault(.notValid, word: 1)]
        },
        Change("an entry for users", ["page-tables-attributes"], of: GoodSnapshot.radix) {
            $0.pageTables?.faults = [fault(.attributes, word: 0xc000_0000_2000_0186)]
        },
        Change("a table that the kernel has not", ["page-tables-outside-memory"], of: GoodSnapshot.radix) {
            $0.pageTables?.windows[1].place = 6 << 30
        },
        Change("a table at the end of all addresses", ["page-tables-outside-memory"], of: GoodSnapshot.radix) {
            $0.pageTables?.windows[1].place = .max
        },
        Change("a table in a block", ["page-tables-in-block"], of: GoodSnapshot.radix) {
            $0.pageTables?.windows[1].place = GoodSnapshot.firstBlock + 4096
        },
        Change("a table outside memory", ["page-tables-link-outside-memory"], of: GoodSnapshot.radix) {
            $0.pageTables?.faults = [fault(.unreadable)]
        },
        Change("a table of another size", ["page-tables-table-size"], of: GoodSnapshot.radix) {
            $0.pageTables?.faults = [fault(.tableSize, word: 0x8000_0000_3000_0009)]
        },
        Change("a misaligned table", ["page-tables-misaligned-table"], of: GoodSnapshot.radix) {
            $0.pageTables?.faults = [fault(.tableAlignment, word: 0x8000_0000_3000_0105)]
        },
        Change(
            "a leaf in the root, a table below the last", ["page-tables-wrong-level", "page-tables-wrong-level"],
            of: GoodSnapshot.radix
        ) {
            $0.pageTables?.faults = [
                fault(.wrongLevel, word: 0xc000_0000_3000_0000), fault(.wrongLevel, word: 0x8000_0000_3000_0000),
            ]
        },
    ]

    @Test(arguments: besideAList) func besideTheList(change: Change) throws {
        let verdict = try Verifier.verdict(on: change.snapshot())
        #expect(verdict.findings.map(\.name) == change.names)
        #expect(verdict.account == .list)
        #expect(verdict.unsaid.map(\.witness).contains(.pageTables) == (change.snapshot().pageTables == nil))
        #expect(verdict.coveredSectionCount == 320)
        let statement = try #require(verdict.witnesses.first { $0.witness == .pageTables })
        let isAbsent = change.snapshot().pageTables == nil
        #expect(statement.standing == (isAbsent ? .absent : change.names.isEmpty ? .agrees : .contradicts))
    }

    /// A kernel since 6.6: 34 leaves, of which mirror, report and MMU know as well.
    static let asAccount: [Change] = [
        Change("nothing", [], of: GoodSnapshot.radixTables) { _ in },
        Change("misaligned phys", ["page-tables-misaligned-phys"], of: GoodSnapshot.radixTables) {
            $0.changeTables { $0[33].phys += 65536 }
        },
        Change("phys outside memory", ["page-tables-phys-outside-memory"], of: GoodSnapshot.radixTables) {
            $0.changeTables { $0[33].phys = 8 << 30 }
        },
        Change(
            "phys at the end of all addresses", ["page-tables-misaligned-phys", "page-tables-phys-outside-memory"],
            of: GoodSnapshot.radixTables
        ) {
            $0.changeTables { $0[33].phys = .max }
        },
        Change("two have one block", ["page-tables-overlap"], of: GoodSnapshot.radixTables) {
            $0.changeTables { $0[33].phys = $0[0].phys }
        },
        Change("a device's tail pages are one page", [], of: ofDevice) {
            $0.changeTables { for index in 3..<8 { $0[index].phys = $0[2].phys } }
        },
        Change("a device's tail pages and another's page", ["page-tables-overlap"], of: ofDevice) {
            $0.changeTables { for index in 3..<8 { $0[index].phys = $0[0].phys } }
        },
        Change("a base page in a block", ["page-tables-overlap"], of: GoodSnapshot.radixTables) {
            $0.changeTables { $0[8].phys = $0[0].phys + 0x10_0000 }
        },
        Change(
            "two base pages in a block", ["page-tables-overlap", "page-tables-overlap"], of: GoodSnapshot.radixTables
        ) {
            $0.changeTables {
                $0[8].phys = $0[0].phys + 0x10_0000
                $0[9].phys = $0[0].phys + 0x1f_0000
            }
        },
        Change(
            "a hole of a base page", Array(repeating: "page-tables-coverage-hole", count: 4),
            of: GoodSnapshot.radixTables
        ) { $0.changeTables { $0.remove(at: 8) } },
        Change(
            "no leaf at all", Array(repeating: "page-tables-coverage-hole", count: 320), of: GoodSnapshot.radixTables
        ) {
            $0.changeTables { $0 = [] }
        },
        Change("a leaf for no memory", ["page-tables-stale-entry"], of: GoodSnapshot.radixTables) {
            $0.changeTables {
                $0.append(
                    BackedWindow(place: 0x3fee_0018, virtAddr: base + 3 * block, phys: 0x3000_0000, byteCount: block))
            }
        },
        Change(
            "a leaf below the memory map", ["page-tables-virt-outside-vmemmap"], of: GoodSnapshot.radixTables
        ) {
            $0.changeTables {
                $0.insert(
                    BackedWindow(place: 0x3fee_0018, virtAddr: base - block, phys: 0x3000_0000, byteCount: block), at: 0
                )
            }
        },
        Change("a GiB at once", ["page-tables-wrong-level"], of: GoodSnapshot.radixTables) {
            $0.changeTables {
                $0 = [BackedWindow(place: 0x3fef_0000, virtAddr: base, phys: 1 << 30, byteCount: 1 << 30)]
            }
        },
        Change("a table outside memory", ["page-tables-link-outside-memory"], of: GoodSnapshot.radixTables) {
            $0.pageTables?.faults = [fault(.unreadable)]
        },
    ]

    @Test(arguments: asAccount) func alone(change: Change) throws {
        let verdict = try Verifier.verdict(on: change.snapshot())
        #expect(verdict.findings.map(\.name) == change.names)
        #expect(verdict.account == .pageTables)
        #expect(verdict.witnesses.first?.standing == .cannotSay)
    }

    /// A base page for memory from 2 GiB on, in memory that brought its own memory map: its own, or another memory block's.
    @Test(
        arguments: [
            (2 << 30, false), (2 << 30 + 0x3_0000, false), (2 << 30 + 0x4_0000, false),
            (2 << 30 + 256 << 20, true), (2 << 30 + 256 << 20 + 0x3_0000, true),
            (2 << 30 + 256 << 20 + 0x4_0000, false), (4 << 30, true), (0x2800_0000, false),
        ] as [(UInt64, Bool)])
    func blocksInAnotherAltmapAreFound(phys: UInt64, isFound: Bool) throws {
        func names(_ change: (inout Snapshot) -> Void) throws -> [String] {
            var snapshot = GoodSnapshot.radixTables()
            snapshot.changeTables { $0[1].phys = phys }
            snapshot.history = HotplugHistory(bootMemory: snapshot.history?.bootMemory ?? [])
            change(&snapshot)
            return try Verifier.verdict(on: snapshot).findings.filter { $0.subject == .pageTables }.map(\.name)
        }
        #expect(try names { $0.history?.note(.added, 1 << 30..<5 << 30) } == [])
        let found = isFound ? ["page-tables-other-altmap"] : []
        #expect(try names { $0.history?.note(.added, 1 << 30..<5 << 30, hasAltmap: true) } == found)
        // How the memory came that is there by now counts, and what is not known is no finding.
        #expect(
            try names {
                $0.history?.note(.added, 1 << 30..<5 << 30, hasAltmap: true)
                $0.history?.note(.removed, 2 << 30..<5 << 30)
                $0.history?.note(.added, 2 << 30..<5 << 30)
            } == [])
        #expect(
            try names {
                $0.history?.note(.added, 1 << 30..<5 << 30, hasAltmap: true)
                $0.history?.noteGap("the agent lost 3 events")
            } == [])
    }

    /// What the others say of the page tables.
    static let witnesses: [Change] = [
        Change("mirror lacks a leaf", ["mirror-missing-entry"], of: GoodSnapshot.radixTables) {
            $0.mirror?.change { $0.removeLast() }
            $0.mirror?.leafByteCounts?.removeLast()
        },
        Change("mirror has another phys", ["mirror-wrong-phys"], of: GoodSnapshot.radixTables) {
            $0.mirror?.list.entries[3].phys += 65536
        },
        Change("mirror has another size", ["mirror-wrong-size"], of: GoodSnapshot.radixTables) {
            $0.mirror?.leafByteCounts?[3] = 4096
        },
        Change("mirror does not say a size", ["mirror-origin", "mirror-wrong-size"], of: GoodSnapshot.radixTables) {
            $0.mirror?.leafByteCounts?[3] = 0
        },
        Change("mirror is in another order", [], of: GoodSnapshot.radixTables) {
            $0.mirror?.change { $0.swapAt(3, 4) }
        },
        Change("mirror says a size beside a list", ["mirror-origin"], of: GoodSnapshot.radix) {
            $0.mirror?.leafByteCounts = [0, 1 << 21, 0]
        },
        Change("report holds the list", ["report-other-account"], of: GoodSnapshot.radixTables) {
            $0.report?.pageTables = nil
        },
        Change("report holds page tables beside a list", ["report-other-account"], of: GoodSnapshot.radix) {
            $0.report?.pageTables = WalkedTables(windows: [], faults: [])
        },
        Change("report lacks a leaf", ["report-missing-entry"], of: GoodSnapshot.radixTables) {
            $0.report?.pageTables?.windows.removeLast()
        },
        Change("report has another phys", ["report-wrong-phys"], of: GoodSnapshot.radixTables) {
            $0.report?.pageTables?.windows[3].phys = .max
        },
        Change("report has another size", ["report-wrong-size"], of: GoodSnapshot.radixTables) {
            $0.report?.pageTables?.windows[3].byteCount = .max
        },
        Change("report has one more", ["report-extra-entry"], of: GoodSnapshot.radixTables) {
            $0.report?.pageTables?.windows.append(.init(place: 0, virtAddr: .max, phys: .max, byteCount: .max))
        },
        Change("report read another entry", ["report-other-node"], of: GoodSnapshot.radixTables) {
            $0.report?.pageTables?.windows[3].place += 8
        },
        Change("report met a bad entry", ["report-table-size"], of: GoodSnapshot.radixTables) {
            $0.report?.pageTables?.faults = [fault(.tableSize)]
        },
        Change("MMU says another phys", ["mmu-contradiction"], of: GoodSnapshot.radixTables) {
            $0.translations[1].answer = .physical(0)
        },
        Change("MMU does not translate", ["mmu-unmapped"], of: GoodSnapshot.radixTables) {
            $0.translations[8].answer = .unmapped
        },
    ]

    @Test(arguments: witnesses) func heldAgainstTheTables(change: Change) throws {
        let verdict = try Verifier.verdict(on: change.snapshot())
        #expect(verdict.findings.map(\.name) == change.names)
    }

    @Test func messagesSayWhereAndWhat() throws {
        var snapshot = GoodSnapshot.radixTables()
        snapshot.mirror?.change { $0.removeLast() }
        snapshot.mirror?.leafByteCounts?.removeLast()
        snapshot.pageTables?.faults = [Self.fault(.tableSize, word: 0x8000_0000_3000_0009)]
        #expect(
            try Verifier.verdict(on: snapshot).findings.map(\.message) == [
                "the page table entry at 0x3fee0008 for virt 0xc00c000000200000 leads to a table of a size that none has "
                    + "there (it is 0x8000000030000009)",
                "virt 0xc00c000000000000 → phys 0x20000000 is in the kernel's page tables and not in the mirror",
            ])
    }

    /// Windows that no walk gives are refused by name: the verifier's arithmetic is not made for them.
    @Test func impossibleWindowsAreRefused() {
        let changes: [(inout BackedWindow) -> Void] = [
            { $0.byteCount = 0 }, { $0.byteCount = .max }, { $0.byteCount = 4096 }, { $0.virtAddr += 65536 },
            { $0.virtAddr = 0 }, { $0.virtAddr = 0xc010_0000_0000_0000 }, { $0.virtAddr = 0 &- (2 << 20) },
            { $0.virtAddr -= 2 << 20 },
        ]
        for change in changes {
            var snapshot = GoodSnapshot.radixTables()
            snapshot.changeTables { change(&$0[33]) }
            let problem = #expect(throws: SnapshotProblem.self) { try Verifier.verdict(on: snapshot) }
            #expect(problem?.field == "pageTables.windows[33]")
        }
    }

    /// Tables, leaves and faults come from one walk.
    @Test func tablesThatNoWalkTellsAreRefused() throws {
        let changes: [(String, (inout WalkedTables) -> Void)] = [
            ("tables[0]", { $0.tables?.remove(at: 0) }), ("tables[0]", { $0.tables?[0].level = 0 }),
            ("tables[0]", { $0.tables?[0].level = .max }), ("tables[0]", { $0.tables?[0].byteCount = 256 }),
            ("tables[0]", { $0.tables?[0].base += 8 }), ("tables[0]", { $0.tables?.swapAt(0, 1) }),
            ("tables[0]", { $0.tables?[0].state = .empty }), ("tables[1]", { $0.tables?[1].state = .empty }),
            ("tables[1]", { $0.tables?[1].level = 3 }), ("tables[1]", { $0.tables?[1].virtAddr -= 1 << 39 }),
            ("tables[1]", { $0.tables?[1].virtAddr += 1 << 39 }), ("tables[1]", { $0.tables?[1].virtAddr += 1 }),
            ("tables[2]", { $0.tables? += [Self.table(0x3fef_1000, level: 2, .empty)] }),
            ("tables[2]", { $0.tables? += [Self.table(0x3fef_1000, level: 2, second: true)] }),
            ("windows[0]", { $0.tables?.removeLast() }), ("windows[0]", { $0.tables?[1].base = 0x3fef_1000 }),
            ("windows[1]", { $0.windows[1].place += 8 }), ("windows[2]", { $0.windows[2].place = 0 }),
        ]
        for (field, change) in changes {
            var snapshot = GoodSnapshot.radix()
            var tables = try #require(snapshot.pageTables)
            tables.tables = Self.tables()
            change(&tables)
            snapshot.pageTables = tables
            let problem = #expect(throws: SnapshotProblem.self) { try Verifier.verdict(on: snapshot) }
            #expect(problem?.field == "pageTables.\(field)")
        }
    }
}

extension Snapshot {
    /// Changes the page tables, and all accounts of them.
    fileprivate mutating func changeTables(_ change: (inout [BackedWindow]) -> Void) {
        guard var tables = pageTables else { return }
        change(&tables.windows)
        pageTables = tables
        report?.pageTables = tables
        mirror?.change { entries in
            entries = tables.windows.map { ListEntry(node: 0, list: 0, phys: $0.phys, virtAddr: $0.virtAddr) }
        }
        mirror?.provenance = tables.windows.map { _ in .seeded }
        mirror?.leafByteCounts = tables.windows.map(\.byteCount)
        history = nil
        translations = tables.windows.map { Translation(virtAddr: $0.virtAddr, answer: .cannotSay("not asked")) }
    }

    /// Maps a block's memory with base pages.
    fileprivate mutating func splitBlock(_ index: Int) {
        guard let block = pageTables?.windows[index] else { return }
        let pages = (0..<UInt64(32)).map {
            BackedWindow(
                place: 0x3fed_0000 + $0 * 8, virtAddr: block.virtAddr + $0 << 16, phys: block.phys + $0 << 16,
                byteCount: 65536)
        }
        pageTables?.windows.replaceSubrange(index...index, with: pages)
    }
}
