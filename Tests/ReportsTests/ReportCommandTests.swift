// SPDX-License-Identifier: Apache-2.0

import Foundation
import HarnessBasics
import Subprocess
import TestSupport
import Testing

@testable import OfflineCommands
@testable import Reports

/// `report`, and `run --report` as far as it needs no guest.
@Suite struct ReportCommandTests {
    private static let record = SampleRecord.fixture("run-6.1-power9").path

    private func program(_ arguments: String...) async throws -> HarnessProgram.Ending {
        try await HarnessProgram.run(arguments)
    }

    @Test func aReportGoesToStdoutOrAFile() async throws {
        let folder = try TemporaryFolder()
        let printed = try await program("report", Self.record, "--format", "html")
        #expect(printed.status == .exited(0))
        #expect(printed.output.hasPrefix("<!DOCTYPE html>"))
        let file = folder.path("report.html")
        let written = try await program("report", Self.record, "--format", "html", "--output", file)
        #expect(written.status == .exited(0))
        #expect(written.output.isEmpty)
        #expect(try String(contentsOfFile: file, encoding: .utf8) == printed.output)
        let text = try await program("report", Self.record, "--format", "text")
        #expect(text.status == .exited(0))
        #expect(text.output.contains("passed: "))
    }

    /// A damaged record has a report, and its own exit code; a wrong use has another.
    @Test func whatIsWrongIsSaid() async throws {
        let folder = try TemporaryFolder()
        let damaged = folder.url.appending(path: "run")
        try FileManager.default.copyItem(at: SampleRecord.fixture("run-6.1-power9"), to: damaged)
        try Data("{".utf8).write(to: damaged.appending(path: "snapshot-4.json"))
        let report = try await program("report", damaged.path, "--format", "html")
        #expect(report.status == .exited(2))
        #expect(report.errors.contains("snapshot-4.json"))
        #expect(report.output.contains("What is wrong with the record."))
        for arguments in [["/nonexistent", "--format", "html"], [Self.record, "--format", "pdf"], [Self.record]] {
            let result = try await program("report", arguments[0], arguments.dropFirst().joined(separator: "="))
            #expect(result.status == .exited(64))
        }
        let target = try await program(
            "report", Self.record, "--format", "text", "--output", "/nonexistent/report.txt")
        #expect(target.status == .exited(2))
        #expect(target.errors.contains("cannot write the report /nonexistent/report.txt"))
    }

    @Test(arguments: [
        ("html=a.html", ReportFormat.html, "a.html"), ("text=/tmp/a=b", .text, "/tmp/a=b"), ("html=", nil, ""),
        ("pdf=a", nil, ""), ("a.html", nil, ""), ("", nil, ""),
    ])
    func targetsAreRead(argument: String, format: ReportFormat?, path: String) {
        let target = ReportTarget(argument: argument)
        #expect(target?.format == format)
        #expect((target?.path ?? "") == path)
    }

    /// Before a run begins: what cannot be written later, and what would be written twice.
    @Test func pathsAreChecked() throws {
        let folder = try TemporaryFolder()
        let good = ReportTarget(format: .html, path: folder.path("good.html"))
        try Data("before".utf8).write(to: URL(filePath: good.path))
        try ReportTarget.check([good])
        #expect(try String(contentsOfFile: good.path, encoding: .utf8) == "before")
        for path in ["/nonexistent/a", folder.url.path, "/dev/null"] {
            #expect(throws: HarnessError.self) { try ReportTarget.check([ReportTarget(format: .html, path: path)]) }
        }
        #expect(throws: HarnessError.usage("two reports have the same path")) {
            try ReportTarget.check([good, ReportTarget(format: .text, path: folder.path("x/../good.html"))])
        }
    }

    /// One that cannot be written keeps none of the others.
    @Test func allThatCanBeAreWritten() throws {
        let folder = try TemporaryFolder()
        let targets = [
            ReportTarget(format: .html, path: "/nonexistent/a"),
            ReportTarget(format: .text, path: folder.path("a.txt")),
        ]
        ReportTarget.write(targets, of: URL(filePath: Self.record))
        #expect(try String(contentsOfFile: folder.path("a.txt"), encoding: .utf8).contains("passed: "))
    }

    @Test func aRunsReportsAreCheckedFirst() async throws {
        let result = try await program("run", "--report", "pdf=a")
        #expect(result.status == .exited(64))
    }
}
