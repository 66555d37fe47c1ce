// SPDX-License-Identifier: Apache-2.0

import Foundation
import RunRecord
import TestSupport
import Testing

@testable import Reports

/// KTAP, as its specification has it and as the kernel's tool reads it.
@Suite struct KTAPTests {
    private static func parsed(_ run: RecordedRun) throws -> KTAPDocument.Test {
        let tests = try KTAPDocument.tests(in: ReportFormat.ktap.document(of: run))
        try #require(tests.count == 1)
        return tests[0]
    }

    @Test func everyRecordIsReadBack() throws {
        let folder = try TemporaryFolder()
        let hostile = RecordedRun(directory: try SampleRecord.hostile("run-6.1-power8-kdump", in: folder))
        let runs =
            SampleRecord.names.map { RecordedRun(directory: SampleRecord.fixture($0)) } + [hostile]
            + SampleRuns.all.map(\.run)
        for run in runs {
            let top = try Self.parsed(run)
            let tests = TestRun(run).tests
            #expect(top.name == "qemu-harness")
            #expect(top.isOK == (run.results.outcome == .passed))
            #expect(top.children.count == tests.count)
            for (read, test) in zip(top.children, tests) {
                #expect(read.isOK == !test.status.isFailure, "\(test.name)")
                #expect(read.isSkipped == (test.status == .skipped), "\(test.name)")
                #expect(test.number.map { read.name.hasPrefix("\($0) ") } ?? (read.name == test.title))
            }
        }
    }

    /// A tool may count the innermost tests alone.
    @Test(arguments: SampleRuns.all)
    func theInnermostTestsSayTheSame(sample: SampleRuns.Sample) throws {
        func innermost(_ test: KTAPDocument.Test) -> [KTAPDocument.Test] {
            test.children.isEmpty ? [test] : test.children.flatMap(innermost)
        }
        let tests = innermost(try Self.parsed(sample.run))
        #expect(tests.contains { !$0.isOK } == (sample.run.results.outcome != .passed))
    }

    @Test func whatItSays() throws {
        let failed = try #require(SampleRuns.all.first { $0.name == "failed" })
        let verification = try Self.parsed(failed.run).children[1]
        #expect(verification.name == "2 verify")
        #expect(verification.children.map(\.name) == ["kernel-list", "mirror", "list-cycle"])
        #expect(verification.children.map(\.isOK) == [true, false, false])
        #expect(verification.children[2].diagnostics.count == 2)
        let excused = try #require(SampleRuns.all.first { $0.name == "excused" })
        #expect(try Self.parsed(excused.run).children[1].children.map(\.isSkipped) == [false, true])
    }

    /// What the parser itself has to refuse, or it would hold nothing to anything.
    @Test(arguments: [
        "", "KTAP version 1\n", "KTAP version 1\n1..2\nok 1 a\n", "KTAP version 1\n1..1\nok 2 a\n",
        "KTAP version 1\n1..1\nok 1 a\nok 2 b\n", "1..1\nok 1 a\n", "KTAP version 1\n1..1\nnoise\nok 1 a\n",
        "KTAP version 1\n1..1\n    KTAP version 1\n    1..1\n    ok 1 b\nok 1 a\n",
        "KTAP version 1\n1..1\n  KTAP version 1\n  # Subtest: b\n  1..1\n  ok 1 c\nok 1 a\n",
        "KTAP version 1\n1..1\nnot ok 1 a # SKIP b\n", "KTAP version 1\n1..1\nok 1 a # b\n", "KTAP version 1\n1..0\n",
        "KTAP version 1\n1..1\n# reboot: System halted\nok 1 a\n",
    ])
    func whatIsNoKTAPIsRefused(text: String) {
        #expect(throws: KTAPDocument.Problem.self) { try KTAPDocument.tests(in: text) }
    }
}
