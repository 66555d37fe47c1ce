// SPDX-License-Identifier: Apache-2.0

import Exploration
import Foundation
import Glibc
import HarnessBasics
import Plans
import Synchronization
import TestSupport
import Testing

@testable import RunRecord
@testable import Runs
@testable import Verification

/// The loop of a soak, with runs that are made up.
@Suite struct SoakTests {
    private let folder: TemporaryFolder
    private let journal: SoakJournal

    init() throws {
        folder = try TemporaryFolder()
        journal = try SoakJournal(parent: folder.url, identifier: "test", startedAt: Date(timeIntervalSince1970: 0))
    }

    /// Keeps what histories came to, as a person hears of it.
    private final class Listener: SoakObserver {
        private let heard = Mutex<[SoakHistory]>([])
        var histories: [SoakHistory] { heard.withLock { $0 } }

        func observe(_ event: SoakEvent) {
            if case .historyEnded(let history, _) = event { heard.withLock { $0.append(history) } }
        }
    }

    /// What a made-up run comes to.
    private enum Ending {
        case passes, isLost, doesNotBoot
        case finds([Finding])
        case isCancelled
    }

    /// Takes histories whose runs come to what `ending` says.
    private func soak(
        runs: Int? = nil, tries: Int = 60, keepsClean: Bool = false, from first: Int = 1, in other: SoakJournal? = nil,
        telling observer: Listener = Listener(), ending: @escaping @Sendable (Plan, String) throws -> Ending
    ) async -> SoakSummary {
        await Self.soak(
            runs: runs, tries: tries, keepsClean: keepsClean, from: first, in: other ?? journal, telling: observer,
            ending: ending)
    }

    private static func soak(
        runs: Int?, tries: Int = 60, keepsClean: Bool = false, from first: Int = 1, in journal: SoakJournal,
        telling observer: Listener = Listener(), ending: @escaping @Sendable (Plan, String) throws -> Ending
    ) async -> SoakSummary {
        let generator = HistoryGenerator(
            seed: 42, subjects: [Subject(kernel: "6.1", cpu: "POWER8")], changeCount: 6, hasAllocationFailures: false)
        let bounds = Soak.Bounds(
            first: first, historyCount: runs, shrinkTryLimit: tries, keepsClean: keepsClean)
        let soak = Soak(generator, bounds: bounds, journal: journal, observer: observer) {
            plan, name, endsAtFailure, observer in
            // A history has a number, and what is made of it a second one.
            #expect(endsAtFailure == !name.contains("."))
            let ending = try ending(plan, name)
            if case .isCancelled = ending { withUnsafeCurrentTask { $0?.cancel() } }
            let record = try RunDirectory(
                parent: journal.url, identifier: name, startedAt: Date(timeIntervalSince1970: 0))
            try record.write(plan: plan.yaml())
            return try Self.report(ending, of: plan, record.url, telling: observer)
        }
        // A task of its own, which can be cancelled without the test's.
        return await Task { await soak.run(commandLine: ["test"], options: ["--steps", "6"]) }.value
    }

