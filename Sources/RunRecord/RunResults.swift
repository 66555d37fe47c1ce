// SPDX-License-Identifier: Apache-2.0

public import Verification

/// `results.json`: each step, and the verdicts.
public struct RunResults: Codable, Equatable, Sendable {
    /// The version of this file's form.
    public static let currentSchema = 1

    /// ``currentSchema`` when it was written.
    public var schema: Int
    /// The run's name.
    public var run: String
    /// How the run ended.
    public var outcome: Outcome
    /// What went wrong with the harness itself, nil when nothing did.
    public var error: String?
    /// The steps that were taken, in order.
    public var steps: [StepResult]

    /// Collects results.
    public init(run: String, outcome: Outcome, error: String?, steps: [StepResult]) {
        schema = Self.currentSchema
        self.run = run
        self.outcome = outcome
        self.error = error
        self.steps = steps
    }

    /// What steps come to that were all taken. A finding that the expectations right behind it name makes no step fail,
    /// except where it is an expectation's own; and without any verdict nothing was verified.
    public static func outcome(of steps: [StepResult]) -> Outcome {
        var expected: Set<String> = []
        // From the back, so that each step meets its expectations in one walk: a record may hold any number of them.
        for step in steps.reversed() {
            if let names = step.expectedFindings {
                guard step.allFindings.isEmpty else { return .failed }
                expected.formUnion(names)
            } else {
                guard step.allFindings.allSatisfy({ expected.contains($0.name) }) else { return .failed }
                expected = []
            }
        }
        let hasVerdict = steps.contains { $0.verdict != nil }
        return hasVerdict && !steps.contains { $0.outcome == .skipped } ? .passed : .skipped
    }
}

/// One step of a run.
public struct StepResult: Codable, Equatable, Sendable {
    /// Counts from 1.
    public var number: Int
    /// What was done, as a person reads it.
    public var title: String
    /// How long it took.
    public var seconds: Double
    /// How it ended.
    public var outcome: Outcome
    /// A verification's verdict.
    public var verdict: Verdict?
    /// The entries that the kernel's account has and did not have at the verification before, newest first on a list and
    /// ascending in page tables; all of them at the first one.
    public var newEntries: [BackedWindow]?
    /// The entries that it had then and has no more.
    public var goneEntries: [BackedWindow]?
    /// What came of a step that can come out in more than one right way.
    public var note: String?
    /// What a step that is no verification found.
    public var findings: [Finding]?
    /// The findings that this step expects of the one before it, by their names; nil when it is no expectation.
    public var expectedFindings: [String]?

    /// Describes a step without a verdict.
    public init(number: Int, title: String, seconds: Double, outcome: Outcome) {
        self.number = number
        self.title = title
        self.seconds = seconds
        self.outcome = outcome
    }

    /// Takes the verdict on a snapshot, what follows from it, and how the kernel's account has changed since `lastEntries`.
    public mutating func judge(_ snapshot: Snapshot, since lastEntries: [BackedWindow]) throws(SnapshotProblem) {
        let verdict = try Verifier.verdict(on: snapshot)
        self.verdict = verdict
        outcome = verdict.hasPassed ? .passed : verdict.findings.isEmpty ? .skipped : .failed
        newEntries = Self.entries(snapshot.accountEntries, missingIn: lastEntries)
        goneEntries = Self.entries(lastEntries, missingIn: snapshot.accountEntries)
    }

    private static func entries(_ entries: [BackedWindow], missingIn others: [BackedWindow]) -> [BackedWindow] {
        let known = Set(others.map { [$0.virtAddr, $0.phys, $0.byteCount] })
        return entries.filter { !known.contains([$0.virtAddr, $0.phys, $0.byteCount]) }
    }

    /// Everything that the step found.
    public var allFindings: [Finding] { (findings ?? []) + (verdict?.findings ?? []) }
}
