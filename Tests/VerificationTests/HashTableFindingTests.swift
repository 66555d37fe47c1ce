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
            (entries + others).sorted { $0.index < $1.index }, tableShift: table.tableShift, of: snapshot)
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
    }

    /// What cannot be done to a real guest's table: it is QEMU's own memory, which nobody else writes.
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
