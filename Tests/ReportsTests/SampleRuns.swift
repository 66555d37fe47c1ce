// SPDX-License-Identifier: Apache-2.0

import Foundation
import TestSupport
import Testing

@testable import Reports
@testable import RunRecord
@testable import Verification

/// Runs of all endings, as their records say them.
enum SampleRuns {
    /// An ending.
    struct Sample: Sendable, CustomTestStringConvertible {
        let name: String
        let run: RecordedRun
        /// What each test comes to, from the first step on.
        let statuses: [TestCase.Status]

        var testDescription: String { name }
    }

    private static let plan = """
        description: A sample.
        steps:
        - verify
        - expect:
            findings:
            - list-cycle
            entries: 1
        - repeat:
            times: 2
            steps:
            - plug: 1GiB
            - verify
        """

    private static func step(
        _ number: Int, _ title: String, _ outcome: Outcome = .passed, findings: [Finding]? = nil,
        verdict: Verdict? = nil, expected: [String]? = nil
    ) -> StepResult {
        var step = StepResult(number: number, title: title, seconds: Double(number) / 4, outcome: outcome)
        (step.findings, step.verdict, step.expectedFindings) = (findings, verdict, expected)
        return step
    }

    static func verdict(
        findings: [Finding] = [], unsaid: [Unsaid] = [], standing: WitnessStatement.Standing = .agrees
    ) -> Verdict {
        Verdict(
            findings: findings,
            witnesses: [
                WitnessStatement(
                    witness: .kernelList, standing: .agrees, agreeingCount: 1, unsaidCount: 0, detail: "links"),
                WitnessStatement(
                    witness: .mirror, standing: standing, agreeingCount: 1, unsaidCount: unsaid.count,
                    detail: "Subtest: x # SKIP"),
            ],
            unsaid: unsaid, account: .list, entryCount: 1, provenance: [:], sectionCount: 64, coveredSectionCount: 64)
    }

    static let cycle = Finding(.list, .cycle, "the node at 0x10 links to 0x10; Kernel panic - not syncing: VFS: Unable")

    /// A run of a plan with these steps, before which libvirt or the guest may have failed.
    static func run(
        _ steps: [StepResult], outcome: Outcome, error: String? = nil, hasSpoken: Bool = true,
        allowedUnsaid: [Witness] = [], problems: [RecordProblem] = []
    ) throws -> RecordedRun {
        let folder = try TemporaryFolder()
        _ = try folder.write(Array(plan.utf8), to: "plan.yaml")
        var guest = RunInformation.Guest(
            kernelPath: "/k/vmlinux", initramfsPath: "/k/initramfs", cpu: "POWER9", cpuCount: 1,
            bootMemoryByteCount: 1 << 30, maximumMemoryByteCount: 4 << 30, kernelCommandLine: "")
        if hasSpoken {
            (guest.kernelRelease, guest.mmu, guest.pageByteCount, guest.isBigEndian) = ("6.1.0", "radix", 65536, false)
        }
        var information = RunInformation(
            run: "20261128T183747Z-abcdefgh", startedAt: Date(timeIntervalSince1970: 1_795_891_067),
            commandLine: ["qemu-harness", "run"], versions: .init(harness: "0.1.0", libvirt: "9.0.0", qemu: "7.2.22"),
            guest: guest)
        information.finishedAt = Date(timeIntervalSince1970: 1_795_891_073)
        (information.outcome, information.exitCode, information.error) = (outcome, outcome.exitCode(), error)
        return RecordedRun(
            directory: URL(filePath: "/runs/20261128T183747Z-abcdefgh"), information: information, problems: problems,
            results: RunResults(
                run: information.run, outcome: outcome, error: error, steps: steps, allowedUnsaid: allowedUnsaid),
            memory: [:], events: EventLog(), console: nil, log: nil, plan: try RecordText(.plan, in: folder.url))
    }

    static let all: [Sample] = {
        do {
            return try samples()
        } catch {
            preconditionFailure("\(error)")
        }
    }()

    private static func samples() throws -> [Sample] {
        let boot = step(1, "boot")
        let good = step(2, "verify", verdict: verdict())
        let bad = step(
            2, "verify", .failed, verdict: verdict(findings: [cycle, cycle], standing: .contradicts))
        let expectation = step(3, "expect list-cycle, entries 1", expected: ["list-cycle"])
        let rest = [step(4, "plug 1 GiB"), step(5, "verify", verdict: verdict())]
        let end = [step(6, "plug 1 GiB"), step(7, "verify", verdict: verdict()), step(8, "power off")]
        let silent = step(
            2, "verify", .incomplete,
            verdict: verdict(unsaid: [Unsaid(.mirror, count: 1, "events were lost")], standing: .incomplete))
        let whole = { (first: StepResult) in [boot, first, expectation] + rest + end }
        return [
            Sample(
                name: "passed", run: try run(whole(good), outcome: .passed),
                statuses: .init(repeating: .passed, count: 8)),
            Sample(
                name: "expected", run: try run(whole(bad), outcome: .passed),
                statuses: .init(repeating: .passed, count: 8)),
            Sample(
                name: "failed", run: try run([boot, bad] + rest + end, outcome: .failed),
                statuses: [.passed, .failed] + .init(repeating: .passed, count: 5)),
            Sample(
                name: "incomplete", run: try run(whole(silent), outcome: .incomplete),
                statuses: [.passed, .incomplete] + .init(repeating: .passed, count: 6)),
            Sample(
                name: "excused", run: try run(whole(silent), outcome: .passed, allowedUnsaid: [.mirror]),
                statuses: .init(repeating: .passed, count: 8)),
            Sample(
                name: "lost",
                run: try run(
                    [boot, good, expectation, step(4, "plug 1 GiB", .error)], outcome: .error,
                    error: "the guest is gone"),
                statuses: [.passed, .passed, .passed, .error, .skipped, .skipped, .skipped]),
            Sample(
                name: "found and lost",
                run: try run([boot, bad, step(3, "plug 1 GiB", .error)], outcome: .failed, error: "the guest is gone"),
                statuses: [.passed, .failed, .error] + .init(repeating: .skipped, count: 4)),
            Sample(
                name: "interrupted", run: try run([boot, step(2, "verify", .interrupted)], outcome: .interrupted),
                statuses: [.passed, .error] + .init(repeating: .skipped, count: 5)),
            Sample(
                name: "never up",
                run: try run([step(1, "boot", .error)], outcome: .error, error: "no hello", hasSpoken: false),
                statuses: [.error] + .init(repeating: .skipped, count: 6)),
            Sample(
                name: "not begun",
                run: try run([], outcome: .error, error: "Subtest: libvirt\nrefuses", hasSpoken: false),
                statuses: .init(repeating: .skipped, count: 7) + [.error]),
            Sample(
                name: "nothing verified", run: try run([boot, step(2, "power off")], outcome: .incomplete),
                statuses: [.passed, .passed] + .init(repeating: .skipped, count: 5) + [.incomplete]),
            Sample(
                name: "damaged",
                run: try run(
                    whole(good), outcome: .error, error: "x",
                    problems: [RecordProblem("snapshot-2.json", "was edited")]),
                statuses: .init(repeating: .passed, count: 8) + [.error]),
        ]
    }
}
