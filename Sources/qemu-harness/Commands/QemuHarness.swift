// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Foundation
import HarnessBasics
import OfflineCommands
import RunRecord

/// The program: its commands, and the one place where an ending becomes an exit code.
@main
struct QemuHarness: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "qemu-harness",
        abstract: "Verifies the vmemmap bookkeeping of a ppc64 Linux kernel while memory is plugged.",
        discussion: """
            Boots a real guest under libvirt, plugs memory, and holds the mirror that an agent in the guest keeps, the \
            kernel's own list, the guest's report and the MMU against each other, page by page.

            \(ExitStatus.help)
            """,
        version: Program.version,
        subcommands: [
            RunCommand.self, MatrixCommand.self, SoakCommand.self, PlanCommand.self, DoctorCommand.self,
            PruneCommand.self,
            EmulateCommand.self,
            VerifyCommand.self, ReportCommand.self, RunsCommand.self, MergeCommand.self, LogsCommand.self,
            CompareCommand.self,
            InspectCommand.self, ExplainCommand.self, ScoreCommand.self, NeedsCommand.self,
        ],
        defaultSubcommand: RunCommand.self
    )

    static func main() async {
        // A reader that has gone and a file that may not grow are errors of the write, and no death of the program.
        for number in [SIGPIPE, SIGXFSZ] { signal(number, SIG_IGN) }
        do {
            var command = try parseAsRoot()
            if var asyncCommand = command as? any AsyncParsableCommand {
                try await asyncCommand.run()
            } else {
                try command.run()
            }
        } catch HarnessError.usage(let message) {
            fail(message, ExitStatus.usage)
        } catch let error where error is ExitCode || exitCode(for: error) != .failure {
            // ArgumentParser's own: help and version (0), wrong arguments (64), and the codes that commands end with.
            guard isBisecting else { exit(withError: error) }
            // Help says no more about a kernel than wrong arguments do.
            guard let code = error as? ExitCode else { fail(fullMessage(for: error), ExitStatus.usage) }
            leave(code.rawValue)
        } catch {
            // An error that nobody thought of is no finding, which is what ArgumentParser's code for it would say.
            fail("\(error)", ExitStatus.infrastructure)
        }
    }

    /// Whether the command line asks for the exit codes of `git bisect run`. It may be one that cannot be parsed.
    private static var isBisecting: Bool {
        CommandLine.arguments.dropFirst().prefix { $0 != "--" }.contains { $0.hasPrefix("--bisect") }
    }

    private static func fail(_ message: String, _ status: Int32) -> Never {
        Terminal.tell(message)
        leave(status)
    }

    private static func leave(_ status: Int32) -> Never {
        Foundation.exit(isBisecting ? ExitStatus.forBisection(status) : status)
    }
}
