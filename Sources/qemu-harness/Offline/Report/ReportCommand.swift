// SPDX-License-Identifier: Apache-2.0

package import ArgumentParser
import Foundation
import HarnessBasics
import Reports
import RunRecord

/// `report`: makes a document of a record.
package struct ReportCommand: ParsableCommand {
    package static let configuration = CommandConfiguration(
        commandName: "report",
        abstract: "Make a report of a recorded run, with no guest.",
        discussion: """
            All that it says comes from the record, whose snapshots are judged anew. Of a record that is damaged, cut off, or of \
            a run that goes on there is a report of what can be read, which says so. Of a matrix's folder there is one of all \
            its runs, as html, junit, ktap or text; the page's links lead from that folder.

            Examples:
              qemu-harness report --format html --output report.html
              qemu-harness report runs/20261128T152231Z-mk4idc3g --format text
              qemu-harness report --format kcidb --origin our_lab --build-id maestro:65f1e7

            Exit codes: 0 there is a report, whatever it says of the guest; 2 the record is damaged, cut off, or none, or the \
            report cannot be written; 64 wrong use.
            """
    )

    /// A command that is not parsed yet.
    package init() {}

    @Argument(
        help: ArgumentHelp("A run's directory, or 'latest' in a runs directory; or a matrix's.", valueName: "run"))
    var path = "runs/latest"

    @Option(help: "What to make: \(ReportFormat.allCases.map(\.rawValue).joined(separator: ", ")).")
    var format: ReportFormat

    @Option(help: ArgumentHelp("The file to write it to. (default: stdout)", valueName: "path"))
    var output: String?

    @Option(
        help: ArgumentHelp(
            "Of kcidb: the CI system that submits it, as KernelCI knows it. (default: \(ReportOptions.standard.origin))",
            valueName: "name"))
    var origin: String?

    @Option(
        help: ArgumentHelp("Of kcidb: the build that was tested, as somebody has submitted it.", valueName: "id"))
    var buildId: String?

    /// Refuses what does not go together.
    package func validate() throws {
        if format != .kcidb, origin != nil || buildId != nil {
            throw ValidationError("--origin and --build-id are of --format kcidb")
        }
    }

    /// Reads the record, and writes.
    package func run() throws {
        let options = try ReportOptions(origin: origin, buildID: buildId)
        let url = URL(filePath: path)
        var isDirectory: ObjCBool = false
        // SAFETY: the flag lives for the length of the call, which fills it in.
        guard unsafe FileManager.default.fileExists(atPath: url.path, isDirectory: &isDirectory), isDirectory.boolValue
        else { throw HarnessError.usage("no run at \(path): there is no such directory") }
        if MatrixDocuments.isMatrix(url) { return try reportMatrix(url) }
        let run = RecordedRun(directory: url)
        if let output {
            try ReportTarget(format: format, path: output).write(run, options)
        } else {
            // A reader that has gone is nobody's error.
            try? FileHandle.standardOutput.write(contentsOf: Data(format.document(of: run, options).utf8))
        }
        for problem in run.problems { Terminal.tell("\(problem)") }
        if !run.problems.isEmpty { throw ExitCode(ExitStatus.infrastructure) }
    }

    private func reportMatrix(_ url: URL) throws {
        let (matrix, problems): (MatrixRecord, [String])
        do throws(RecordProblem) {
            (matrix, problems) = try MatrixRecord(url).checked()
        } catch {
            throw HarnessError.infrastructure("cannot report \(path): \(error)")
        }
        let document = try MatrixReport(matrix).document(format)
        if let output {
            try ReportTarget(format: format, path: output).write(document)
        } else {
            try? FileHandle.standardOutput.write(contentsOf: Data(document.utf8))
        }
        for problem in problems { Terminal.tell(problem) }
        if !problems.isEmpty { throw ExitCode(ExitStatus.infrastructure) }
    }
}
