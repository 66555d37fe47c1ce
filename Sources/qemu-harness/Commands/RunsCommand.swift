// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Foundation
import HarnessBasics
import OfflineCommands
import RunFixture
import RunRecord

/// `runs`: the records that there are.
struct RunsCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "runs",
        abstract: "List, show and remove the records of runs.",
        subcommands: [RunsListCommand.self, RunsShowCommand.self, RunsPruneCommand.self],
        defaultSubcommand: RunsListCommand.self
    )
}

/// `runs prune`: removes records. What dead runs left outside of theirs is `prune`'s.
struct RunsPruneCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "prune",
        abstract: "Remove old records.",
        discussion: """
            Removes records of runs that have ended, cut-off and damaged ones among them, which are older than --older-than and \
            not among the newest --keep-last. A run that goes on, a guest that was kept, and a folder that somebody has renamed \
            are left alone; so is the newest record of a run that failed, unless --last-failing is given. Guests and files that \
            dead runs left outside of their records are another matter: 'qemu-harness prune' removes those, and no record.

            Examples:
              qemu-harness runs prune --older-than 30d --dry-run
              qemu-harness runs prune --older-than 7d --keep-last 20

            Exit codes: 0 they are removed; 2 one cannot be removed; 64 wrong use.
            """
    )

    @OptionGroup var options: RunsFolderOptions

    @Option(help: ArgumentHelp("Remove what began longer ago: a number and m, h, d or w.", valueName: "age"))
    var olderThan: Age?

    @Option(help: ArgumentHelp("Keep so many of the newest records.", valueName: "number"))
    var keepLast: Int?

    @Flag(help: "Also remove the newest record of a run that failed.")
    var lastFailing = false

    @Flag(help: "Say what would be removed, and remove nothing.")
    var dryRun = false

    @Flag(help: "Print it as JSON.")
    var json = false

    /// What was done, as a program reads it.
    private struct Document: Encodable {
        struct Kept: Encodable {
            var run: String
            var reason: RunPruning.Reason
        }

        var isDryRun: Bool
        var removed: [String]
        var kept: [Kept]
        var failed: [String: String]
    }

    func validate() throws {
        guard olderThan != nil || keepLast != nil else {
            throw ValidationError("say which records go: --older-than or --keep-last")
        }
        if let keepLast, !(0...1_000_000).contains(keepLast) {
            throw ValidationError("--keep-last \(keepLast) is outside 0 to 1000000")
        }
    }

    func run() async throws {
        let folder = try options.folder()
        // Nothing is removed by a dry run: it tells whose guests are there.
        let leftovers = await RunFixture.prune(includingKept: true, isDryRun: true)
        let pruning = RunPruning(
            folder, olderThan: olderThan.map { Date(timeIntervalSinceNow: -$0.seconds) }, keepLast: keepLast,
            removesLastFailing: lastFailing, keptGuests: Set(leftovers.removed.map(\.description)))
        var document = Document(
            isDryRun: dryRun, removed: [], kept: pruning.kept.map { .init(run: $0.name, reason: $0.reason) },
            failed: [:])
        for name in pruning.removed {
            do {
                if !dryRun { try RunDirectory.discard(folder.url.appending(path: name)) }
                document.removed.append(name)
            } catch {
                document.failed[name] = error.localizedDescription
            }
        }
        if json {
            RunCommand.show(try RunDirectory.json(document))
        } else {
            for name in document.removed { print("\(dryRun ? "would remove" : "removed") \(Terminal.printable(name))") }
            for kept in document.kept { print("kept \(Terminal.printable(kept.run)): \(kept.reason.text)") }
        }
        for (name, reason) in document.failed.sorted(by: { $0.key < $1.key }) {
            Terminal.tell("cannot remove \(name): \(reason)")
        }
        if !document.failed.isEmpty { throw ExitCode(ExitStatus.infrastructure) }
    }
}

extension RunPruning.Reason {
    /// What a person reads.
    fileprivate var text: String {
        switch self {
        case .running: "its run goes on"
        case .guestKept: "its guest may run on; 'qemu-harness prune --kept' ends it"
        case .lastFailing: "it is the newest that failed; --last-failing removes it"
        case .renamed: "its folder has no run's name"
        }
    }
}
