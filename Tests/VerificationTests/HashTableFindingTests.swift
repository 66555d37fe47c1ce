// SPDX-License-Identifier: Apache-2.0

import Foundation
import GuestMemory
import TestSupport
import Testing
import Verification
import VmemmapPopulate

/// The hashed page table against the list.
@Suite struct HashTableFindingTests {
    private static let table = SampleHashTable()

    /// The guest of ``GoodSnapshot/hash()``, with its table and what else is in one.
    private static func snapshot(_ change: (inout [HashedEntry]) -> Void = { _ in }) -> Snapshot {
        var snapshot = GoodSnapshot.hash()
        snapshot.witnesses = Witness.given(by: .list, .hash, hasHashTable: true)
        var entries = snapshot.kernelList.entries.map { table.entry(virtAddr: $0.virtAddr, phys: $0.phys) }
        entries.sort { $0.index < $1.index }
        change(&entries)
        var linear = table
        (linear.context, linear.pageShift) = (1, 24)
        let others = (0..<64).map {
            linear.entry(virtAddr: LinearMap.base + $0 << 24, phys: $0 << 24, slot: 5)
        }
        snapshot.hashTable = HashTableSnapshot(
            (entries + others).sorted { $0.index < $1.index }, tableShift: table.tableShift,
            segments: HashedSegments(segmentShift: 40, virtualBitCount: 28, context: 7), kernel: snapshot.kernel)
        return snapshot
    }

    private static func findings(_ snapshot: Snapshot) throws -> [Finding] {
        try Verifier.verdict(on: snapshot).findings.filter { $0.subject == .hashTable }
    }

    @Test func aGoodTableAgrees() throws {
        let snapshot = Self.snapshot()
        #expect(snapshot.hashTable?.context == 7)
        #expect(snapshot.hashTable?.segmentShift == 40)
        #expect(snapshot.hashTable?.entries.count == 32)
        #expect(snapshot.hashTable?.validCount == 96)
        let verdict = try Verifier.verdict(on: snapshot)
        #expect(verdict.findings == [])
        #expect(verdict.hasPassed)
        let statement = try #require(verdict.witnesses.first { $0.witness == .hashTable })
        #expect(statement.standing == .agrees)
        #expect(statement.agreeingCount == 32)
        let again = try JSONDecoder().decode(Snapshot.self, from: JSONEncoder().encode(snapshot))
        #expect(again == snapshot)
    }

    struct Damage: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let findings: [String]
        let change: @Sendable (inout [HashedEntry]) -> Void

        init(_ title: String, _ findings: [String], _ change: @escaping @Sendable (inout [HashedEntry]) -> Void) {
            (testDescription, self.findings, self.change) = (title, findings, change)
        }

