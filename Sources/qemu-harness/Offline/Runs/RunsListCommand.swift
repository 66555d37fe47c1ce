// SPDX-License-Identifier: Apache-2.0

package import ArgumentParser
import Foundation
import HarnessBasics
import Reports
package import RunRecord

/// `runs list`: the records that there are.
package struct RunsListCommand: ParsableCommand {
    package static let configuration = CommandConfiguration(
        commandName: "list",
        abstract: "List the records of runs, the newest last.",
        discussion: """
            All of it is as it was recorded: 'verify' judges a record anew and looks at its digests. Filters add up.

            Examples:
              qemu-harness runs
              qemu-harness runs --outcome failed --finding list-cycle
              qemu-harness runs --kernel 6.12 --json

            Exit codes: 0 they are listed, damaged ones among them; 64 wrong use.
            """
    )

    /// A command that is not parsed yet.
    package init() {}

    @OptionGroup var options: RunsFolderOptions

    @Option(help: ArgumentHelp("Only runs of kernels whose release, or file, has this in it.", valueName: "text"))
    var kernel: String?

    @Option(
        help: ArgumentHelp(
            "Only runs that ended so: passed, failed, error, incomplete, interrupted; or running, cut-off, damaged.",
            valueName: "outcome"))
    var outcome: RecordedOutcome?

    @Option(help: ArgumentHelp("Only runs that have this finding, excused or not.", valueName: "name"))
    var finding: String?

    @Flag(help: "Print them as JSON.")
    var json = false

    /// Refuses a finding that no run can have.
    package func validate() throws {
        if let finding, !Explanation.all.contains(where: { $0.name == finding }) {
            let names = Explanation.names(near: finding).joined(separator: ", ")
            throw ValidationError("there is no finding '\(finding.prefix(80))'; the nearest are \(names)")
        }
    }

    /// Lists.
    package func run() throws {
        let folder = try options.folder()
        let rows = folder.names.lazy.map { folder.summary($0) }.filter(isAsked).map { RunRow($0) }
        if json { return try show(json: RunList(runs: Array(rows), soaks: folder.soaks, matrices: folder.matrices)) }
        show(RunList(runs: Array(rows), soaks: folder.soaks, matrices: folder.matrices).text(folder: options.runsDir))
    }

    private func isAsked(_ summary: RecordSummary) -> Bool {
        if let outcome, RecordedOutcome(summary) != outcome { return false }
        if let finding, summary.findings[finding] == nil { return false }
        guard let kernel else { return true }
        let guest = summary.information?.guest
        return [guest?.kernelRelease, guest?.kernelPath].contains { $0?.contains(kernel) == true }
    }
}

/// What a record says of its run's end: an outcome, or why there is none.
package enum RecordedOutcome: String, CaseIterable, ExpressibleByArgument, Encodable, Sendable {
    case passed, failed, error, incomplete, interrupted, running, damaged
    case cutOff = "cut-off"

    /// What a record's summary says.
    package init(_ summary: RecordSummary) {
        switch (summary.state, summary.outcome) {
        case (.running, _): self = .running
        case (.cutOff, _): self = .cutOff
        case (.damaged, _), (.ended, nil): self = .damaged
        case (.ended, .passed?): self = .passed
        case (.ended, .failed?): self = .failed
        case (.ended, .error?): self = .error
        case (.ended, .incomplete?): self = .incomplete
        case (.ended, .interrupted?): self = .interrupted
        }
    }
}
