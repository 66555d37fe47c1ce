// SPDX-License-Identifier: Apache-2.0

package import ArgumentParser
import Foundation
import HarnessBasics
import Reports
import RunRecord

/// `logs`: what happened in a run, in order of time.
package struct LogsCommand: AsyncParsableCommand {
    package static let configuration = CommandConfiguration(
        commandName: "logs",
        abstract: "Print a run's steps, its guest's log and its findings, in order of time.",
        discussion: """
            Times are seconds since the run began. The guest's lines are put where its clock and the events of its agent say; \
            before its agent has spoken, and after it has been silent, that is an estimate.

            Exit codes: 0 printed, and the run that was followed has ended; 2 the record is damaged or none, or the run that was \
            followed was killed; 64 wrong use.
            """
    )

    /// A command that is not parsed yet.
    package init() {}

    @Argument(help: RunsFolderOptions.recordHelp)
    var record = "latest"

    @Flag(name: .shortAndLong, help: "Go on as the run does, and end with it.")
    var follow = false

    @OptionGroup var options: RunsFolderOptions

    @Flag(help: "Print a JSON object a line.")
    var json = false

    /// Prints.
    package func run() async throws {
        let directory = try options.record(record)
        do {
            let log = try RunLog(of: directory)
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
            while true {
                // Asked first: whatever was written before the run's end is read behind it.
                let summary = RecordSummary(of: directory)
                let state = summary.state
                while let line = try log.next() { try Self.print(line, json ? encoder : nil) }
                guard follow, state == .running else {
                    for line in log.rest() { try Self.print(line, json ? encoder : nil) }
                    if state == .cutOff { Terminal.tell("the run was killed: its record has no end") }
                    if let problem = summary.problem { Terminal.tell(problem) }
                    if state == .damaged || state == .cutOff && follow { throw ExitCode(ExitStatus.infrastructure) }
                    return
                }
                try await Task.sleep(for: .milliseconds(200))
            }
        } catch let problem as RecordProblem {
            throw HarnessError.infrastructure("cannot print the log of \(record): \(problem)")
        }
    }

    /// A reader that has gone ends it: there is nobody to go on for.
    private static func print(_ line: RunLog.Line, _ encoder: JSONEncoder?) throws {
        let data = try encoder.map { try $0.encode(line) + Data([0x0a]) } ?? Data(line.text.utf8)
        do {
            try FileHandle.standardOutput.write(contentsOf: data)
        } catch {
            throw ExitCode(ExitStatus.passed)
        }
    }
}

extension RunLog.Line {
    /// What a person reads.
    fileprivate var text: String {
        let time = String(format: "%10.3f", time)
        let word = source.rawValue.padding(toLength: 7, withPad: " ", startingAt: 0)
        return Terminal.printable("\(time)  \(word)  \(message.replacing("\n", with: " "))") + "\n"
    }
}
