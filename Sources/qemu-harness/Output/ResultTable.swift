// SPDX-License-Identifier: Apache-2.0

import Foundation
import Plans
import RunRecord
import Verification

/// A run's result as a person reads it on stdout.
struct ResultTable {
    let results: RunResults
    /// What was run; nil when the record does not say.
    let information: RunInformation?
    /// The record's place.
    let record: URL

    /// How many new entries and findings are shown; all of them are in results.json.
    private static let rowLimit = 32

    var text: String {
        [[headline], guestLines, stepLines, entryLines, witnessLines, findingLines, endLines]
            .filter { !$0.isEmpty }
            .map { $0.joined(separator: "\n") }
            .joined(separator: "\n\n") + "\n"
    }

    private var headline: String {
        "\(results.run): \(results.outcome.rawValue)"
    }

    private var guestLines: [String] {
        guard let guest = information?.guest, let release = guest.kernelRelease, let mmu = guest.mmu,
            let page = guest.pageByteCount
        else { return [] }
        let order = guest.isBigEndian == true ? ", big-endian" : ""
        let account = results.steps.last { $0.verdict != nil }?.verdict?.account
        // A kernel without a list leaves its vmemmap page size at a value that means nothing.
        let vmemmap =
            account == .pageTables
            ? ", no list: its account is its page tables"
            : guest.vmemmapPageByteCount.map { ", \(ByteCount($0).text) vmemmap pages" } ?? ""
        return [
            "Linux \(release)\(order), \(guest.cpu), \(mmu) MMU, \(ByteCount(page).text) pages\(vmemmap)",
            "events from \(guest.eventSource ?? "nowhere")",
        ]
    }

    private var stepLines: [String] {
        var rows = [["step", "", "entries", "new", "sections covered", "seconds"]]
        for step in results.steps {
            let verdict = step.verdict
            rows.append([
                "\(step.number)", step.title, verdict.map { "\($0.entryCount)" } ?? "",
                step.newEntries.map { "\($0.count)" } ?? "",
                verdict.map { "\($0.coveredSectionCount) of \($0.sectionCount)" } ?? "",
                String(format: "%.2f", step.seconds),
            ])
        }
        return rows.count > 1 ? Self.columns(rows, rightAligned: [2, 3, 4, 5]) : []
    }

    /// The entries that came after the first verification: those are the plugs'.
    private var entryLines: [String] {
        let entries = results.steps.filter { $0.verdict != nil }.dropFirst().flatMap { $0.newEntries ?? [] }
        guard !entries.isEmpty else { return [] }
        var rows = [["new entries, virt", "phys"]]
        rows += entries.prefix(Self.rowLimit).map { ["\($0.virtAddr.hexadecimal)  →", $0.phys.hexadecimal] }
        return Self.columns(rows, rightAligned: []) + Self.rest(entries.count)
    }

    private var witnessLines: [String] {
        guard let verdict = results.steps.last(where: { $0.verdict != nil })?.verdict else { return [] }
        var rows = [["witness", "", "entries", "what it rests on"]]
        rows += verdict.witnesses.map { statement in
            let unsaid = statement.unsaidCount > 0 ? " (\(statement.unsaidCount) could not be said)" : ""
            return [
                statement.witness.rawValue, statement.standing.rawValue, "\(statement.agreeingCount)",
                statement.detail + unsaid,
            ]
        }
        return Self.columns(rows, rightAligned: [2])
    }

    private var findingLines: [String] {
        let findings = results.steps.flatMap { step in step.allFindings.map { (step.number, $0) } }
        guard !findings.isEmpty else { return [] }
        return ["findings"]
            + findings.prefix(Self.rowLimit).map { "  step \($0): \($1.name): \($1.message)" }
            + Self.rest(findings.count)
    }

    private var endLines: [String] {
        var lines = ["record: \(record.path)"]
        if let information, results.outcome != .passed {
            lines.append("again:  " + information.commandLine.map(Self.quoted).joined(separator: " "))
        }
        return lines
    }

    private static func rest(_ count: Int) -> [String] {
        count > rowLimit ? ["  … and \(count - rowLimit) more in results.json"] : []
    }

    private static func columns(_ rows: [[String]], rightAligned: Set<Int>) -> [String] {
        let widths = (rows.first ?? []).indices.map { column in rows.map { $0[column].count }.max() ?? 0 }
        return rows.map { row in
            let cells = row.enumerated().map { column, cell in
                let padding = String(repeating: " ", count: widths[column] - cell.count)
                return rightAligned.contains(column) ? padding + cell : cell + padding
            }
            let line = "  " + cells.joined(separator: "  ")
            return String(line.prefix(line.count - line.reversed().prefix { $0 == " " }.count))
        }
    }

    /// As a shell takes it.
    private static func quoted(_ argument: String) -> String {
        let isPlain =
            !argument.isEmpty
            && argument.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber || "-_./=:,+".contains($0)) }
        return isPlain ? argument : "'" + argument.replacing("'", with: "'\\''") + "'"
    }
}
