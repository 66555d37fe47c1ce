// SPDX-License-Identifier: Apache-2.0

import HarnessBasics
import RunRecord
import Testing

@testable import Verification

@Suite struct RunOutcomeTests {
    private static let finding = Finding(.list, .cycle, "made up")

    /// A verification.
    private static func step(
        _ outcome: Outcome, _ findings: [Finding] = [], unsaid: [Witness] = []
    ) -> StepResult {
        var step = StepResult(number: 1, title: "verify", seconds: 0, outcome: outcome)
        step.verdict = Verdict(
            findings: findings, witnesses: [], unsaid: unsaid.map { Unsaid($0, count: 1, "made up") }, account: .list,
            entryCount: 1, provenance: [:], sectionCount: 64,
            coveredSectionCount: 64)
        return step
    }

    /// A step that verifies nothing.
    private static func action(_ findings: [Finding] = []) -> StepResult {
        var step = StepResult(
            number: 1, title: "plug 1 GiB", seconds: 0, outcome: findings.isEmpty ? .passed : .failed)
        step.findings = findings
        return step
    }

    @Test(arguments: [
        ([step(.passed)], nil, false, Outcome.passed),
        ([step(.passed), step(.incomplete, unsaid: [.mmu])], nil, false, .incomplete),
        ([step(.failed, [finding])], nil, false, .failed),
        ([step(.failed, [finding])], HarnessError.infrastructure("guest lost"), false, .failed),
        ([step(.passed)], HarnessError.infrastructure("guest lost"), false, .error),
        ([step(.passed)], HarnessError.infrastructure("monitor closed"), true, .interrupted),
        ([step(.failed, [finding])], HarnessError.infrastructure("monitor closed"), true, .interrupted),
        ([step(.passed)], nil, true, .passed),
        ([action(), step(.passed), action()], nil, false, .passed),
        // Without a verdict nothing was verified.
        ([], nil, false, .incomplete), ([action(), action()], nil, false, .incomplete),
        ([action(), action([finding])], nil, false, .failed),
        ([action()], HarnessError.infrastructure("guest lost"), false, .error),
    ])
    func outcomeFollowsFromStepsAndError(
        steps: [StepResult], failure: HarnessError?, wasInterrupted: Bool, expected: Outcome
    ) {
        let ending = EarlyEnding(failure, wasInterrupted: wasInterrupted)
        #expect(Outcome.of(steps, endedBy: ending) == expected)
    }

