// SPDX-License-Identifier: Apache-2.0

import Foundation
import RunRecord
import Subprocess
import TestSupport
import Testing
import Verification
import VmemmapPopulate

/// A record's result is never better than the ending that it tells, and the parts of what it tells fit together.
@Suite struct RecordEndingTests {
    static let outcomes: [Outcome] = [.passed, .failed, .error, .incomplete, .interrupted]

    /// What a run can have come to whose last step ended like this, when all of its verifications passed.
    static func possible(_ last: Outcome) -> [Outcome] {
        switch last {
        case .passed: [.passed, .error, .interrupted]
        case .error: [.error, .interrupted]
        case .interrupted: [.interrupted]
        // No step without a verdict ends like this, unless it found something.
        case .failed, .incomplete: []
        }
    }

    static func exitCodes(_ outcome: Outcome) -> [Int32] {
        switch outcome {
        case .passed: [0]
        case .failed: [1]
        case .error: [2]
        case .incomplete: [4]
        case .interrupted: [130, 143]
        }
    }

    /// A record with another ending, whose digests fit.
    private func verification(
        of run: RecordedRun, _ outcome: Outcome, _ exitCode: Int32,
        change: (inout RunResults) throws -> Void = { _ in }
    ) async throws -> RecordVerification {
        let file = run.file("results.json")
        var results = try JSONDecoder().decode(RunResults.self, from: Data(contentsOf: file))
        results.outcome = outcome
        results.error = outcome == .error ? "the guest is lost" : nil
        try change(&results)
        try RunDirectory.json(results).write(to: file)
        try run.changeInformation { information in
            information["outcome"] = outcome.rawValue
            information["exitCode"] = exitCode
            information["error"] = results.error
        }
        try await run.coverUp("results.json")
        return RecordVerification(directory: run.url)
    }

    /// Every last step with every outcome and every exit code.
    @Test(arguments: outcomes) func everyCombination(last: Outcome) async throws {
        let run = try RecordedRun()
        for outcome in Self.outcomes {
            for exitCode: Int32 in [0, 1, 2, 4, 64, 130, 143] {
                let verification = try await verification(of: run, outcome, exitCode) { results in
                    results.steps[4].outcome = last
                }
                let text = "\(last) in \(outcome), \(exitCode): \(verification.problems)"
                let fits = Self.possible(last).contains(outcome) && Self.exitCodes(outcome).contains(exitCode)
                #expect(verification.problems.isEmpty == fits, "\(text)")
                #expect(verification.results.outcome == (fits ? outcome : .error), "\(text)")
                // What its snapshots prove is told in any case.
                #expect(verification.results.steps.compactMap(\.verdict).map(\.hasPassed) == [true, true], "\(text)")
            }
        }
    }

    /// The guest was wrong, whatever ended the run then.
    @Test(arguments: outcomes) func findingsStayFound(outcome: Outcome) async throws {
        let run = try RecordedRun()
        let file = run.file("snapshot-4.json")
        var snapshot = try JSONDecoder().decode(Snapshot.self, from: Data(contentsOf: file))
        let before = try JSONDecoder().decode(Snapshot.self, from: Data(contentsOf: run.file("snapshot-2.json")))
        snapshot.kernelList.entries[0].phys = 0x2430000
        try RunDirectory.json(snapshot).write(to: file)
        try await run.coverUp("snapshot-4.json")
        let exitCode = try #require(Self.exitCodes(outcome).first)
        let verification = try await verification(of: run, outcome, exitCode) { results in
            try results.steps[3].judge(snapshot, since: before.accountEntries)
        }
        let fits = [.failed, .interrupted].contains(outcome)
        #expect(verification.problems.isEmpty == fits, "\(verification.problems)")
        #expect(verification.results.outcome == (fits ? .failed : .error))
    }

    /// What else does not fit.
    static let misfits: [(String, String, @Sendable (inout RunResults) throws -> Void)] = [
        (
            "a step after the one that ended the run", "has a step after step 3",
            {
                $0.steps[2].outcome = .error
            }
        ),
        ("a passed run with an error", "and the error 'none of your business'", { $0.error = "none of your business" }),
        (
            "a step with findings that passed", "has the outcome 'passed' in step 3",
            {
                $0.steps[2].findings = [Finding(.plug, .refused, "one LMB")]
            }
        ),
        (
            "unsaid that nobody told of", "differs in verdict",
            {
                $0.steps[3].verdict?.unsaid = [Unsaid(.mmu, count: 1, "made up")]
            }
        ),
    ]

    @Test(arguments: misfits) func whatDoesNotFit(
        title: String, text: String, change: @Sendable (inout RunResults) throws -> Void
    ) async throws {
        let run = try RecordedRun()
        let verification = try await verification(of: run, .passed, 0, change: change)
        #expect(verification.problems.contains { $0.description.contains(text) }, "\(title): \(verification.problems)")
        #expect(verification.results.outcome == .error)
    }

