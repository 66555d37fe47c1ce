// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import HarnessBasics
import OfflineCommands
import RunFixture
import RunRecord

/// `prune`: ends and removes what dead runs left behind.
struct PruneCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "prune",
        abstract: "End guests and remove files of runs whose process has died.",
        discussion: """
            'run' does the same before it begins, except for guests that were kept on purpose.

            Exit codes: 0 nothing is left; 2 something is left that cannot be removed; 64 wrong use.
            """
    )

    @Flag(help: "Also end guests that were left running with 'run --keep'.")
    var kept = false

    @Flag(help: "Say what would be removed, and remove nothing.")
    var dryRun = false

    func run() async throws {
        let removal = await RunFixture.prune(includingKept: kept, isDryRun: dryRun)
        for id in removal.removed {
            print("\(dryRun ? "would remove" : "removed") what run \(id) left")
        }
        for (id, error) in removal.failures {
            Terminal.tell("cannot remove all that run \(id) left: \(error)")
        }
        if !removal.failures.isEmpty { throw ExitCode(ExitStatus.infrastructure) }
    }
}
