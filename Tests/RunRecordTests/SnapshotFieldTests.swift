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

    /// What comes of a mutant.
    private enum Fate {
        case refused, found, passed
    }

    /// What came of mutants.
    private struct Count {
        private(set) var refused = 0
        private(set) var found = 0
        private(set) var passed = 0

        mutating func note(_ fate: Fate) {
            switch fate {
            case .refused: refused += 1
            case .found: found += 1
            case .passed: passed += 1
            }
        }
    }

    /// Fields that only a snapshot has in which something is wrong or unsaid, or which are under one of these.
    private static let troubles = [
        "hashTableProblem", "reportProblem", "readBackProblem", "vmcoreProblem", "noteProblem", "interruptedAdd",
        "radixStarts", "history.gap", "crashHeader.problem", "pageTables.faults", "pageTables.isCut",
        "report.pageTables.faults",
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

    /// Of some twenty thousand mutants, three places of each array, one in sixty.
    @Test(arguments: RecordedRun.names) func whatIsJudgedIsNoticed(name: String) throws {
        var random = SplitMix(state: 7)
        for recorded in try Self.recorded(name) {
            try #require(Verifier.verdict(on: recorded.snapshot).hasPassed)
            for mutant in SnapshotMutants(of: recorded.tree, seed: 1, placeLimit: 3).mutants
            where random.next() % 60 == 0 {
                _ = try judge(mutant, of: recorded)
            }
        }
    }

    /// All that can be done to four places of each array. What came of it is printed, by the part of the snapshot.
    @Test(.enabled(if: isAll)) func allThatCanBeChanged() throws {
        var counts: [String: Count] = [:]
        var (tried, noticed): (Set<String>, Set<String>) = ([], [])
        for recorded in try RecordedRun.names.flatMap(Self.recorded) {
            for mutant in SnapshotMutants(of: recorded.tree, seed: 1, placeLimit: 4).mutants {
                guard let fate = try judge(mutant, of: recorded) else { continue }
                counts[Self.part(mutant.path), default: Count()].note(fate)
                tried.insert(mutant.path)
                if fate != .passed { noticed.insert(mutant.path) }
            }
        }
        for field in SnapshotField.all where tried.contains(field.path) {
            guard case .informational = field.standing else {
                #expect(noticed.contains(field.path), "no change of \(field.path) is noticed")
                continue
            }
        }
        for (part, count) in counts.sorted(by: { $0.key < $1.key }) {
            print("\(part): \(count.refused) refused, \(count.found) found, \(count.passed) passed")
        }
    }

    private static func part(_ path: String) -> String {
        String(path.prefix { $0 != "." && $0 != "[" })
    }

    /// What came of a mutant; nil where it is the same snapshot.
    private func judge(_ mutant: SnapshotMutant, of recorded: Recorded) throws -> Fate? {
        guard let tree = mutant.change(recorded.tree) else { return nil }
        guard let snapshot = try? JSONDecoder().decode(Snapshot.self, from: JSONEncoder().encode(tree)) else {
            return .refused
        }
        if snapshot == recorded.snapshot { return nil }
        do throws(SnapshotProblem) {
            guard try Verifier.verdict(on: snapshot).hasPassed else { return .found }
        } catch {
            return .refused
        }
        let field = try #require(Self.fields[mutant.path], "\(mutant.path) is not in the table")
        if !field.isOrdered, [.swapped, .doubled].contains(mutant.kind) { return .passed }
        switch field.standing {
        case .informational, .partlyJudged: break
        case .judged, .refused: Issue.record("nobody notices in \(recorded.name): \(mutant)")
        }
        return .passed
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
        isNoticed("pageTables.isCut") { $0.pageTables?.isCut = true }
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