    /// Who was to be asked, and about which windows, other parts of the record tell.
    @Test func whoWasToBeAskedIsTold() async throws {
        let run = try RecordedRun("run-6.1-power8-unplug")
        let names = try FileManager.default.contentsOfDirectory(atPath: run.url.path).filter {
            $0.hasPrefix("snapshot")
        }
        var goneCount = 0
        for name in names {
            let data = try Data(contentsOf: run.file(name))
            var snapshot = try JSONDecoder().decode(Snapshot.self, from: data)
            goneCount += snapshot.formerWindows.count
            var gone = snapshot.accountEntries[0]
            gone.virtAddr += 1 << 40
            snapshot.formerWindows = snapshot.formerWindows.isEmpty ? [gone] : []
            snapshot.witnesses = [.kernelList]
            // Nobody else was asked, then.
            (snapshot.mirror, snapshot.report, snapshot.history) = (nil, nil, nil)
            (snapshot.translations, snapshot.formerTranslations) = ([], [])
            try RunDirectory.json(snapshot).write(to: run.file(name))
            try await run.coverUp(name)
            let problems = RecordVerification(directory: run.url).problems.map(\.description)
            #expect(
                problems.contains {
                    $0.hasPrefix("\(name) has the witnesses kernel-list, run.json kernel-list, mirror")
                })
            #expect(problems.contains { $0.hasPrefix("\(name) has ") && $0.contains("windows that are gone") })
            try data.write(to: run.file(name))
            try await run.coverUp(name)
        }
        #expect(goneCount == 16)
        #expect(RecordVerification(directory: run.url).problems == [])
    }

    /// What is known of a kernel's start rule are the verdicts before, and nothing that a snapshot says of itself.
    @Test func whatIsKnownOfTheRuleFollows() async throws {
        let run = try RecordedRun("run-6.12-64k-power9")
        let names = try FileManager.default.contentsOfDirectory(atPath: run.url.path).filter {
            $0.hasPrefix("snapshot")
        }
        #expect(names.count == 3)
        #expect(RecordVerification(directory: run.url).problems == [])
        for name in names {
            let data = try Data(contentsOf: run.file(name))
            var snapshot = try JSONDecoder().decode(Snapshot.self, from: data)
            snapshot.radixStarts = [.asGiven]
            try RunDirectory.json(snapshot).write(to: run.file(name))
            try await run.coverUp(name)
            #expect(
                RecordVerification(directory: run.url).problems.map(\.description).contains(
                    "\(name) has the start rule as-given, and what the snapshots before leave of it is any"))
            try data.write(to: run.file(name))
            try await run.coverUp(name)
        }
    }

    /// What a witness leaves unsaid makes the run incomplete, unless its record allows it or expects it.
    @Test func theRecordTellsWhoIsExcused() async throws {
        let run = try RecordedRun()
        let file = run.file("snapshot-4.json")
        var snapshot = try JSONDecoder().decode(Snapshot.self, from: Data(contentsOf: file))
        let before = try JSONDecoder().decode(Snapshot.self, from: Data(contentsOf: run.file("snapshot-2.json")))
        snapshot.history?.noteGap("the agent lost 3 events")
        try RunDirectory.json(snapshot).write(to: file)
        try await run.coverUp("snapshot-4.json")
        for (allowed, outcome) in [([], .incomplete), ([.mmu], .incomplete), ([.mmu, .model], .passed)]
            as [([Witness], Outcome)]
        {
            let verification = try await verification(of: run, outcome, Self.exitCodes(outcome)[0]) { results in
                try results.steps[3].judge(snapshot, since: before.accountEntries)
                results.allowedUnsaid = allowed
            }
            #expect(verification.problems == [])
            #expect(verification.results.outcome == outcome)
        }
    }

    /// As a person sees it: how the run ended, and what is proved all the same.
    @Test func verifySaysHowTheRunEnded() async throws {
        let run = try RecordedRun()
        _ = try await verification(of: run, .error, 2) { results in
            results.error = "no \u{1b}c"
            results.steps[4].outcome = .error
        }
        let ended = try await run.verify()
        #expect(ended.status == .exited(2))
        #expect(ended.output.contains("error"))
        #expect(
            ended.errors == "qemu-harness: the run itself ended with 'error': no ?c; of its 2 verifications 2 passed, "
                + "judged anew\n")

        // The step that ended it edited to one that a passed run cannot have.
        _ = try await verification(of: run, .passed, 0) { $0.steps[4].outcome = .error }
        let hidden = try await run.verify()
        #expect(hidden.status == .exited(2))
        #expect(hidden.errors == "qemu-harness: results.json has the outcome 'passed'; its steps come to 'error'\n")
    }
}