    /// A run of a plan, of which the last step alone has a verdict.
    private static func report(
        _ ending: Ending, of plan: Plan, _ directory: URL, telling observer: any RunObserver
    ) throws -> Runner.Report {
        var steps = (1...plan.steps.count + 1).map { number in
            StepResult(number: number, title: number == 1 ? "boot" : "a step", seconds: 0, outcome: .passed)
        }
        var findings: [Finding] = []
        var early: EarlyEnding?
        switch ending {
        case .passes: break
        case .finds(let found): findings = found
        case .isLost: early = .error
        case .isCancelled: early = .interruption
        case .doesNotBoot:
            early = .error
            steps = [steps[0]]
            steps[0].conclude(endedBy: .error)
        }
        if steps.count > 1 {
            steps[steps.count - 1].verdict = Verdict(
                findings: findings, witnesses: [], unsaid: [], account: .list, entryCount: 16, provenance: [:],
                sectionCount: 64, coveredSectionCount: 64)
            steps[steps.count - 1].conclude()
        }
        try observer.observe(.unplugSettled(alias: "ua-dimm1", .refused))
        for step in steps { try observer.observe(.stepEnded(step)) }
        let outcome = Outcome.of(steps, endedBy: early)
        let error = early == .error ? "made up" : nil
        return Runner.Report(
            results: RunResults(run: "x", outcome: outcome, error: error, steps: steps),
            information: RunInformation(
                run: "x", startedAt: Date(), commandLine: [], versions: .init(harness: "test"),
                guest: .init(
                    kernelPath: "/vmlinux", initramfsPath: "/initramfs", cpu: "POWER8", cpuCount: 1,
                    bootMemoryByteCount: 1 << 30, maximumMemoryByteCount: 1 << 30, kernelCommandLine: "")),
            directory: directory, exitCode: outcome.exitCode(), isGuestKept: false, leftover: nil)
    }

    /// The lines of the journal, of which each is a document that the schema takes.
    private func lines(of other: SoakJournal? = nil) async throws -> [[String: Any]] {
        let data = try Data(contentsOf: (other ?? journal).url.appending(path: SoakJournal.fileName))
        let refusals = try await JSONSchema("soak").refusals(of: data)
        #expect(!refusals.isEmpty && refusals.allSatisfy { $0 == nil }, "\(refusals)")
        return try data.split(separator: 0x0a).map { line in
            try #require(try JSONSerialization.jsonObject(with: line) as? [String: Any])
        }
    }

