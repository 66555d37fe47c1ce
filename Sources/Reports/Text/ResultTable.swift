// SPDX-License-Identifier: Apache-2.0

package import Foundation
import HarnessBasics
package import RunRecord
import Verification

/// A run's result as a person reads it on stdout: 80 columns, what matters most last.
package struct ResultTable {
    let results: RunResults
    /// What was run; nil when the record does not say.
    let information: RunInformation?
    /// The record's place.
    let record: URL

    /// The table of a run's results.
    package init(results: RunResults, information: RunInformation?, record: URL) {
        self.results = results
        self.information = information
        self.record = record
    }

    /// How many findings are shown; all of them are in results.json.
    private static let findingLimit = 32
    /// How many lines tell what was left unsaid.
    private static let unsaidLimit = 16
    /// How many ranges of entries are shown.
    private static let rangeLimit = 16

    /// The whole table. What the guest, a plan or a record says in it cannot steer a terminal.
    package func text(isColored: Bool = false) -> String {
        [guestLines, stepLines, entryLines, findingLines, dumpLines, verdictLines(isColored: isColored), endLines]
            .filter { !$0.isEmpty }
            .map { $0.joined(separator: "\n") }
            .joined(separator: "\n\n") + "\n"
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
        return Terminal.paragraph(
            "Linux \(release)\(order), \(guest.cpu), \(mmu) MMU, \(ByteCount(page).text) pages\(vmemmap); events from "
                + (guest.eventSource ?? "nowhere"))
    }

    private var stepLines: [String] {
        guard !results.steps.isEmpty else { return [] }
        let rows = results.steps.map { step -> [String] in
            let verdict = step.verdict
            return [
                "\(step.number)", Terminal.printable(step.title), verdict.map { "\($0.entryCount)" } ?? "",
                step.newEntries.map { "\($0.count)" } ?? "", step.goneEntries.map { "\($0.count)" } ?? "",
                verdict.map { "\($0.coveredSectionCount) of \($0.sectionCount)" } ?? "",
                String(format: "%.2f", step.seconds),
            ]
        }
        return TextTable(
            [.left(), .left(givesWay: true), .right, .right, .right, .right, .right],
            [["step", "", "entries", "new", "gone", "covered", "seconds"]] + rows
        ).lines(indent: 2, width: Terminal.width)
    }

    /// The entries that came or went after the first verification, as ranges of the memory map.
    private var entryLines: [String] {
        var lines: [String] = []
        for step in results.steps.filter({ $0.verdict != nil }).dropFirst() {
            for (word, entries) in [("new", step.newEntries ?? []), ("gone", step.goneEntries ?? [])] {
                lines += Self.ranges(of: entries).map { range in
                    let count = range.entryCount == 1 ? "1 entry" : "\(range.entryCount) entries"
                    return
                        "  step \(step.number) \(word): \(range.start.hexadecimal) to \(range.last.hexadecimal), \(count)"
                }
            }
        }
        guard lines.count > Self.rangeLimit else { return lines }
        return lines.prefix(Self.rangeLimit) + ["  … and \(lines.count - Self.rangeLimit) more ranges in results.json"]
    }

    /// A piece of the memory map whose windows follow each other.
    private struct EntryRange {
        let start: UInt64
        var last: UInt64
        var entryCount: Int
    }

    private static func ranges(of entries: [BackedWindow]) -> [EntryRange] {
        var ranges: [EntryRange] = []
        for entry in entries.sorted(by: { $0.virtAddr < $1.virtAddr }) {
            // The end of all addresses is an end as well.
            let last = entry.virtAddr &+ max(entry.byteCount, 1) &- 1
            if let previous = ranges.last, previous.last &+ 1 == entry.virtAddr {
                ranges[ranges.count - 1].last = last
                ranges[ranges.count - 1].entryCount += 1
            } else {
                ranges.append(EntryRange(start: entry.virtAddr, last: last, entryCount: 1))
            }
        }
        return ranges
    }

    private var findingLines: [String] {
        let findings = results.steps.flatMap { step in step.allFindings.map { (step.number, $0) } }
        guard !findings.isEmpty else { return [] }
        let lines = findings.prefix(Self.findingLimit).flatMap { number, finding in
            Terminal.paragraph("  step \(number): \(finding.name): \(finding.message)", indent: "    ")
        }
        let rest = findings.count - Self.findingLimit
        return ["findings"] + lines + (rest > 0 ? ["  … and \(rest) more in results.json"] : [])
    }

    /// What tools made of the dead kernel. A tool that fails where all witnesses agree lacks something itself.
    private var dumpLines: [String] {
        let dumps = results.steps.compactMap { step in step.dump.map { (step.number, $0) } }
        guard !dumps.isEmpty else { return [] }
        let verdict = results.steps.last { $0.verdict != nil }?.verdict
        let areAllAgreed = verdict?.findings.isEmpty == true && verdict?.unsaid.isEmpty == true
        let lines = dumps.flatMap { number, dump -> [String] in
            var text = "  step \(number): \(dump.tool) \(dump.text)"
            if let warning = dump.words.split(separator: "\n").first(where: { $0.hasPrefix("WARNING") }) {
                text += "; it said: \(warning.prefix(240))"
            }
            if dump.ending == .failed {
                if let words = dump.lastWords { text += "; it said: \(words.prefix(240))" }
                // One that was killed, or could not be started, has not failed at the dump.
                if areAllAgreed, let status = dump.exitStatus, status != 0, status != 127 {
                    text += " (the witnesses agree, so the gap is the tool's)"
                }
            }
            return Terminal.paragraph(text, indent: "    ")
        }
        return ["dumps"] + lines
    }

    // MARK: - The verdict

    private func verdictLines(isColored: Bool) -> [String] {
        let word = results.outcome.rawValue
        var lines = Terminal.paragraph("\(word): " + summary)
        if isColored, let first = lines.first {
            lines[0] = results.outcome.colored + first.dropFirst(word.count)
        }
        return lines + unsaidLines
    }

    /// Entries, sections and witnesses, or what kept them away.
    var summary: String {
        let verdicts = results.steps.compactMap(\.verdict)
        var parts: [String] = []
        // The first line of it: all of it is on stderr.
        if let error = results.error { parts.append(error.split(separator: "\n").first.map(String.init) ?? "") }
        guard let last = verdicts.last else { return (parts + ["nothing was verified"]).joined(separator: "; ") }
        let findingCount = results.steps.reduce(0) { $0 + $1.allFindings.count }
        if findingCount > 0 { parts.append(findingCount == 1 ? "1 finding" : "\(findingCount) findings") }
        let entries = last.entryCount == 1 ? "1 entry" : "\(last.entryCount) entries"
        parts.append(
            (results.error == nil ? "" : "its verifications: ") + entries
                + ", \(last.coveredSectionCount) of \(last.sectionCount) sections covered")
        for (standing, one, many) in [
            (WitnessStatement.Standing.agrees, "agrees", "agree"), (.contradicts, "differs", "differ"),
        ] {
            let names = Witness.allCases.filter { Self.standing(of: $0, in: verdicts) == standing }.map(\.rawValue)
            if !names.isEmpty {
                parts.append(names.joined(separator: ", ") + " " + (names.count == 1 ? one : many))
            }
        }
        return parts.joined(separator: "; ")
    }

    /// How a witness stands in all verdicts for which it was asked: it agrees where it does in each, and differs where it
    /// does in one.
    private static func standing(of witness: Witness, in verdicts: [Verdict]) -> WitnessStatement.Standing {
        let standings = verdicts.flatMap { verdict in
            // Of a dead kernel not everybody is asked.
            let isAsked = verdict.unsaid.contains { $0.witness == witness }
            return verdict.witnesses.filter { $0.witness == witness && (isAsked || $0.standing != .absent) }
                .map(\.standing)
        }
        if standings.contains(.contradicts) { return .contradicts }
        return !standings.isEmpty && standings.allSatisfy { $0 == .agrees } ? .agrees : .cannotSay
    }

    /// What witnesses left unsaid, step by step, and whether that was expected.
    private var unsaidLines: [String] {
        let missing = results.unsaid
        let lines = results.steps.flatMap { step in
            (step.verdict?.unsaid ?? []).flatMap { unsaid in
                let isMissing = missing.contains { $0.step == step.number && $0.unsaid == unsaid }
                let count = unsaid.count > 0 ? " of \(unsaid.count) entries" : ""
                return Terminal.paragraph(
                    "  not said in step \(step.number)\(isMissing ? "" : ", as expected"): "
                        + "\(unsaid.witness.rawValue)\(count): \(unsaid.reason)",
                    indent: "    ")
            }
        }
        guard lines.count > Self.unsaidLimit else { return lines }
        return lines.prefix(Self.unsaidLimit) + ["  … and more in results.json"]
    }

    private var endLines: [String] {
        var lines = ["record: \(Self.relative(record))"]
        if let information, results.outcome != .passed {
            lines.append(
                "again:  " + Terminal.printable(information.commandLine.map(Self.quoted).joined(separator: " ")))
        }
        if let pointer = Explanation.pointer(to: results.steps.flatMap { $0.allFindings.map(\.name) }) {
            lines.append(pointer)
        }
        return lines
    }

    // MARK: - Form

    /// A path as somebody in the current folder would write it.
    static func relative(_ url: URL) -> String {
        let folder = FileManager.default.currentDirectoryPath + "/"
        let path = Terminal.printable(url.path)
        return path.hasPrefix(folder) ? String(path.dropFirst(folder.count)) : path
    }

    /// As a shell takes it.
    static func quoted(_ argument: String) -> String {
        let isPlain =
            !argument.isEmpty
            && argument.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber || "-_./=:,+".contains($0)) }
        return isPlain ? argument : "'" + argument.replacing("'", with: "'\\''") + "'"
    }
}

extension Outcome {
    /// Its word, as a terminal shows it that has colours.
    var colored: String { "\u{1b}[1;\(color)m\(rawValue)\u{1b}[0m" }

    /// SGR number of the foreground that a terminal shows it in: green, red, or yellow for what says neither.
    private var color: Int {
        switch self {
        case .passed: 32
        case .failed, .error: 31
        case .incomplete, .interrupted: 33
        }
    }
}
