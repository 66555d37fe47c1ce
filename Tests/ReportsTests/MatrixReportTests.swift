// SPDX-License-Identifier: Apache-2.0

import Foundation
import HarnessBasics
import Subprocess
import SystemPackage
import TestSupport
import Testing

@testable import Reports
@testable import RunRecord

/// A matrix as documents.
@Suite struct MatrixReportTests {
    private let folder: TemporaryFolder
    private let matrix: MatrixRecord
    /// What all names and words of the matrix have in them.
    private static let hostile = SampleRecord.hostileText.replacing("/", with: "|").replacing("\n", with: " ")

    /// A run that passed and one that is damaged, a cell without a record, one that was taken twice, and one that was not.
    init() throws {
        folder = try TemporaryFolder()
        let cells = (1...5).map {
            MatrixCell(
                number: $0, plan: "mine/plan-\($0) \(Self.hostile)", planName: "plan-\($0) \(Self.hostile)",
                kernel: $0 < 3 ? "6.1" : "/k/\(Self.hostile)", kernelName: $0 < 3 ? "6.1" : Self.hostile, cpu: "POWER8",
                weight: 1)
        }
        let journal = try MatrixJournal(
            parent: folder.url, identifier: "test", startedAt: Date(timeIntervalSince1970: 1_795_891_067)
        ) {
            MatrixInformation(
                matrix: $0, startedAt: Date(timeIntervalSince1970: 1_795_891_067), harness: "0.1.0",
                commandLine: ["qemu-harness", "matrix", Self.hostile], runOptions: [], cells: cells, shard: .whole,
                part: cells.map(\.number))
        }
        func note(_ cell: Int, _ attempt: Int, _ ending: MatrixEnding) throws {
            let attempt = MatrixAttempt(cell: cell, attempt: attempt, run: "run\(cell)\(attempt)")
            try journal.note(.cellStarted(attempt, at: Date()))
            try journal.note(.cellEnded(attempt, ending))
        }
        func ending(_ record: URL, _ name: String) throws -> MatrixEnding {
            let copy = journal.url.appending(path: name)
            try FileManager.default.copyItem(at: record, to: copy)
            var ending = MatrixEnding(outcome: .passed, seconds: 12.25)
            ending.take(RecordSummary(of: copy))
            return ending
        }
        try note(1, 1, ending(SampleRecord.fixture("run-6.1-power8"), "20261128T162116Z-run11"))
        var damaged = try ending(SampleRecord.hostile("run-6.1-power9-kdump", in: folder), "20261128T162116Z-run21")
        (damaged.outcome, damaged.findings) = (.failed, ["list-cycle": 2, Self.hostile: 1])
        try note(2, 1, damaged)
        try note(3, 1, MatrixEnding(outcome: .error, seconds: 1, error: "no guest: \(Self.hostile)"))
        try note(4, 1, MatrixEnding(outcome: .error, seconds: 1, error: "once"))
        try note(4, 2, ending(SampleRecord.fixture("run-6.12-64k-power9"), "20261128T162116Z-run42"))
        matrix = try MatrixRecord(journal.url)
    }

    private func document(_ format: ReportFormat) throws -> String { try MatrixReport(matrix).document(format) }

    @Test func theTableSaysAllOfIt() throws {
        let text = try document(.text)
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
        #expect(text.unicodeScalars.allSatisfy { $0.properties.generalCategory != .control || $0 == "\n" })
        #expect(text.contains("failed: 5 cells: 2 passed, 1 failed, 1 error, 1 not taken; "))
        #expect(text.contains("list-cycle (2 times)"))
        #expect(text.contains("taken 2 times, before: error"))
        #expect(text.contains("go on: qemu-harness matrix --resume "))
        #expect(text.contains("qemu-harness explain list-cycle"))
        #expect(lines.count > 12)
    }

    /// As wide as a terminal where names are as long as names are.
    @Test func theTableFits() throws {
        let cells = (1...2).map {
            MatrixCell(
                number: $0, plan: "kdump-hpt-resize-fixed-and-a-long-name-\($0)",
                planName: "kdump-hpt-resize-fixed-and-a-long-name-\($0)", kernel: "7-64k", kernelName: "7-64k",
                cpu: "POWER10", weight: 1)
        }
        let journal = try MatrixJournal(parent: folder.url, identifier: "wide", startedAt: Date()) {
            MatrixInformation(
                matrix: $0, startedAt: Date(), harness: "0.1.0", commandLine: [], runOptions: [], cells: cells,
                shard: .whole, part: [1, 2])
        }
        let attempt = MatrixAttempt(cell: 1, attempt: 1, run: "x")
        try journal.note(.cellStarted(attempt, at: Date()))
        try journal.note(.cellEnded(attempt, MatrixEnding(outcome: .incomplete, seconds: 123)))
        let lines = MatrixTable(try MatrixRecord(journal.url)).text().split(separator: "\n")
        #expect(lines.filter { !$0.contains("/") }.allSatisfy { $0.count <= 80 }, "\(lines)")
    }

