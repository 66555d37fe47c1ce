// SPDX-License-Identifier: Apache-2.0

package import ArgumentParser
import Foundation
import HarnessBasics
import RunRecord

/// `merge`: joins what the shards of a matrix have left.
package struct MergeCommand: ParsableCommand {
    package static let configuration = CommandConfiguration(
        commandName: "merge",
        abstract: "Join the folders that the shards of a matrix have left.",
        discussion: """
            Makes a new folder with all records, and reports of all of them, as the whole matrix would have left it. What \
            does not belong together is refused by name: shards that are missing or there twice, other cells, plans or options, \
            another QEMU, libvirt or kernel under the same name.

            Example:
              qemu-harness merge shards/matrix-* --output runs

            Exit codes: those of the joined matrix; 2 they cannot be joined; 64 wrong use.
            """
    )

    /// A command that is not parsed yet.
    package init() {}

    @Argument(help: ArgumentHelp("The folders of the shards, in any order.", valueName: "directory"))
    var shards: [String]

    @Option(help: ArgumentHelp("Directory for the folder of the joined matrix.", valueName: "directory"))
    var output = "runs"

    @Flag(help: "Print one JSON document instead of the table.")
    var json = false

    /// Joins, and writes.
    package func run() throws {
        let merged: MatrixRecord
        do {
            let merge = try MatrixMerge(try shards.map { try MatrixRecord(URL(filePath: $0)) })
            merged = try merge.write(
                parent: URL(filePath: output), identifier: String(UUID().uuidString.lowercased().prefix(8)),
                startedAt: Date(), commandLine: CommandLine.arguments)
        } catch {
            throw HarnessError.infrastructure(
                "cannot join: " + ((error as? RecordProblem)?.description ?? error.localizedDescription))
        }
        MatrixDocuments.write(merged)
        try MatrixDocuments.show(merged, isJSON: json)
        let status = merged.outcome.exitCode()
        if status != ExitStatus.passed { throw ExitCode(status) }
    }
}
