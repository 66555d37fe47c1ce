// SPDX-License-Identifier: Apache-2.0

public import Verification

/// `results.json`: each step, and the verdicts.
public struct RunResults: Codable, Equatable, Sendable {
    /// The version of this file's form.
    public static let currentSchema = 2

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
    /// The witnesses that may leave something unsaid in this run (`--allow-unsaid`).
    public var allowedUnsaid: [Witness]

    /// Collects results.
    public init(
        run: String, outcome: Outcome, error: String?, steps: [StepResult], allowedUnsaid: [Witness] = []
    ) {
        schema = Self.currentSchema
        self.run = run
        self.outcome = outcome
        self.error = error
        self.steps = steps
        self.allowedUnsaid = allowedUnsaid
    }

    /// What the steps come to. A finding that the expectations right behind a step name makes no step fail, except where it
    /// is an expectation's own. What they name of the unsaid, and what the run allows, leaves no step incomplete, except
    /// where it is the kernel's own account. And without any verdict nothing was verified.
    public static func outcome(of steps: [StepResult], allowing allowed: [Witness] = []) -> Outcome {
        var isComplete = steps.contains { $0.verdict != nil }
        var hasFailed = false
        forEachWithExpectations(steps) { step, names, witnesses in
            if !step.allFindings.allSatisfy({ names.contains($0.name) }) { hasFailed = true }
            if step.verdict?.unsaid(excusing: witnesses.union(allowed)).isEmpty == false { isComplete = false }
        }
        if hasFailed { return .failed }
        for ending in [Outcome.interrupted, .error] where steps.contains(where: { $0.outcome == ending }) {
            return ending
        }
        return isComplete ? .passed : .incomplete
    }

    /// What was left unsaid and nobody excused, by the numbers of the steps.
    public var unsaid: [(step: Int, unsaid: Unsaid)] {
        var unsaid: [(step: Int, unsaid: Unsaid)] = []
        Self.forEachWithExpectations(steps) { step, _, witnesses in
            let rest = step.verdict?.unsaid(excusing: witnesses.union(allowedUnsaid)) ?? []
            unsaid += rest.reversed().map { (step.number, $0) }
        }
        return unsaid.reversed()
    }

    /// Walks the steps from the back, each with what the expectations right behind it name: so each step meets its
    /// expectations in one walk, and a record may hold any number of them. Nothing excuses what an expectation itself found.
    private static func forEachWithExpectations(
        _ steps: [StepResult], _ body: (StepResult, _ findings: Set<String>, _ unsaid: Set<Witness>) -> Void
    ) {
        var findings: Set<String> = []
        var unsaid: Set<Witness> = []
        for step in steps.reversed() {
            if let names = step.expectedFindings {
                body(step, [], [])
                findings.formUnion(names)
                unsaid.formUnion(step.expectedUnsaid ?? [])
            } else {
                body(step, findings, unsaid)
                (findings, unsaid) = ([], [])
            }
        }
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
    /// What a person is told of the step beside its outcome: which kernel booted, or what came of a step that can come out
    /// in more than one right way.
    public var note: String?
    /// What a step that is no verification found.
    public var findings: [Finding]?
    /// The findings that this step expects of the one before it, by their names; nil when it is no expectation.
    public var expectedFindings: [String]?
    /// The witnesses that this step expects to leave something unsaid in the one before it; nil when it expects none.
    public var expectedUnsaid: [Witness]?

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
        outcome = verdict.hasPassed ? .passed : .incomplete
        if !allFindings.isEmpty { outcome = .failed }
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
