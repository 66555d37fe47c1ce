// SPDX-License-Identifier: Apache-2.0

import ArgumentParser

/// `prune`: ends and removes what dead runs left behind.
struct PruneCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "prune",
        abstract: "End guests and remove files of runs whose process has died.",
        discussion: "Every other command does the same before it begins, except for guests that were kept on purpose."
    )

    @Flag(help: "Also end guests that were left running with 'run --keep'.")
    var kept = false

    @Flag(help: "Say what would be removed, and remove nothing.")
    var dryRun = false

    func run() throws {
        for identifier in try Workplace.prune(includingKept: kept, isDryRun: dryRun) {
            print("\(dryRun ? "would remove" : "removed") what run \(identifier) left")
        }
    }
}
