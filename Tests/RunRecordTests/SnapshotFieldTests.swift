// SPDX-License-Identifier: Apache-2.0

import Detection
import Foundation
import HarnessBasics
import RunRecord
import Subprocess
import TestSupport
import Testing
import Verification

/// Recorded snapshots with one thing changed: what the table of fields calls judged is noticed.
@Suite struct SnapshotFieldTests {
    private static let isAll = ProcessInfo.processInfo.environment["QEMU_HARNESS_ALL_TESTS"] != nil

    private static func recorded(_ name: String) throws -> [MutatedSnapshot] {
        let run = try RecordedRun.fixture(name)
        return try FileManager.default.contentsOfDirectory(atPath: run.path)
            .filter { $0.hasPrefix("snapshot-") }.sorted()
            .map { try MutatedSnapshot(name: "\(name)/\($0)", json: Data(contentsOf: run.appending(path: $0))) }
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
        let listed = Set(SnapshotField.all.map(\.path))
        #expect(
            paths.subtracting(listed).filter { !$0.hasSuffix("[]") || !listed.contains("\($0.dropLast(2))") }.sorted()
                == [])
        #expect(
            listed.subtracting(paths).filter { path in !Self.troubles.contains { path.hasPrefix($0) } }.sorted() == [])
    }

    /// Of some twenty thousand mutants, three places of each array, one in sixty.
    @Test(arguments: RecordedRun.names) func whatIsJudgedIsNoticed(name: String) throws {
        var random = SeededGenerator(seed: 7)
        for recorded in try Self.recorded(name) {
            for mutant in SnapshotMutants(of: recorded.tree, seed: 1, placeLimit: 3).mutants
            where random.next() % 60 == 0 && recorded.fate(of: mutant) == .missed {
                #expect(MutantTally.reason(of: mutant) != nil, "nobody notices in \(recorded.name): \(mutant)")
            }
        }
    }

    /// All that can be done to four places of each array: of no field nothing is noticed, except where the table says so.
    @Test(.enabled(if: isAll)) func allThatCanBeChanged() throws {
        var tally = MutantTally()
        for recorded in try RecordedRun.names.flatMap(Self.recorded) { tally.take(recorded, seed: 1, placeLimit: 4) }
        #expect(tally.surprises == [])
        for field in SnapshotField.all {
            guard let count = tally.fields.counts[field.path] else { continue }
            if case .informational = field.standing { continue }
            #expect(count.missed < count.tried, "no change of \(field.path) is noticed")
        }
    }

    /// The command counts the same, and takes no record in which something is wrong already.
    @Test func theScoreIsPrinted() async throws {
        let fixture = try RecordedRun.fixture("run-6.1-power9")
        let ending = try await HarnessProgram.run(["score", "--mutants", "300", fixture.path])
        #expect(ending.status == .exited(0), "\(ending.errors)\(ending.output)")
        #expect(ending.output.contains("0 of those in a field in which every change is to be noticed (at most "))
        #expect(ending.output.contains("\n| `kernelList` | "))
        let run = try RecordedRun()
        try run.editNewestBlock(in: "snapshot-4.json")
        let damaged = try await HarnessProgram.run(["score", run.url.path])
        #expect(damaged.status == .exited(64))
        #expect(damaged.errors.contains("run/snapshot-4.json has not passed"), "\(damaged.errors)")
        let missing = try await HarnessProgram.run(["score", "/nosuch"])
        #expect(missing.status == .exited(64))
        #expect(missing.errors.contains("'/nosuch' is no record's folder"), "\(missing.errors)")
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