        /// The fourth entry with other bits.
        init(_ title: String, _ findings: [String], v: UInt64 = 0, r: UInt64 = 0) {
            self.init(title, findings) {
                $0[3] = HashedEntry(index: $0[3].index, v: $0[3].v ^ v, r: $0[3].r ^ r)
            }
        }
    }

    private static let window = GoodSnapshot.hash().kernelList.entries[3]
    private static let primary = table.entry(virtAddr: window.virtAddr, phys: window.phys)
    private static let secondary = table.entry(virtAddr: window.virtAddr, phys: window.phys, isSecondary: true)

    /// What cannot be done to a real guest's table: it is QEMU's own memory, which nobody else writes.
    @Test(arguments: [
        Damage("an entry is missing", ["hpt-missing-entry"]) { $0.remove(at: 3) },
        Damage("an entry twice in its group", ["hpt-duplicate-virt"]) {
            $0.append(HashedEntry(index: $0[3].index + 1, v: $0[3].v, r: $0[3].r))
        },
        Damage("an entry in both groups", ["hpt-duplicate-virt"]) { $0.append(secondary) },
        Damage("an entry in the other group", []) { $0[$0.firstIndex(of: primary) ?? 0] = secondary },
        Damage("an entry for memory that is gone", ["hpt-stale-entry"]) {
            $0.append(table.entry(virtAddr: 0xc00c_0000_0100_0000, phys: 0x5000_0000))
        },
        Damage("an entry of other bits than its group's", ["hpt-misplaced-entry", "hpt-missing-entry"], v: 0x80),
        Damage("another page", ["hpt-wrong-phys"], r: 0x10_0000),
        Damage("a page of 4 KiB", ["hpt-wrong-size"], v: 4),
        Damage("a page of another encoding", ["hpt-wrong-size"], r: 0x8000),
        Damage("not bolted", ["hpt-attributes"], v: 0x10),
        Damage("read-only", ["hpt-attributes"], r: 3),
        Damage("a user's", ["hpt-attributes"], r: 2),
        Damage("not cached", ["hpt-attributes"], r: 0x28),
        Damage("executable", ["hpt-attributes"], r: 4),
        Damage("another page, for a user", ["hpt-wrong-phys", "hpt-attributes"], r: 0x10_0002),
    ]) func everyDamageIsFound(damage: Damage) throws {
        #expect(try Self.findings(Self.snapshot(damage.change)).map(\.name) == damage.findings)
    }

    /// The kernel does not say which contexts and segments it uses.
    @Test(arguments: HashedSegments.candidates) func segmentsAreLearned(segments: HashedSegments) {
        let snapshot = GoodSnapshot.hash()
        var table = SampleHashTable()
        (table.segmentShift, table.virtualBitCount) = (segments.segmentShift, segments.virtualBitCount)
        table.context = segments.context
        var entries = snapshot.kernelList.entries.map { table.entry(virtAddr: $0.virtAddr, phys: $0.phys) }
        // The linear map has more entries of the same shape.
        table.context = segments.context == 1 ? 2 : 1
        entries += (0..<256).map { table.entry(virtAddr: LinearMap.base + $0 << 16, phys: $0 << 16, slot: 5) }
        entries.sort { $0.index < $1.index }
        func learned(_ list: [ListEntry]) -> HashedSegments? {
            HashTableSnapshot.learnSegments(
                from: entries, tableShift: table.tableShift, kernel: snapshot.kernel, list: list)
        }
        #expect(learned(snapshot.kernelList.entries) == segments)
        #expect(learned([]) == nil)
    }

    /// Who cannot be asked is absent, and leaves nothing unsaid; who could be asked, and then not, does.
    @Test func anAbsentTableIsNamed() throws {
        var snapshot = GoodSnapshot.hash()
        snapshot.hashTableProblem = "qemu refuses 'migrate': no"
        var verdict = try Verifier.verdict(on: snapshot)
        #expect(verdict.hasPassed)
        let statement = try #require(verdict.witnesses.first { $0.witness == .hashTable })
        #expect(statement.standing == .absent)
        #expect(statement.detail == "qemu refuses 'migrate': no")
        snapshot.witnesses = Witness.given(by: .list, .hash, hasHashTable: true)
        for problem in [snapshot.hashTableProblem, nil] {
            snapshot.hashTableProblem = problem
            verdict = try Verifier.verdict(on: snapshot)
            #expect(verdict.unsaid.map(\.witness) == [.hashTable])
            #expect(!verdict.hasPassed)
        }
    }

    /// With segments of 256 MiB (`disable_1tb_segments`), one may be missing from the SLB while its neighbours are there: that
    /// says nothing about the addresses in it.
    @Test func segmentsAreAsLargeAsTheTableSays() throws {
        var snapshot = GoodSnapshot.hash()
        let base = snapshot.kernel.vmemmapBase
        snapshot.formerWindows = [
            BackedWindow(place: 0, virtAddr: base + 1 << 28, phys: 0x3000_0000, byteCount: 65536)
        ]
        snapshot.formerTranslations = [base + 1 << 28, base + 1 << 28 + 61440].map {
            Translation(virtAddr: $0, answer: .unmapped)
        }
        #expect(try Verifier.verdict(on: snapshot).unsaid == [])
        snapshot.witnesses = Witness.given(by: .list, .hash, hasHashTable: true)
        var table = Self.table
        (table.segmentShift, table.virtualBitCount) = (28, 40)
        snapshot.hashTable = HashTableSnapshot(
            snapshot.kernelList.entries.map { table.entry(virtAddr: $0.virtAddr, phys: $0.phys) }
                .sorted { $0.index < $1.index }, tableShift: table.tableShift,
            segments: HashedSegments(segmentShift: 28, virtualBitCount: 40, context: 7), kernel: snapshot.kernel)
        let verdict = try Verifier.verdict(on: snapshot)
        #expect(verdict.findings == [])
        #expect(verdict.unsaid.map(\.witness) == [.mmu])
        #expect(verdict.unsaid.first?.count == 2)
    }

    struct Constant: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let change: @Sendable (inout HashTableSnapshot) -> Void

        init(_ field: String, _ change: @escaping @Sendable (inout HashTableSnapshot) -> Void) {
            (testDescription, self.change) = (field, change)
        }
    }

    @Test(arguments: [
        Constant("tableShift") { $0.tableShift = 17 }, Constant("tableShift") { $0.tableShift = 31 },
        Constant("tableShift") { $0.tableShift = .max }, Constant("context") { $0.context = 13 },
        Constant("context") { $0.context = 0 }, Constant("context") { $0.segmentShift = 41 },
        Constant("context") { $0.virtualBitCount = 64 }, Constant("validCount") { $0.validCount = 31 },
        Constant("validCount") { $0.validCount = -1 }, Constant("validCount") { $0.validCount = .max },
        Constant("entries") { $0.entries.swapAt(0, 1) }, Constant("entries") { $0.entries.append($0.entries[31]) },
        Constant("entries") { $0.entries[31] = HashedEntry(index: 1 << 20, v: 1, r: 0) },
    ])
    func impossibleConstantsAreRefused(constant: Constant) throws {
        var snapshot = Self.snapshot()
        var table = try #require(snapshot.hashTable)
        constant.change(&table)
        snapshot.hashTable = table
        let problem = #expect(throws: SnapshotProblem.self) { try Verifier.verdict(on: snapshot) }
        #expect(problem?.field == "hashTable.\(constant.testDescription)")
    }

    @Test func aRadixKernelHasNone() throws {
        var snapshot = GoodSnapshot.radix()
        snapshot.hashTable = Self.snapshot().hashTable
        #expect(throws: SnapshotProblem.self) { try Verifier.verdict(on: snapshot) }
    }

    @Test(arguments: ["", "1 2", "1 2 3 4", "1  2 3", "g 0 0", "10000000000000000 0 0", "-1 0 0"])
    func anEntryIsThreeNumbers(text: String) {
        #expect(throws: DecodingError.self) {
            try JSONDecoder().decode(HashedEntry.self, from: Data("\"\(text)\"".utf8))
        }
    }
}
