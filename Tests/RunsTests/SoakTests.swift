// SPDX-License-Identifier: Apache-2.0

import Exploration
import Foundation
import HarnessBasics
import Plans
import RunRecord
import Synchronization
import TestSupport
import Testing

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

    private struct Silent: SoakObserver {
        func observe(_ event: SoakEvent) {}
    }

    /// What a made-up run comes to.
    private enum Ending {
        case passes, isLost, doesNotBoot
        case finds([Finding])
        case isCancelled
    }

    /// Takes histories whose runs come to what `ending` says.
    private func soak(
        runs: Int? = nil, tries: Int = 60, keepsClean: Bool = false, from first: Int = 1,
        ending: @escaping @Sendable (Plan, String) throws -> Ending
    ) async -> SoakSummary {
        let generator = HistoryGenerator(
            seed: 42, subjects: [Subject(kernel: "6.1", cpu: "POWER8")], changeCount: 6, hasAllocationFailures: false)
        let bounds = Soak.Bounds(
            first: first, historyCount: runs, shrinkTryLimit: tries, keepsClean: keepsClean)
        let journal = journal
        let soak = Soak(generator, bounds: bounds, journal: journal, observer: Silent()) { plan, name, observer in
            let ending = try ending(plan, name)
            if case .isCancelled = ending { withUnsafeCurrentTask { $0?.cancel() } }
            let record = try RunDirectory(
                parent: journal.url, identifier: name, startedAt: Date(timeIntervalSince1970: 0))
            try record.write(plan: plan.yaml())
            return try Self.report(ending, of: plan, record.url, telling: observer)
        }
        // A task of its own, which can be cancelled without the test's.
        return await Task { await soak.run(commandLine: ["test"]) }.value
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
    private func lines() async throws -> [[String: Any]] {
        let data = try Data(contentsOf: journal.url.appending(path: SoakJournal.fileName))
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
        #expect(try await lines()[2]["stepCount"] as? Int == 1)
    }

    @Test func aMachineOnWhichNothingBootsEndsIt() async throws {
        let summary = await soak { _, _ in .doesNotBoot }
        #expect(summary.outcome == .error && summary.historyCount == 3)
        #expect(summary.error == "3 guests in a row did not come up: made up")
        let thrown = await soak { _, _ in throw HarnessError.infrastructure("no room") }
        #expect(thrown.error == "3 guests in a row did not come up: no room")
        #expect(thrown.historyCount == 3 && thrown.next == 4)
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
