// SPDX-License-Identifier: Apache-2.0

package import ArgumentParser
import Foundation
import HarnessBasics
import Reports
import RunRecord

/// `runs show`: what one record says.
package struct RunsShowCommand: ParsableCommand {
    package static let configuration = CommandConfiguration(
        commandName: "show",
        abstract: "Show what a record says of its run, also while the run goes on.",
        discussion: """
            As it was recorded: 'verify' judges it anew and looks at its digests, 'report' makes a document of it.

            Exit codes: 0 shown; 2 the record is damaged or was cut off, and what can be read is shown; 64 wrong use.
            """
    )

    /// A command that is not parsed yet.
    package init() {}

    @Argument(help: RunsFolderOptions.recordHelp)
    var record = "latest"

    @OptionGroup var options: RunsFolderOptions

    @Flag(help: "Print it as JSON.")
    var json = false

    private struct Document: Encodable {
        var run: RunRow
        var commandLine: [String]?
        var steps: [RecordSummary.Step]
        var files: [String: Int]
    }

    /// Shows.
    package func run() throws {
        let summary = RecordSummary(of: try options.record(record))
        let document = Document(
            run: RunRow(summary), commandLine: summary.information?.commandLine, steps: summary.steps(),
            files: Self.files(of: summary.directory))
        if json {
            try show(json: document)
        } else if let results = summary.results {
            show(ResultTable(results: results, information: summary.information, record: summary.directory).text())
        } else {
            show(Self.text(document))
        }
        if let problem = summary.problem { Terminal.tell(problem) }
        if [.damaged, .cutOff].contains(summary.state) { throw ExitCode(ExitStatus.infrastructure) }
    }

    /// The sizes of a record's files in bytes, those of its folders not.
    private static func files(of directory: URL) -> [String: Int] {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: directory.path)) ?? []
        return names.sorted().prefix(2048).reduce(into: [:]) { sizes, name in
            let attributes = try? FileManager.default.attributesOfItem(atPath: directory.appending(path: name).path)
            guard attributes?[.type] as? FileAttributeType == .typeRegular else { return }
            sizes[name] = attributes?[.size] as? Int
        }
    }

    /// A run that has no results yet.
    private static func text(_ document: Document) -> String {
        let rows = document.steps.map { step in
            [
                "\(step.number)", Terminal.printable(step.title), step.outcome?.rawValue ?? "",
                step.seconds.map { String(format: "%.2f", $0) } ?? "",
                step.findings.keys.sorted().joined(separator: " "),
            ]
        }
        let table = TextTable(
            [.left(), .left(givesWay: true), .left(), .right, .left()],
            [["step", "", "outcome", "seconds", "findings"]] + rows
        ).lines(indent: 2, width: Terminal.width)
        let machine = [document.run.kernel.map { "Linux \($0)" }, document.run.cpu, document.run.mmu].compactMap { $0 }
        let lines =
            (machine.isEmpty ? [] : Terminal.paragraph(machine.joined(separator: ", ")) + [""])
            + (rows.isEmpty ? [] : table + [""])
            + Terminal.paragraph("\(document.run.outcome.rawValue): record \(document.run.record)")
        return lines.map { $0 + "\n" }.joined()
    }
}
