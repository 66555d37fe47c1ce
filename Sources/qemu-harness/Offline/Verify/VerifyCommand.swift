// SPDX-License-Identifier: Apache-2.0

package import ArgumentParser
import Foundation
import HarnessBasics
import Reports
import RunRecord
import Verification

/// `verify`: reaches a run's verdict again, from its record alone.
package struct VerifyCommand: ParsableCommand {
    package static let configuration = CommandConfiguration(
        commandName: "verify",
        abstract: "Reach the verdict on a recorded run again, with no guest.",
        discussion: """
            Checks the record's digests, judges its snapshots anew, and holds the verdicts against the recorded ones. Needs \
            neither libvirt nor QEMU, and works on a record from another machine.

            Exit codes: 0 everything verified is right, and is what was recorded; 1 there are findings; 2 the record is \
            damaged, cut off, or none, or its run did not come to its end; 4 a witness left something unsaid, or nothing was \
            verified; 64 wrong use.
            """
    )

    /// A command that is not parsed yet.
    package init() {}

    @Argument(
        help: ArgumentHelp("A run's directory, 'latest' in a runs directory, or a snapshot's file.", valueName: "run"))
    var path: String

    @Flag(help: "Print the results as JSON, in the form of results.json, instead of the table.")
    var json = false

    /// Verifies, and ends with the exit code that follows.
    package func run() throws {
        let url = URL(filePath: path)
        var isDirectory: ObjCBool = false
        // SAFETY: the flag lives for the length of the call, which fills it in.
        guard unsafe FileManager.default.fileExists(atPath: url.path, isDirectory: &isDirectory) else {
            throw HarnessError.usage("no run at \(path): there is no such directory or file")
        }
        let verification =
            isDirectory.boolValue ? RecordVerification(directory: url) : RecordVerification(snapshot: url)
        if json {
            try? FileHandle.standardOutput.write(contentsOf: RunDirectory.json(verification.results))
        } else {
            let table = ResultTable(
                results: verification.results, information: verification.information,
                record: url.resolvingSymlinksInPath())
            let isColored = Terminal.isColored(
                STDOUT_FILENO, environment: ProcessInfo.processInfo.environment)
            try? FileHandle.standardOutput.write(contentsOf: Data(table.text(isColored: isColored).utf8))
        }
        for problem in verification.problems { Terminal.tell("\(problem)") }
        if let ending = Self.ending(verification) { Terminal.tell(ending) }
        let status = verification.results.outcome.exitCodeOfVerification
        if status != ExitStatus.passed { throw ExitCode(status) }
    }

    /// How a run ended that something other than the guest's memory map ended, and what is proved all the same.
    private static func ending(_ verification: RecordVerification) -> String? {
        guard let information = verification.information, let outcome = information.outcome,
            [.error, .interrupted].contains(outcome)
        else { return nil }
        let verdicts = verification.results.steps.compactMap(\.verdict)
        let why = information.error.map { ": \($0)" } ?? ""
        return "the run itself ended with '\(outcome.rawValue)'\(why); of its \(verdicts.count) verifications "
            + "\(verdicts.count(where: \.hasPassed)) passed, judged anew"
    }
}
