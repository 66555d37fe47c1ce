// SPDX-License-Identifier: Apache-2.0

import RunRecord
import Testing
import Verification

@testable import qemu_harness

@Suite struct RunOutcomeTests {
    private static let finding = Finding(.list, .cycle, "made up")

    private static func step(_ outcome: Outcome, _ findings: [Finding] = []) -> StepResult {
        var step = StepResult(number: 1, title: "verify", seconds: 0, outcome: outcome)
        step.findings = findings
        return step
    }

    @Test(arguments: [
        ([step(.passed)], nil, false, Outcome.passed),
        ([step(.passed), step(.skipped)], nil, false, .skipped),
        ([step(.failed, [finding])], nil, false, .failed),
        ([step(.failed, [finding])], HarnessError.infrastructure("guest lost"), false, .failed),
        ([step(.passed)], HarnessError.infrastructure("guest lost"), false, .error),
        ([step(.passed)], HarnessError.infrastructure("monitor closed"), true, .interrupted),
        ([step(.failed, [finding])], HarnessError.infrastructure("monitor closed"), true, .interrupted),
        ([step(.passed)], nil, true, .passed),
    ])
    func outcomeFollowsFromStepsAndError(
        steps: [StepResult], failure: HarnessError?, wasInterrupted: Bool, expected: Outcome
    ) {
        #expect(Runner.outcome(steps, failure: failure, wasInterrupted: wasInterrupted) == expected)
    }

    private static func expectation(_ names: [String]) -> StepResult {
        var step = step(.passed)
        step.expectedFindings = names
        return step
    }

    /// An expectation is about the step right before it, and about nothing else.
    @Test(arguments: [
        ([step(.failed, [finding]), expectation(["list-cycle"])], Outcome.passed),
        ([step(.failed, [finding]), expectation([]), expectation(["list-cycle"])], .passed),
        ([step(.failed, [finding]), expectation(["list-overlap"])], .failed),
        ([step(.failed, [finding]), expectation([])], .failed),
        ([step(.failed, [finding]), step(.passed), expectation(["list-cycle"])], .failed),
        ([expectation(["list-cycle"]), step(.failed, [finding])], .failed),
        ([step(.failed, [finding, Finding(.list, .order, "too")]), expectation(["list-cycle"])], .failed),
        ([step(.failed, [finding]), expectation(["list-cycle"]), step(.skipped)], .skipped),
    ])
    func expectedFindingsDoNotFail(steps: [StepResult], outcome: Outcome) {
        #expect(RunResults.outcome(of: steps) == outcome)
    }

    @Test func cancellationIsAnInterruption() {
        #expect(Runner.outcome([], failure: CancellationError(), wasInterrupted: false) == .interrupted)
    }
}
