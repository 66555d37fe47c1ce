// SPDX-License-Identifier: Apache-2.0

package import ArgumentParser
import Foundation
import HarnessBasics
import Reports
import RunRecord

/// `compare`: two recorded runs beside each other.
package struct CompareCommand: ParsableCommand {
    package static let configuration = CommandConfiguration(
        commandName: "compare",
        abstract: "Show where two recorded runs differ, also across kernels.",
        discussion: """
            Both records are judged anew. Steps correspond by their titles and their order. Compared are entries, sections, \
            findings, witnesses and durations; the windows of the memory map where both kernels have the same kind of it.

            Example:
              qemu-harness compare mk4idc3g qrpkerfj

            Exit codes: 0 they were compared, whatever came of it; 2 a record is damaged or cut off, and what can be read was \
            compared; 64 wrong use.
            """
    )

    /// A command that is not parsed yet.
    package init() {}

    @Argument(help: RunsFolderOptions.recordHelp)
    var a: String

    @Argument(help: "The other one.")
    var b: String

    @OptionGroup var options: RunsFolderOptions

    @Flag(help: "Print it as JSON.")
    var json = false

    /// Compares.
    package func run() throws {
        let directories = try [options.record(a), options.record(b)]
        let records = directories.map { RecordVerification(directory: $0) }
        let comparison = RunComparison(records[0], records[1])
        if json {
            try show(json: comparison)
        } else {
            show(ComparisonText(comparison).text)
        }
        for (directory, record) in zip(directories, records) {
            for problem in record.problems { Terminal.tell("\(directory.lastPathComponent): \(problem)") }
        }
        if records.contains(where: { !$0.problems.isEmpty }) { throw ExitCode(ExitStatus.infrastructure) }
    }
}
