// SPDX-License-Identifier: Apache-2.0

import Foundation
import HarnessBasics
import RunRecord
import Subprocess
import SystemPackage
import TestSupport
import Testing

@testable import Reports

/// Submissions to KernelCI's database.
@Suite struct KCIDBTests {
    private static var allRuns: [RecordedRun] {
        SampleRecord.names.map { RecordedRun(directory: SampleRecord.fixture($0)) } + SampleRuns.all.map(\.run)
    }

    private struct Submission: Decodable {
        struct Object: Decodable {
            var id, origin: String
            var checkoutId, buildId, path, status, logExcerpt, startTime, architecture: String?
        }

        var version: [String: Int]
        var checkouts, builds: [Object]?
        var tests: [Object]
    }

    private func read(_ run: RecordedRun, _ options: ReportOptions = .standard) throws -> Submission {
        let document = ReportFormat.kcidb.document(of: run, options)
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .convertFromSnakeCase
        return try decoder.decode(Submission.self, from: Data(document.utf8))
    }

    /// What the schema asks of objects, as far as it can be said without it.
    @Test func everyRecordKeepsTheRules() throws {
        let folder = try TemporaryFolder()
        let hostile = RecordedRun(directory: try SampleRecord.hostile("run-6.1-power8-kdump", in: folder))
        for run in Self.allRuns + [hostile] {
            let submission = try read(run)
            #expect(submission.version == ["major": 5, "minor": 3])
            let checkout = try #require(submission.checkouts?.first)
            let build = try #require(submission.builds?.first)
            #expect(build.checkoutId == checkout.id)
            #expect(submission.tests.allSatisfy { $0.buildId == build.id })
            let objects = [checkout, build] + submission.tests
            #expect(objects.allSatisfy { $0.origin == "qemu_harness" && $0.id.hasPrefix("qemu_harness:") })
            #expect(Set(submission.tests.map(\.id)).count == submission.tests.count)
            for test in submission.tests {
                #expect(test.path?.wholeMatch(of: /[a-zA-Z0-9_-]+(\.[a-zA-Z0-9_-]+)*/) != nil)
                #expect(["PASS", "FAIL", "ERROR", "MISS", "SKIP"].contains(test.status))
                #expect((test.logExcerpt ?? "").unicodeScalars.count <= 16_384)
            }
            #expect((submission.tests[0].status == "PASS") == (run.results.outcome == .passed))
            let document = ReportFormat.kcidb.document(of: run)
            #expect(!document.contains("null"))
            #expect(!document.unicodeScalars.contains { $0.value < 0x20 && $0 != "\n" })
        }
    }

    @Test(arguments: [
        ("passed", "PASS", "PASS"), ("failed", "FAIL", "FAIL"), ("expected", "PASS", "PASS"),
        ("incomplete", "ERROR", "ERROR"), ("lost", "ERROR", "PASS"), ("never up", "MISS", "MISS"),
        ("not begun", "MISS", "MISS"), ("found and lost", "FAIL", "FAIL"), ("damaged", "ERROR", "PASS"),
    ])
    func statusesAreKCIDBs(name: String, whole: String, verification: String) throws {
        let sample = try #require(SampleRuns.all.first { $0.name == name })
        let tests = try read(sample.run).tests
        #expect(tests[0].status == whole)
        #expect(tests[2].status == verification)
        #expect(tests.contains { $0.status == "SKIP" } == ["lost", "found and lost"].contains(name))
    }

    @Test func somebodysBuildIsNotSubmittedAgain() throws {
        let options = try ReportOptions(origin: "our_lab", buildID: "maestro:65f1e7")
        let sample = try #require(SampleRuns.all.first)
        let submission = try read(sample.run, options)
        #expect(submission.checkouts == nil)
        #expect(submission.builds == nil)
        #expect(submission.tests.allSatisfy { $0.buildId == "maestro:65f1e7" && $0.id.hasPrefix("our_lab:") })
        #expect(submission.tests[0].startTime == "2026-11-28T18:37:47.000Z")
    }

    @Test(
        arguments: [
            ("", nil), ("Our", nil), ("a:b", nil), (String(repeating: "a", count: 65), nil), ("a", "b"), ("a", ":b"),
            ("a", "B:c"), ("a", "b:\n"), ("a", "b:" + String(repeating: "c", count: 255)),
        ] as [(String, String?)])
    func wrongOptionsAreRefused(origin: String, build: String?) {
        #expect(throws: HarnessError.self) { try ReportOptions(origin: origin, buildID: build) }
    }

    /// KernelCI's own schema, which is fetched for this.
    @Test(.enabled("takes a network; scripts/test --all") { KCIDBSchema.isAsked })
    func kernelCIsSchemaTakesAll() async throws {
        let folder = try TemporaryFolder()
        let hostile = RecordedRun(directory: try SampleRecord.hostile("run-6.1-power8-kdump", in: folder))
        var files: [String] = []
        for (index, run) in (Self.allRuns + [hostile]).enumerated() {
            files.append(
                try folder.write(Array(ReportFormat.kcidb.document(of: run).utf8), to: "submission-\(index).json"))
        }
        let wrong = try folder.write(
            Array("{\"version\": {\"major\": 5, \"minor\": 3}, \"tests\": [{}]}".utf8), to: "x")
        let good = try await KCIDBSchema.validate(files)
        #expect(good.status == .exited(0), "\(good.errors)")
        #expect(try await KCIDBSchema.validate([wrong]).status == .exited(1))
    }
}

/// `scripts/kcidb-validate`.
enum KCIDBSchema {
    static var isAsked: Bool { ProcessInfo.processInfo.environment["QEMU_HARNESS_ALL_TESTS"] != nil }

    static func validate(_ files: [String]) async throws -> (status: TerminationStatus, errors: String) {
        let script = URL(filePath: #filePath).deletingLastPathComponent().appending(
            path: "../../scripts/kcidb-validate"
        )
        .standardizedFileURL
        let result = try await Subprocess.run(
            .path(FilePath(script.path)), arguments: Arguments(files), input: .none, output: .discarded,
            error: .string(limit: 1 << 16))
        return (result.terminationStatus, result.standardError)
    }
}