    private static func expectation(
        _ names: [String], unsaid: [Witness]? = nil, isMet: Bool = true
    ) -> StepResult {
        var step = action(isMet ? [] : [Finding(.plan, .unmet, "made up")])
        step.expectedFindings = names
        step.expectedUnsaid = unsaid
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
        ([step(.failed, [finding]), expectation(["list-cycle"]), step(.incomplete, unsaid: [.mmu])], .incomplete),
        ([action([finding]), expectation(["list-cycle"])], .incomplete),
        // That an expectation is not met no other one excuses.
        ([step(.passed), expectation([], isMet: false), expectation(["plan-unmet"])], .failed),
        ([step(.passed), expectation(["plan-unmet"], isMet: false)], .failed),
        ([step(.passed), action([Finding(.plan, .unmet, "no such text")]), expectation(["plan-unmet"])], .passed),
    ])
    func expectedFindingsDoNotFail(steps: [StepResult], outcome: Outcome) {
        #expect(Outcome.of(steps) == outcome)
        let results = RunResults(run: "x", outcome: outcome, error: nil, steps: steps)
        #expect(results.failures.isEmpty == (outcome != .failed))
        #expect(results.failures.allSatisfy { !$0.findings.isEmpty })
    }

    /// What is unsaid makes a run incomplete, unless the run allows it, or an expectation right behind the step names it.
    @Test(
        arguments: [
            ([step(.incomplete, unsaid: [.model])], [], Outcome.incomplete),
            ([step(.incomplete, unsaid: [.model])], [.model], .passed),
            ([step(.incomplete, unsaid: [.model])], [.mmu, .mirror, .report], .incomplete),
            ([step(.incomplete, unsaid: [.model, .mmu])], [.model], .incomplete),
            ([step(.incomplete, unsaid: [.model, .mmu])], [.model, .mmu], .passed),
            ([step(.incomplete, unsaid: [.model]), expectation([], unsaid: [.model])], [], .passed),
            ([step(.incomplete, unsaid: [.model]), expectation([]), expectation([], unsaid: [.model])], [], .passed),
            ([step(.incomplete, unsaid: [.model, .mmu]), expectation([], unsaid: [.model])], [.mmu], .passed),
            ([step(.incomplete, unsaid: [.model]), expectation([], unsaid: [.mmu], isMet: false)], [], .failed),
            ([step(.incomplete, unsaid: [.model]), step(.passed), expectation([], unsaid: [.model])], [], .incomplete),
            ([expectation([], unsaid: [.model]), step(.incomplete, unsaid: [.model])], [], .incomplete),
            // Findings that are expected excuse no silence, and the other way round.
            ([step(.failed, [finding], unsaid: [.model]), expectation(["list-cycle"])], [], .incomplete),
            ([step(.failed, [finding], unsaid: [.model]), expectation(["list-cycle"], unsaid: [.model])], [], .passed),
            ([step(.failed, [finding], unsaid: [.model]), expectation([], unsaid: [.model])], [.model], .failed),
            // Nothing stands in for the kernel's own account.
            ([step(.incomplete, unsaid: [.kernelList])], [.kernelList], .incomplete),
            ([step(.incomplete, unsaid: [.kernelList]), expectation([], unsaid: [.kernelList])], [], .incomplete),
            ([step(.incomplete, unsaid: [.pageTables])], [.pageTables], .passed),
        ] as [([StepResult], [Witness], Outcome)])
    func theUnsaidIsExcusedByName(steps: [StepResult], allowed: [Witness], outcome: Outcome) {
        #expect(Outcome.of(steps, allowing: allowed) == outcome)
        let results = RunResults(run: "x", outcome: outcome, error: nil, steps: steps, allowedUnsaid: allowed)
        #expect(results.unsaid.isEmpty == (outcome == .passed || outcome == .failed && !allowed.isEmpty))
    }

    /// A step that was ended is never outweighed by those that were taken.
    @Test(arguments: [
        ([step(.passed), step(.error)], Outcome.error), ([step(.passed), step(.interrupted)], .interrupted),
        ([step(.incomplete, unsaid: [.mmu]), step(.error)], .error),
        ([step(.failed, [finding]), step(.error)], .failed),
        ([step(.failed, [finding]), expectation(["list-cycle"]), step(.error)], .error),
    ])
    func anEndedStepCounts(steps: [StepResult], outcome: Outcome) {
        #expect(Outcome.of(steps) == outcome)
    }

    /// Anybody may have made a record.
    @Test(.timeLimit(.minutes(1))) func anyNumberOfExpectationsIsWalkedOnce() {
        let steps =
            [Self.step(.failed, [Self.finding])]
            + Array(repeating: Self.expectation(["list-cycle"]), count: 200_000)
        #expect(Outcome.of(steps) == .passed)
    }

    @Test func cancellationIsAnInterruption() {
        #expect(Outcome.of([], endedBy: EarlyEnding(CancellationError())) == .interrupted)
    }

    /// `git bisect run` (git-bisect(1)): 0 is good, 125 cannot be tested, other codes up to 127 are bad, and above that the
    /// bisection ends.
    @Test func aBisectionIsToldGoodOrBadOrNothing() {
        for status: Int32 in 0...255 {
            let told = ExitStatus.forBisection(status)
            switch status {
            case ExitStatus.passed, ExitStatus.failed, ExitStatus.interrupted, ExitStatus.terminated:
                #expect(told == status)
            default: #expect(told == 125)
            }
        }
    }
}