    private func records() throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: journal.url.path).filter { $0.contains("Z-") }.sorted()
    }

    @Test(arguments: [false, true]) func cleanHistoriesAreCounted(keepsClean: Bool) async throws {
        let summary = await soak(runs: 3, keepsClean: keepsClean, from: 5) { _, _ in .passes }
        #expect(summary.outcome == .passed && summary.error == nil)
        #expect((summary.historyCount, summary.first, summary.next) == (3, 5, 8))
        #expect((summary.verificationCount, summary.entryCount) == (3, 48))
        #expect(summary.refusals == ["unplug-refused": 3])
        #expect(summary.droppedRecordCount == (keepsClean ? 0 : 3))
        #expect(try records().count == (keepsClean ? 3 : 0))
        let kinds = try await lines().map { $0["kind"] as? String }
        #expect(kinds == ["soak.started", "history.ended", "history.ended", "history.ended", "soak.ended"])
    }

    /// What fails is made small, once for each failure of a guest; its record has both plans, and the small one's record
    /// stands beside it.
    @Test func whatFailsIsMadeSmall() async throws {
        let finding = Finding(.list, .cycle, "made up")
        let summary = await soak(runs: 2) { plan, _ in
            plan.steps.contains { if case .plug = $0 { true } else { false } } ? .finds([finding]) : .passes
        }
        #expect(summary.outcome == .failed)
        #expect(summary.findings == ["list-cycle": 2])
        let lines = try await lines()
        #expect(
            lines.map { $0["kind"] as? String } == [
                "soak.started", "history.ended", "history.shrunk", "history.ended", "soak.ended",
            ])
        let shrunk = try #require(lines[2]["plan"] as? String)
        #expect(lines[2]["stepCount"] as? Int == 1)
        let plan = try Plan(yaml: String(contentsOfFile: shrunk, encoding: .utf8))
        #expect(plan.steps == [.plug(size: 256 << 20, node: nil, base: nil)])
        let record = try #require(lines[2]["record"] as? String)
        #expect(try Plan(yaml: String(contentsOfFile: record + "/plan.yaml", encoding: .utf8)) == plan)
        #expect(FileManager.default.fileExists(atPath: (lines[1]["record"] as? String ?? "") + "/plan.yaml"))
        #expect(try records().count == 3)
    }

    /// Another failure than the first is none that counts.
    @Test func onlyTheSameFailureIsFollowed() async throws {
        let (first, other) = (Finding(.list, .cycle, "made up"), Finding(.mmu, .unmapped, "made up"))
        let summary = await soak(runs: 1) { plan, name in
            guard name != "1" else { return .finds([first]) }
            return .finds(plan.steps.count > 3 ? [first, other] : [other])
        }
        #expect(summary.findings == ["list-cycle": 1])
        #expect(try await lines()[2]["stepCount"] as? Int == 4)
    }

    @Test func whatDoesNotComeAgainIsToldSo() async throws {
        let finding = Finding(.list, .cycle, "made up")
        let summary = await soak(runs: 1) { _, name in name == "1" ? .finds([finding]) : .passes }
        #expect(summary.outcome == .failed)
        let line = try await lines()[2]
        #expect(line["plan"] == nil && line["replayCount"] as? Int == 3 && line["replayFailureCount"] as? Int == 0)
        #expect(try records().count == 1)
    }

    /// A guest that is lost each time is a result like any other; the machine's troubles are none.
    @Test func lostGuestsAreFollowed() async throws {
        let summary = await soak(runs: 1) { _, _ in .isLost }
        #expect((summary.outcome, summary.errorCount, summary.failedCount) == (.error, 1, 0))
        let line = try await lines()[2]
        #expect(line["stepCount"] as? Int == 1 && line["replayCount"] as? Int == 1)
    }

    /// One that is lost once was lost by the machine, most likely: it is taken once more, and not made small.
    @Test func aGuestThatIsLostOnceIsTakenOnceMore() async throws {
        let summary = await soak(runs: 2) { _, name in name == "1" ? .isLost : .passes }
        #expect((summary.outcome, summary.errorCount, summary.historyCount) == (.error, 1, 2))
        let line = try await lines()[2]
        #expect(line["kind"] as? String == "history.shrunk" && line["plan"] == nil)
        #expect(line["tryCount"] as? Int == 1 && line["replayFailureCount"] as? Int == 0)
        #expect(try records().count == 1)
    }

    /// Each plan of a guest that is lost may take until the time for an answer is up.
    @Test func aLostGuestIsNotFollowedForEver() async throws {
        let summary = await soak(runs: 1) { plan, _ in plan.steps.count > 4 ? .isLost : .passes }
        #expect(summary.errorCount == 1)
        let line = try await lines()[2]
        #expect(line["tryCount"] as? Int == 12 && line["isThrough"] as? Bool == false)
    }

    @Test func aMachineOnWhichNothingBootsEndsIt() async throws {
        let summary = await soak { _, _ in .doesNotBoot }
        #expect(summary.outcome == .error && summary.historyCount == 3)
        #expect(summary.error == "3 guests in a row did not come up: made up")
        let thrown = await soak { _, _ in throw HarnessError.infrastructure("no room") }
        #expect(thrown.error == "3 guests in a row did not come up: no room")
        #expect(thrown.historyCount == 3 && thrown.next == 4)
    }

    // MARK: - Bad days

    /// The disk is full in the middle: what was told is in the journal, what was found by then is told, and the ending says
    /// what happened.
    @Test(arguments: [false, true]) func aFullDiskLosesNothing(finds: Bool) async throws {
        let file = journal.url.appending(path: "a-journal")
        try Data().write(to: file)
        let handle = try FileHandle(forUpdating: file)
        let descriptor = handle.fileDescriptor
        let observer = Listener()
        let summary = await soak(
            runs: 5, in: SoakJournal(folder: journal.url, file: handle), telling: observer
        ) { _, name in
            if name == "2" {
                // From here on the journal is a file that takes nothing (ENOSPC).
                let full = open("/dev/full", O_WRONLY)
                defer { close(full) }
                try #require(full >= 0 && dup2(full, descriptor) == descriptor)
            }
            return name == "2" && finds ? .finds([Finding(.list, .cycle, "made up")]) : .passes
        }
        #expect(summary.error?.hasPrefix("cannot write soak.jsonl") == true, "\(summary.error ?? "nothing")")
        #expect(summary.outcome == (finds ? .failed : .error) && summary.outcome?.exitCode() == (finds ? 1 : 2))
        #expect(summary.historyCount == 2 && summary.findings == (finds ? ["list-cycle": 1] : [:]))
        // Nobody was told of more than there is, and nobody of less.
        #expect(observer.histories.map(\.number) == [1, 2])
        #expect(observer.histories.last?.findings == (finds ? ["list-cycle"] : []))
        #expect(try records().count == (finds ? 1 : 0))
        let written = try Data(contentsOf: file).split(separator: 0x0a)
        let kinds = try written.map { line in
            (try JSONSerialization.jsonObject(with: line) as? [String: Any])?["kind"] as? String
        }
        #expect(kinds == ["soak.started", "history.ended"])
    }

    /// What is on the disk whenever a soak is killed: lines that are whole, the last of which says how to go on.
    @Test func aKilledSoakSaysHowToGoOn() async throws {
        let file = journal.url.appending(path: SoakJournal.fileName)
        let seen = Mutex<[Data]>([])
        _ = await soak(runs: 3, from: 7) { _, _ in
            let journal = try Data(contentsOf: file)
            seen.withLock { $0.append(journal) }
            return .passes
        }
        let journals = seen.withLock { $0 }
        #expect(journals.count == 3 && journals.allSatisfy { $0.last == 0x0a })
        for (index, journal) in journals.enumerated() {
            let lines = try journal.split(separator: 0x0a).map { line in
                try #require(try JSONSerialization.jsonObject(with: line) as? [String: Any])
            }
            #expect(lines.dropFirst().map { $0["number"] as? Int } == (7..<7 + index).map { $0 })
            let command = "qemu-harness soak --seed 42 --steps 6 --from \(7 + index)"
            #expect(lines.last?["goingOn"] as? String == command)
        }
        #expect(try await lines().last?["goingOn"] as? String == "qemu-harness soak --seed 42 --steps 6 --from 10")
    }

    /// Two soaks of one second and one folder know nothing of each other.
    @Test func twoSoaksAtOnceLoseNothing() async throws {
        let (parent, start) = (folder.url.appending(path: "runs"), Date(timeIntervalSince1970: 0))
        let journals = try ["one", "two"].map { try SoakJournal(parent: parent, identifier: $0, startedAt: start) }
        #expect(throws: (any Error).self) { try SoakJournal(parent: parent, identifier: "two", startedAt: start) }
        let finding = Finding(.list, .cycle, "made up")
        async let first = Self.soak(runs: 20, tries: 0, in: journals[0]) { _, _ in .finds([finding]) }
        async let second = Self.soak(runs: 20, keepsClean: true, in: journals[1]) { _, _ in .passes }
        let summaries = await [first, second]
        #expect(summaries.map(\.outcome) == [.failed, .passed] && summaries.allSatisfy { $0.error == nil })
        for journal in journals {
            let lines = try await lines(of: journal).filter { $0["kind"] as? String == "history.ended" }
            #expect(lines.map { $0["number"] as? Int } == (1...20).map { $0 })
            for line in lines {
                let record = try #require(line["record"] as? String)
                #expect(record.hasPrefix(journal.url.path) && FileManager.default.fileExists(atPath: record))
            }
        }
    }

    /// A history that was interrupted is taken again by who goes on.
    @Test func anInterruptedSoakCanGoOn() async throws {
        let summary = await soak { _, name in name == "3" ? .isCancelled : .passes }
        #expect(summary.outcome == .interrupted && summary.error == nil)
        #expect(summary.next == 3 && summary.historyCount == 2)
        #expect(try records().isEmpty)
        #expect(try await lines().last?["next"] as? Int == 3)
    }
}
