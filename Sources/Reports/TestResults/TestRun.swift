// SPDX-License-Identifier: Apache-2.0

import Foundation
import HarnessBasics
import Plans
import RunRecord
import Verification

/// A run as frameworks of tests see one: a test for each step. What JUnit XML, KTAP and KCIDB have in common.
///
/// There is a test that did not pass exactly where the run did not pass.
struct TestRun {
    /// What was tested, with what, and how it ended, by names that stay.
    let properties: [(name: String, value: String)]
    /// The steps in order, those that were never taken among them; behind them what is true of the run as a whole.
    private(set) var tests: [TestCase]
    /// How long the run took, in seconds.
    let seconds: Double
    /// When it began; nil where the record does not say, or says what is no date of our time.
    let startedAt: Date?

    init(_ run: RecordedRun) {
        let error = run.information?.error ?? run.results.error
        let failures = Dictionary(run.results.failures.map { ($0.step, $0.findings) }) { $0 + $1 }
        let unsaid = Dictionary(grouping: run.results.unsaid, by: \.step).mapValues { $0.map(\.unsaid) }
        var tests = run.results.steps.map { step in
            TestCase(step, failures: failures[step.number] ?? [], unsaid: unsaid[step.number] ?? [], error: error)
        }
        if run.information?.outcome != nil { tests += Self.untaken(run) }
        tests += Self.whole(run, error: error, hasFailures: tests.contains { $0.status.isFailure }, tests: tests)
        self.tests = tests
        properties = Self.properties(run)
        let start = run.information?.startedAt
        startedAt = start.flatMap { (0..<4e9).contains($0.timeIntervalSince1970) ? $0 : nil }
        let span = start.flatMap { start in run.information?.finishedAt.map { $0.timeIntervalSince(start) } }
        seconds = ReportText.seconds(span ?? run.results.steps.reduce(0) { $0 + ReportText.seconds($1.seconds) })
    }

    /// The same with something that went wrong and that its record does not tell.
    func adding(error: String) -> TestRun {
        var run = self
        run.tests.append(Self.failed(error))
        return run
    }

    private static func failed(_ error: String) -> TestCase {
        TestCase(title: "run", status: .error, reason: error, details: ["error: \(error)"])
    }

    /// A run without a record that can be read, or none at all.
    init(error: String, properties: [(name: String, value: String)]) {
        tests = [Self.failed(error)]
        self.properties = properties.map { ($0.name, ReportText.line($0.value)) }
        (seconds, startedAt) = (0, nil)
    }

    /// The steps of the plan that the run did not come to. A plan that cannot be read is told by none.
    private static func untaken(_ run: RecordedRun) -> [TestCase] {
        guard let text = run.plan, text.leftOutLineCount == 0,
            let plan = try? Plan(yaml: text.lines.joined(separator: "\n"))
        else { return [] }
        // A run boots first, which no plan says.
        let titles = ["boot"] + plan.stepTexts
        let last = run.results.steps.last?.number ?? 0
        guard (0..<titles.count).contains(last) else { return [] }
        let reason =
            switch run.results.outcome {
            case .interrupted: "the run was interrupted before"
            case .error: "the run ended with an error before"
            case .passed, .failed, .incomplete: "the run ended before"
            }
        return titles.enumerated().dropFirst(last).map { index, title in
            TestCase(number: index + 1, title: title, seconds: 0, status: .skipped, reason: reason)
        }
    }

    /// What no step tells: a record that is damaged, and an ending between the steps.
    private static func whole(
        _ run: RecordedRun, error: String?, hasFailures: Bool, tests: [TestCase]
    ) -> [TestCase] {
        guard run.problems.isEmpty else {
            let lines = run.problems.map { "damaged: \($0)" }
            return [TestCase(title: "record", status: .error, reason: lines[0], details: lines)]
        }
        func test(_ status: TestCase.Status, _ reason: String) -> TestCase {
            TestCase(title: "run", status: status, reason: reason, details: ["run: \(reason)"])
        }
        switch run.results.outcome {
        case .error where !tests.contains { $0.status == .error }: return [test(.error, error ?? "the run failed")]
        case .interrupted where !tests.contains { $0.status == .error }: return [test(.error, "a signal ended the run")]
        case .error, .interrupted, .passed: return []
        case .failed:
            // What was found stays found where the run could not go on.
            if let error, !tests.contains(where: { $0.status == .error }) { return [test(.error, error)] }
            return hasFailures ? [] : [test(.failed, "the run failed")]
        case .incomplete: return hasFailures ? [] : [test(.incomplete, "nothing was verified")]
        }
    }

    private static func properties(_ run: RecordedRun) -> [(name: String, value: String)] {
        let information = run.information
        let guest = information?.guest
        let account = run.verifications.last?.verdict?.account
        let all: [(String, String?)] = [
            ("run", run.results.run),
            ("record", run.directory.path),
            ("outcome", run.results.outcome.rawValue),
            ("exit-code", information?.exitCode.map { "\($0)" }),
            ("kernel", guest?.kernelRelease),
            ("byte-order", guest?.isBigEndian.map { $0 ? "big-endian" : "little-endian" }),
            ("cpu", guest?.cpu),
            ("cpu-count", guest.map { "\($0.cpuCount)" }),
            ("mmu", guest?.mmu),
            ("page-size", guest?.pageByteCount.map { ByteCount($0).text }),
            // A kernel without a list leaves it at a value that means nothing.
            (
                "vmemmap-page-size",
                account == .pageTables ? nil : guest?.vmemmapPageByteCount.map { ByteCount($0).text }
            ),
            ("account", account?.rawValue),
            ("events", guest?.eventSource),
            ("boot-memory", guest.map { ByteCount($0.bootMemoryByteCount).text }),
            ("qemu", information?.versions.qemu),
            ("libvirt", information?.versions.libvirt),
            ("qemu-harness", information?.versions.harness),
            ("command-line", information.map { $0.commandLine.map(ResultTable.quoted).joined(separator: " ") }),
        ]
        return all.compactMap { name, value in value.map { (name, ReportText.line($0)) } }
    }
}