    @Test func junitparserReadsIt() async throws {
        let reader = """
            import json, sys
            from junitparser import JUnitXml
            suites = list(JUnitXml.fromstring(sys.stdin.buffer.read()))
            print(json.dumps([[s.name.split()[1], s.tests, s.failures, s.errors, s.skipped] for s in suites]))
            """
        let result = try await Subprocess.run(
            .path("/usr/bin/python3"), arguments: ["-c", reader],
            input: .array([UInt8](Data(try document(.junit).utf8))),
            output: .string(limit: 1 << 20), error: .string(limit: 1 << 16))
        try #require(result.terminationStatus.isSuccess, "\(result.standardError)")
        let suites = try #require(
            try JSONSerialization.jsonObject(with: Data(result.standardOutput.utf8)) as? [[Any]])
        #expect(suites.map { $0[0] as? String } == ["plan-1", "plan-2", "plan-3", "plan-4", "plan-5"])
        // Tests, failures, errors, skipped.
        let counts = suites.map { $0.dropFirst().compactMap { $0 as? Int } }
        #expect(counts[0] == [5, 0, 0, 0])
        #expect(counts[1][2] > 0, "a damaged record is an error")
        #expect(counts[2] == [1, 0, 1, 0])
        #expect(counts[3][1...] == [0, 0, 0])
        #expect(counts[4] == [1, 0, 1, 0], "what was not taken is not right")
    }

    @Test func isKTAP() throws {
        let tests = try KTAPDocument.tests(in: document(.ktap))
        #expect(tests.map(\.isOK) == [true, false, false, true, false])
        #expect(tests[0].children.count == 5)
        #expect(tests[2].children.count == 1)
    }

    @Test func kcidbIsOfARun() { #expect(throws: HarnessError.self) { try document(.kcidb) } }

    /// A page that leads to the pages of its runs and nowhere else, whatever anyone has called anything.
    @Test func isAPage() throws {
        for cell in matrix.cells {
            guard let name = cell.ending?.record else { continue }
            try MatrixReport.writePage(ofRecord: name, in: matrix.url)
        }
        let document = try document(.html)
        let page = try Page(document, leadsToPages: true)
        #expect(page.ids.isSuperset(of: ["attention", "grid", "cells"]))
        #expect(page.text.contains("<img src=\"http:||taken.invalid|\" onerror=\"alert(1)\">"))
        let links = Set(document.matches(of: /href="([^"]*)"/).map { String($0.output.1) })
        #expect(
            links == [
                "#main", "reports/20261128T162116Z-run11%2Ehtml", "reports/20261128T162116Z-run21%2Ehtml",
                "reports/20261128T162116Z-run42%2Ehtml",
            ])
        for link in links where link != "#main" {
            let file = matrix.url.appending(path: try #require(link.removingPercentEncoding))
            #expect(FileManager.default.fileExists(atPath: file.path))
        }
    }

    @Test(.enabled("there is no chromium: scripts/setup installs it") { Browser.isThere })
    func hostileWordsDoNothingInABrowser() async throws {
        let opened = try await Browser.open(document(.html), in: folder)
        #expect(opened.console == [])
        #expect(!opened.netLog.contains("taken.invalid"))
        #expect(opened.page.matches(of: /<(img|iframe|object|embed|link|base|script)\b/).isEmpty)
    }

    @Test(arguments: [
        (["reports", "a.html"], "reports/a%2Ehtml"), (["..", "x"], "%2E%2E/x"),
        (["javascript:alert(1)"], "javascript%3Aalert%281%29"),
        (["a/b", "\"><b>"], "a%2Fb/%22%3E%3Cb%3E"), (["ü"], "%C3%BC"),
    ])
    func linksLeadBelow(path: [String], source: String) {
        #expect(HTML("a", [.link(toFile: path)]).source == "<a href=\"\(source)\"></a>")
    }
}
