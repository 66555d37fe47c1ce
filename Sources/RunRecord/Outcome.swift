// SPDX-License-Identifier: Apache-2.0

public import Verification

/// How a step or a run ended.
///
/// This file is the way from findings to an exit code, for `run` and `verify` alike: findings and verdict make a step's
/// outcome, steps and what they excuse of each other make a run's, and that an exit code.
public enum Outcome: String, Codable, Sendable {
    /// Every witness spoke about everything that it was asked, and all of it is right.
    case passed
    /// There are findings: the guest is wrong.
    case failed
    /// The harness, libvirt or QEMU failed, or the guest was lost.
    case error
    /// Nothing is known to be wrong, and something that had to be verified was not: there was no verification, or a
    /// witness left something unsaid that nobody excused.
    case incomplete
    /// A signal ended it.
    case interrupted
}

/// What ended a step or a run before it was through, other than the guest's memory map.
public enum EarlyEnding: CaseIterable, Sendable {
    /// The harness, libvirt or QEMU failed, or the guest was lost.
    case error
    /// A signal.
    case interruption

    /// What an error makes of a step or a run; nil without one. Whatever fails after a signal fails because of it.
    public init?(_ error: (any Error)?, wasInterrupted: Bool = false) {
        guard let error else { return nil }
        self = wasInterrupted || error is CancellationError ? .interruption : .error
    }

    /// What a recorded outcome says of it; nil when nothing ended the step or the run early.
    init?(_ outcome: Outcome) {
        switch outcome {
        case .error: self = .error
        case .interrupted: self = .interruption
        case .passed, .failed, .incomplete: return nil
        }
    }
}

// MARK: - A step

extension Outcome {
    /// What a step comes to: what ended it early, else what it found, else what its verdict leaves unsaid.
    static func of(_ step: StepResult, endedBy ending: EarlyEnding? = nil) -> Outcome {
        switch ending {
        case .error: return .error
        case .interruption: return .interrupted
        case nil: break
        }
        guard step.allFindings.isEmpty else { return .failed }
        return step.verdict?.hasPassed == false ? .incomplete : .passed
    }
}

extension StepResult {
    /// Settles the step's outcome by what it found, or by what ended it early.
    public mutating func conclude(endedBy ending: EarlyEnding? = nil) {
        outcome = .of(self, endedBy: ending)
    }
}

// MARK: - A run

extension Outcome {
    /// What a run comes to: its steps, and what ended it between them.
    public static func of(
        _ steps: [StepResult], allowing allowed: [Witness] = [], endedBy ending: EarlyEnding? = nil
    ) -> Outcome {
        ofSteps(steps, allowing: allowed).ended(by: ending)
    }

    /// A finding that the expectations right behind a step name makes no step fail, except where it is an expectation's
    /// own. What they name of the unsaid, and what the run allows, leaves no step incomplete, except where it is the
    /// kernel's own account. And without any verdict nothing was verified.
    private static func ofSteps(_ steps: [StepResult], allowing allowed: [Witness]) -> Outcome {
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

    /// What a run comes to whose steps come to this: after a signal nothing counts but the signal, and what was found stays
    /// found, also when the run could not go on.
    private func ended(by ending: EarlyEnding?) -> Outcome {
        switch (self, ending) {
        case (_, .interruption), (.interrupted, _): .interrupted
        case (.failed, _): .failed
        case (_, .error): .error
        case (_, nil): self
        }
    }

    /// What a run can have come to whose steps come to this: what ends a run may come between its steps as well.
    var possibleOutcomesOfRun: Set<Outcome> {
        Set([ended(by: nil)] + EarlyEnding.allCases.map { ended(by: $0) })
    }

    /// What `verify` makes of a run whose steps come to this, and whose record says how it ended: no better than that, and
    /// what was found stays found whatever ended it.
    func verified(recorded: Outcome) -> Outcome {
        self == .failed ? .failed : ended(by: EarlyEnding(recorded))
    }
}

extension RunResults {
    /// What was found and nobody excused, by the numbers of the steps.
    public var failures: [(step: Int, findings: [Finding])] {
        var failures: [(step: Int, findings: [Finding])] = []
        forEachWithExpectations(steps) { step, names, _ in
            let rest = step.allFindings.filter { !names.contains($0.name) }
            if !rest.isEmpty { failures.append((step.number, rest)) }
        }
        return failures.reversed()
    }

    /// What was left unsaid and nobody excused, by the numbers of the steps.
    public var unsaid: [(step: Int, unsaid: Unsaid)] {
        var unsaid: [(step: Int, unsaid: Unsaid)] = []
        forEachWithExpectations(steps) { step, _, witnesses in
            let rest = step.verdict?.unsaid(excusing: witnesses.union(allowedUnsaid)) ?? []
            unsaid += rest.reversed().map { (step.number, $0) }
        }
        return unsaid.reversed()
    }
}

/// Walks the steps from the back, each with what the expectations right behind it name: so each step meets its
/// expectations in one walk, and a record may hold any number of them. Nothing excuses what an expectation itself found.
private func forEachWithExpectations(
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

// MARK: - The exit code

extension Outcome {
    /// The exit code of a run that ended so; `isTerminated` tells SIGTERM from the other signals that interrupt one.
    public func exitCode(isTerminated: Bool = false) -> Int32 {
        switch self {
        case .passed: ExitStatus.passed
        case .failed: ExitStatus.failed
        case .error: ExitStatus.infrastructure
        case .incomplete: ExitStatus.incomplete
        case .interrupted: isTerminated ? ExitStatus.terminated : ExitStatus.interrupted
        }
    }

    /// What a run came to that ended with this code; nil for a code that no run ends with.
    public init?(exitCode: Int32) {
        switch exitCode {
        case ExitStatus.passed: self = .passed
        case ExitStatus.failed: self = .failed
        case ExitStatus.infrastructure: self = .error
        case ExitStatus.incomplete: self = .incomplete
        case ExitStatus.interrupted, ExitStatus.terminated: self = .interrupted
        default: return nil
        }
    }

    /// All of them.
    var exitCodes: Set<Int32> { [exitCode(), exitCode(isTerminated: true)] }

    /// The exit code of `verify`, which no signal has interrupted.
    public var exitCodeOfVerification: Int32 {
        self == .interrupted ? ExitStatus.infrastructure : exitCode()
    }
}
