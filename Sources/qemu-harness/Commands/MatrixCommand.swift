// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Foundation
import HarnessBasics
import Libvirt
import OfflineCommands
import Plans
import Reports
import RunFixture
import RunRecord
import Runs
import SystemPackage
import Verification

/// `matrix`: the main job for many kernels, CPU models and plans.
struct MatrixCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "matrix",
        abstract: "Take plans on kernels and CPU models, as many guests at once as there is room for.",
        discussion: """
            Each cell is a run as 'run' makes it, in a process of its own; one that fails stops no other. A plan that settles its \
            kernel or CPU model is taken with that one alone. All is in one folder: the records, a report of each run, and \
            index.html, junit.xml and matrix.ktap of all of them, which 'report' makes anew. Ctrl-C ends all, and --resume goes on.

            Which shard is taken is said by --shard, or by an engine in the environment (Slurm's job arrays, Kubernetes's indexed \
            jobs with JOB_COMPLETIONS, TEST_SHARD_INDEX, CI_NODE_INDEX); 'merge' joins what the shards leave.

            Examples:
              qemu-harness matrix unplug-replug kdump --kernel 6.1 --kernel 6.12-4k
              qemu-harness matrix --cells matrix.yaml --shard 2/4 --retry-infrastructure 1
              qemu-harness matrix --resume runs/matrix-20261129T020412Z-abcdefgh

            \(ExitStatus.help)
            """
    )

    @Argument(help: ArgumentHelp("Plans, as 'run' takes them.", valueName: "plan"))
    var plan: [String] = []

    @Option(
        help: ArgumentHelp("Kernel, as 'run' takes it; repeat for more. (default: 6.1)", valueName: "path|name"))
    var kernel: [String] = []

    @Option(
        help: ArgumentHelp("CPU model; repeat for more. (default: POWER8 and POWER9)", valueName: "cpu"),
        transform: { try RunCommand.cpuModel($0).rawValue })
    var cpu: [String] = []

    @Option(
        help: ArgumentHelp(
            "A YAML file with kernels, cpus, plans, and what to exclude; what it leaves out, the options say.",
            valueName: "path"))
    var cells: String?

    @Option(help: ArgumentHelp("Virtual CPUs that run at once. (default: one a core)", valueName: "count"))
    var jobs: Int?

    @Option(
        help: ArgumentHelp(
            "Take a cell so many times more when libvirt, QEMU or the guest kept it from a verdict; one with findings, never.",
            valueName: "count"))
    var retryInfrastructure = 0

    @Option(
        help: ArgumentHelp("Take only this part of the cells; 1/1 for all.", valueName: "k/n"), transform: Self.shard)
    var shard: Shard?

    @Option(
        help: ArgumentHelp(
            "The folder of an earlier matrix, by whose durations shards are balanced. (default: by numbers of steps)",
            valueName: "directory"))
    var durations: String?

    @Option(help: ArgumentHelp("Go on with the matrix in this folder.", valueName: "directory"))
    var resume: String?

    @Option(help: ArgumentHelp("Directory for the matrix's folder.", valueName: "directory"))
    var output = "runs"

    @Option(help: ArgumentHelp("libvirt to use, as 'run' takes it.", valueName: "uri"))
    var connect: String?

    @Option(help: ArgumentHelp("QEMU to use, as 'run' takes it.", valueName: "path"))
    var qemu: String?

    @Option(help: ArgumentHelp("A witness that may leave something unsaid; repeat for more.", valueName: "witness"))
    var allowUnsaid: [Witness] = []

    @Option(help: ArgumentHelp("Stretch every time limit by this factor, for slow machines.", valueName: "factor"))
    var slowdown = 1.0

    @Flag(help: "Print one JSON document instead of the table.")
    var json = false

    @Option(help: "Progress on stderr: auto, plain or none.")
    var progress: ProgressLine.Style = .auto

    @Flag(help: "Print the cells and how many guests run at once, and do nothing.")
    var dryRun = false

    static func shard(_ text: String) throws -> Shard {
        guard let shard = Shard(text) else {
            throw ValidationError("--shard '\(text)' is no k/n, 1/1 to \(Shard.countLimit)/\(Shard.countLimit)")
        }
        return shard
    }

    func validate() throws {
        try RunCommand.check(slowdown: slowdown)
        for (name, value, range) in [
            ("--jobs", jobs ?? 1, 1...4096), ("--retry-infrastructure", retryInfrastructure, 0...100),
        ] where !range.contains(value) {
            throw ValidationError("\(name) \(value) is outside \(range.lowerBound) to \(range.upperBound)")
        }
        let hasCells = !plan.isEmpty || !kernel.isEmpty || !cpu.isEmpty || cells != nil
        let hasOptions = connect != nil || qemu != nil || !allowUnsaid.isEmpty || slowdown != 1
        guard !(json && dryRun) else { throw ValidationError("--dry-run prints a table alone") }
        guard resume == nil || !(hasCells || hasOptions || shard != nil || durations != nil || dryRun) else {
            throw ValidationError("--resume goes on with the cells and the options that the matrix has")
        }
    }

    func run() async throws {
        let environment = ProcessInfo.processInfo.environment
        let work = try resume.map { try resumed($0, environment) } ?? begun(environment)
        let capacity = MatrixCapacity.ofMachine(
            memoryFolder: work.cells.first?.memoryFolder, jobs: jobs)
        Terminal.tell(capacity.text)
        if dryRun { return RunCommand.show(Data(MatrixListing(work.cells.map(\.cell)).text.utf8)) }

        let journal = try work.journal()
        let (progress, retryLimit, runOptions) = (progress, retryInfrastructure, work.information.runOptions)
        let observer = MatrixProgress(
            work.cells.map(\.cell), stepCounts: work.stepCounts, style: progress)
        let (failure, code): (String?, Int32?) = try await Interrupts.watching { interrupts in
            // Held as long as this process lives: when it has gone, the runs end.
            let pipe = try FileDescriptor.pipe()
            defer { try? pipe.readEnd.close() }
            let running = RunningProcesses()
            interrupts.onSecondSignal { running.interrupt() }
            let runner = MatrixRunner(
                capacity: capacity, demands: work.demands, retryLimit: retryLimit, journal: journal, observer: observer
            ) { cell, attempt in
                let process = CellProcess(
                    cell: cell, attempt: attempt, folder: journal.url,
                    options: work.options(of: cell) + runOptions, input: pipe.readEnd,
                    running: running)
                return await Self.taken(process, telling: observer)
            }
            let ticker = Task { await observer.tick() }
            var failure: String?
            do {
                try await runner.run(work.waiting) { RunID.random().description }
            } catch {
                failure = "\(error)"
            }
            ticker.cancel()
            await ticker.value
            try pipe.writeEnd.close()
            return (failure, interrupts.exitCode)
        }
        if let failure { Terminal.tell(failure) }
        try MatrixEnd(journal: journal, isJSON: json).finish(signalCode: code, hasFailed: failure != nil)
    }

    /// Takes a cell's run while its record is watched.
    private static func taken(_ process: CellProcess, telling observer: MatrixProgress) async -> MatrixEnding {
        let watch = CellWatch(process.cell, process.attempt, in: process.folder, telling: observer)
        let watcher = Task { await watch.watch() }
        let ending = await process.run()
        watcher.cancel()
        await watcher.value
        return ending
    }
}
