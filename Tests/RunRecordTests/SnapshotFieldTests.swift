// SPDX-License-Identifier: Apache-2.0

import Foundation
import HarnessBasics
import RunRecord
import Testing
import Verification

/// Recorded snapshots with one thing changed: what the table of fields calls judged is noticed.
@Suite struct SnapshotFieldTests {
    private static let isAll = ProcessInfo.processInfo.environment["QEMU_HARNESS_ALL_TESTS"] != nil

    private struct Recorded: Sendable {
        let name: String
        let snapshot: Snapshot
        let tree: SnapshotTree
    }

    private static func recorded(_ name: String) throws -> [Recorded] {
        let run = try RecordedRun.fixture(name)
        return try FileManager.default.contentsOfDirectory(atPath: run.path)
            .filter { $0.hasPrefix("snapshot-") }.sorted()
            .map { file in
                let data = try Data(contentsOf: run.appending(path: file))
                let snapshot = try JSONDecoder().decode(Snapshot.self, from: data)
                let tree = try JSONDecoder().decode(SnapshotTree.self, from: RunDirectory.json(snapshot))
                return Recorded(name: "\(name)/\(file)", snapshot: snapshot, tree: tree)
            }
    }

    private static let fields = Dictionary(uniqueKeysWithValues: SnapshotField.all.map { ($0.path, $0) })

    /// What came of mutants, by the part of the snapshot.
    private struct Count {
        var refused = 0
        var found = 0
        var passed = 0
    }

    /// Fields that only a snapshot has in which something is wrong or unsaid, or which are under one of these.
    private static let troubles = [
        "hashTableProblem", "reportProblem", "readBackProblem", "vmcoreProblem", "noteProblem", "interruptedAdd",
        "radixStarts", "history.gap", "crashHeader.problem", "pageTables.faults", "report.pageTables.faults",
        "structPages.faults", "structPages.freePlaces", "vmcore.pageTables",
    ]

    @Test func everyFieldOccurs() throws {
        var paths: Set<String> = []
        for recorded in try RecordedRun.names.flatMap(Self.recorded) {
            paths.formUnion(SnapshotMutants(of: recorded.tree, seed: 1, placeLimit: 8).paths)
        }
        // An array without elements shows none of their fields.
        let listed = Set(Self.fields.keys)
        #expect(
            paths.subtracting(listed).filter { path in !(path.hasSuffix("[]") && listed.contains("\(path.dropLast(2))"))
            }
            .sorted() == [])
        #expect(
            listed.subtracting(paths).filter { path in !Self.troubles.contains { path.hasPrefix($0) } }.sorted() == [])
    }

    /// Three places of each array; with `QEMU_HARNESS_ALL_TESTS`, four of each and all that can be done to them, and the counts are printed.
    @Test(arguments: RecordedRun.names) func whatIsJudgedIsNoticed(name: String) throws {
        var counts: [String: Count] = [:]
        var random = SplitMix(state: 7)
        for recorded in try Self.recorded(name) {
            try #require(Verifier.verdict(on: recorded.snapshot).hasPassed)
            let mutants = SnapshotMutants(of: recorded.tree, seed: 1, placeLimit: Self.isAll ? 4 : 3).mutants
            // Of some twenty thousand, a twentieth.
            for mutant in mutants where Self.isAll || random.next() % 20 == 0 {
                try judge(mutant, of: recorded, &counts[Self.part(mutant.path), default: Count()])
            }
        }
        guard Self.isAll else { return }
        for (part, count) in counts.sorted(by: { $0.key < $1.key }) {
            print("\(name) \(part): \(count.refused) refused, \(count.found) found, \(count.passed) passed")
        }
    }

    private static func part(_ path: String) -> String {
        String(path.prefix { $0 != "." && $0 != "[" })
    }

    private func judge(_ mutant: SnapshotMutant, of recorded: Recorded, _ count: inout Count) throws {
        guard let tree = mutant.change(recorded.tree) else { return }
        guard let snapshot = try? JSONDecoder().decode(Snapshot.self, from: JSONEncoder().encode(tree)) else {
            count.refused += 1
            return
        }
        if snapshot == recorded.snapshot { return }
        do throws(SnapshotProblem) {
            guard try Verifier.verdict(on: snapshot).hasPassed else {
                count.found += 1
                return
            }
        } catch {
            count.refused += 1
            return
        }
        count.passed += 1
        let field = try #require(Self.fields[mutant.path], "\(mutant.path) is not in the table")
        if !field.isOrdered, [.swapped, .doubled].contains(mutant.kind) { return }
        switch field.standing {
        case .informational, .partlyJudged: return
        case .judged, .refused: Issue.record("nobody notices in \(recorded.name): \(mutant)")
        }
    }

    /// What tells of something wrong, or that something is not known, is noticed by being there.
    @Test func troubleIsNoticed() throws {
        var good = try #require(try Self.recorded("run-6.1-power9").last).snapshot
        func isNoticed(_ what: String, _ change: (inout Snapshot) -> Void) {
            var snapshot = good
            change(&snapshot)
            #expect(((try? Verifier.verdict(on: snapshot).hasPassed) ?? false) == false, "nobody notices \(what)")
        }
        isNoticed("reportProblem") { $0.reportProblem = "none" }
        isNoticed("noteProblem") { $0.noteProblem = "gone" }
        isNoticed("interruptedAdd") { $0.interruptedAdd = $0.memory.last }
        isNoticed("readBackProblem") { $0.readBackProblem = "refused" }
        isNoticed("history.gap") { $0.history?.noteGap("lost") }
        isNoticed("pageTables.faults") {
            $0.pageTables?.faults = [.init(entry: 0, virtAddr: 0, reason: .attributes, word: nil)]
        }
        isNoticed("structPages.faults") { $0.structPages?.note(.init(.poisoned, frame: 0, phys: 0, word: 0)) }
        isNoticed("structPages.freePlaces") { $0.structPages?.note(.init(.block, phys: 0, virtAddr: 0)) }
        good = try #require(try Self.recorded("run-6.1-power8-kdump").last).snapshot
        isNoticed("vmcoreProblem") { ($0.vmcore, $0.vmcoreProblem) = (nil, "none") }
        isNoticed("vmcore.pageTables") { $0.vmcore?.pageTables = WalkedTables(windows: [], faults: []) }
        isNoticed("crashHeader.problem") { $0.crashHeader?.problem = "none" }
        good = try #require(try Self.recorded("run-6.1-power8").last).snapshot
        isNoticed("hashTableProblem") { ($0.hashTable, $0.hashTableProblem) = (nil, "none") }
    }
}
