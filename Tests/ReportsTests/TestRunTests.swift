// SPDX-License-Identifier: Apache-2.0

import Foundation
import RunRecord
import TestSupport
import Testing

@testable import Reports

/// Runs as tests: what is green, red or neither, whatever the format.
@Suite struct TestRunTests {
    @Test(arguments: SampleRuns.all)
    func everyEndingHasItsTests(sample: SampleRuns.Sample) {
        let run = TestRun(sample.run)
        #expect(run.tests.map(\.status) == sample.statuses)
        // Nothing is green that did not pass, and nothing red that did.
        #expect(run.tests.contains { $0.status.isFailure } == (sample.run.results.outcome != .passed))
        for test in run.tests where test.status != .passed { #expect(!test.reason.isEmpty) }
        #expect(run.seconds == 6)
    }

    @Test func stepsThatWereNeverTakenAreThePlans() throws {
        let lost = try #require(SampleRuns.all.first { $0.name == "not begun" })
        #expect(
            TestRun(lost.run).tests.map(\.name) == [
                "1 boot", "2 verify", "3 expect: findings: list-cycle, entries: 1", "4 plug: 1GiB", "5 verify",
                "6 plug: 1GiB", "7 verify", "run",
            ])
    }

    @Test(arguments: SampleRecord.names)
    func recordsHaveATestForEachStep(name: String) {
        let recorded = RecordedRun(directory: SampleRecord.fixture(name))
        let run = TestRun(recorded)
        #expect(run.tests.map(\.number) == recorded.results.steps.map(\.number))
        #expect(!run.tests.contains { $0.status.isFailure })
        for property in ["kernel", "cpu", "mmu", "page-size", "qemu", "libvirt", "outcome", "record"] {
            #expect(run.properties.contains { $0.name == property && !$0.value.isEmpty }, "\(property)")
        }
    }

    @Test(arguments: [
        ("a\tb\r\nc", "a b  c"), ("\u{0}\u{1b}[31m\u{9b}", "\u{fffd}\u{fffd}[31m\u{fffd}"), ("\u{2028}x\u{85}", " x "),
        ("\u{202e}\u{fffe}", "\u{fffd}\u{fffd}"), ("ü𝄞<&>", "ü𝄞<&>"), ("", ""),
        (String(repeating: "x", count: 2000), String(repeating: "x", count: 1024) + "…"),
    ])
    func linesAreFit(text: String, line: String) {
        #expect(ReportText.line(text) == line)
    }

    @Test(arguments: [
        (-1.0, 0.0), (.nan, 0), (.infinity, 0), (1.5, 1.5), (1e300, 1e9),
    ])
    func secondsAreNumbers(seconds: Double, told: Double) {
        #expect(ReportText.seconds(seconds) == told)
    }
}
