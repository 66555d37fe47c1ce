// SPDX-License-Identifier: Apache-2.0

import Foundation
import Subprocess
import SystemPackage
import TestSupport
import Testing
import Verification

@testable import Reports

/// JUnit XML, as another program reads it.
@Suite struct JUnitTests {
    /// What junitparser makes of a document.
    private struct Suite: Decodable, Equatable {
        struct Case: Decodable, Equatable {
            var name, classname: String
            var time: Double
            /// The kind, type, message and text of each result; what is not there is empty.
            var results: [[String]]
            var output: String
        }

        var name, timestamp: String
        var tests, failures, errors, skipped: Int
        var time: Double
        var properties: [String: String]
        var cases: [Case]
    }

    private static let reader = """
        import json, sys
        from junitparser import JUnitXml
        def read(text):
            suites = [s for s in JUnitXml.fromstring(text.encode())]
            assert len(suites) == 1
            s = suites[0]
            kept, time = [s.tests, s.failures, s.errors, s.skipped], s.time
            s.update_statistics()
            assert kept == [s.tests, s.failures, s.errors, s.skipped], kept
            cases = [dict(name=c.name, classname=c.classname, time=c.time, output=c.system_out or '',
                          results=[[type(r).__name__, r.type or '', r.message or '', r.text or ''] for r in c.result])
                     for c in s]
            return dict(name=s.name, timestamp=s.timestamp or '', tests=s.tests, failures=s.failures, errors=s.errors,
                        skipped=s.skipped, time=time, cases=cases,
                        properties={p.name: p.value for p in s.properties()})
        print(json.dumps([read(text) for text in json.load(sys.stdin)]))
        """

    /// Reads documents with junitparser.
    private func read(_ documents: [String]) async throws -> [Suite] {
        let result = try await Subprocess.run(
            .path("/usr/bin/python3"), arguments: ["-c", Self.reader],
            input: .array([UInt8](try JSONEncoder().encode(documents))), output: .string(limit: 1 << 24),
            error: .string(limit: 1 << 16))
        try #require(result.terminationStatus.isSuccess, "\(result.standardError)")
        return try JSONDecoder().decode([Suite].self, from: Data(result.standardOutput.utf8))
    }

    private static let kinds: [TestCase.Status: [String]] = [
        .passed: [], .failed: ["Failure"], .incomplete: ["Failure"], .error: ["Error"], .skipped: ["Skipped"],
    ]

    @Test func everyRecordIsReadBack() async throws {
        let folder = try TemporaryFolder()
        let hostile = RecordedRun(directory: try SampleRecord.hostile("run-6.1-power8-kdump", in: folder))
        let runs =
            SampleRecord.names.map { RecordedRun(directory: SampleRecord.fixture($0)) } + [hostile]
            + SampleRuns.all.map(\.run)
        let suites = try await read(runs.map { ReportFormat.junit.document(of: $0) })
        #expect(suites.count == runs.count)
        for (suite, run) in zip(suites, runs.map { TestRun($0) }) {
            #expect(suite.cases.map(\.name) == run.tests.map(\.name))
            #expect(suite.cases.map { $0.results.map { $0[0] } } == run.tests.map { Self.kinds[$0.status] ?? [] })
            #expect(suite.tests == run.tests.count)
            #expect(suite.properties == Dictionary(run.properties.map { ($0.name, $0.value) }) { $1 })
            for (read, test) in zip(suite.cases, run.tests) {
                #expect(abs(read.time - test.seconds) < 0.001)
                let details = test.details.joined(separator: "\n")
                #expect(test.status == .passed ? read.output == details : true)
                for result in read.results {
                    #expect(result[2] == test.reason)
                    if test.status != .skipped { #expect(result[3] == details) }
                }
            }
        }
    }

    @Test func whatItSays() async throws {
        let runs = SampleRuns.all
        let suites = try await read(runs.map { ReportFormat.junit.document(of: $0.run) })
        let failed = try #require(zip(runs, suites).first { $0.0.name == "failed" }?.1)
        #expect(failed.name == "qemu-harness POWER9 radix 6.1.0")
        #expect(failed.timestamp == "2026-11-28T18:37:47")
        #expect(failed.time == 6)
        #expect(failed.cases[1].classname == "qemu-harness.POWER9.radix.6_1_0")
        #expect(failed.cases[1].results == [["Failure", "list-cycle", "list-cycle", "\(Self.told)\n\(Self.told)"]])
        let silent = try #require(zip(runs, suites).first { $0.0.name == "incomplete" }?.1)
        #expect((silent.failures, silent.errors, silent.skipped) == (1, 0, 0))
        #expect(silent.cases[1].results.first?[1] == "incomplete")
        let expected = try #require(zip(runs, suites).first { $0.0.name == "expected" }?.1)
        #expect(expected.failures == 0)
        #expect(expected.cases[1].output.hasPrefix("as expected: list-cycle"))
        let lost = try #require(zip(runs, suites).first { $0.0.name == "lost" }?.1)
        #expect((lost.failures, lost.errors, lost.skipped) == (0, 1, 3))
    }

    private static let told = "list-cycle: \(SampleRuns.cycle.message)"
}
