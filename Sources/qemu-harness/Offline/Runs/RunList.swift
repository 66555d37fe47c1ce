// SPDX-License-Identifier: Apache-2.0

import Foundation
import HarnessBasics
import Reports
import RunRecord

/// A record in a list: what is kept of it while the others are read.
struct RunRow: Encodable {
    var run: String
    var record: String
    /// How the run ended, or why nobody knows.
    var outcome: RecordedOutcome
    /// What is wrong with the record, or with the run.
    var problem: String?
    var startedAt: Date?
    /// In seconds.
    var duration: Double?
    var kernel: String?
    var cpu: String?
    var mmu: String?
    var pageByteCount: UInt64?
    /// At the last verification.
    var entryCount: Int?
    /// How often each was found; nil where the record does not tell.
    var findings: [String: Int]?

    init(_ summary: RecordSummary) {
        let information = summary.information
        let guest = information?.guest
        (run, record, outcome) = (summary.name, summary.directory.path, RecordedOutcome(summary))
        problem = summary.problem ?? information?.error
        startedAt = information?.startedAt ?? RunsFolder.start(ofRun: summary.name)
        duration = information.flatMap { information in
            information.finishedAt.map { $0.timeIntervalSince(information.startedAt) }
        }
        (kernel, cpu, mmu, pageByteCount) = (guest?.kernelRelease, guest?.cpu, guest?.mmu, guest?.pageByteCount)
        entryCount = summary.entryCount
        findings = summary.results == nil ? nil : summary.findings
    }
}

/// A list of records.
struct RunList: Encodable {
    var runs: [RunRow]
    /// The folders beside them that hold a soak's records.
    var soaks: [String]
    /// The folders beside them that hold a matrix's records.
    var matrices: [String]

    /// A table of 80 columns, and a line for each record that cannot be read.
    func text(folder: String) -> String {
        var lines: [String] = []
        if !runs.isEmpty {
            let rows = runs.map { row -> [String] in
                [
                    row.run, row.outcome.rawValue, row.cpu ?? "", Self.shortened(row.kernel ?? ""),
                    row.entryCount.map { "\($0)" } ?? "", row.duration.map { String(format: "%.1f", $0) } ?? "",
                ].map { Terminal.printable($0.replacing("\n", with: " ")) }
            }
            let table = TextTable(
                [.left(), .left(), .left(), .left(givesWay: true), .right, .right],
                [["run", "outcome", "cpu", "kernel", "entries", "s"]] + rows
            ).lines(width: Terminal.width)
            lines = Array(table.prefix(1))
            for (row, line) in zip(runs, table.dropFirst()) { lines += [line] + Self.findingLines(row.findings ?? [:]) }
        }
        for row in runs where [.damaged, .cutOff].contains(row.outcome) {
            lines += Terminal.paragraph("\(row.run): \(row.problem ?? "its run was killed")")
        }
        if runs.isEmpty { lines.append("no such runs in \(Terminal.printable(folder))") }
        for soak in soaks.suffix(8) {
            lines += Terminal.paragraph("a soak's runs: qemu-harness runs --runs-dir \(folder)/\(soak)")
        }
        for matrix in matrices.suffix(8) {
            lines += Terminal.paragraph("a matrix's runs: qemu-harness runs --runs-dir \(folder)/\(matrix)")
        }
        return lines.map { $0 + "\n" }.joined()
    }

    /// A release without its middle: versions stand at its beginning, the page size at its end.
    private static func shortened(_ release: String) -> String {
        release.count <= 20 ? release : "\(release.prefix(11))…\(release.suffix(8))"
    }

    /// The findings of a run, below it.
    private static func findingLines(_ findings: [String: Int]) -> [String] {
        findings.isEmpty
            ? [] : Terminal.paragraph("  found: \(findings.keys.sorted().joined(separator: ", "))", indent: "    ")
    }
}
