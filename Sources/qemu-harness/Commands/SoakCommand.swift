// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Exploration
import Foundation
import Guests
import HarnessBasics
import Libvirt
import OfflineCommands
import Plans
import RunFixture
import RunRecord
import Runs
import SystemPackage

/// `soak`: the main job again and again, with plans that nobody wrote.
struct SoakCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "soak",
        abstract: "Plug and unplug memory at random, verify after each change, and make what fails small.",
        discussion: """
            Takes one history after another until its time is up, or Ctrl-C. Each is a plan that follows from seed and \
            number alone, and is run as 'run' runs it. One that fails is made as small as it can be and still fail; \
            what a guest may refuse is told and no failure.

            Examples:
              qemu-harness soak --for 8h --kernel path/to/vmlinux --cpu POWER8 --cpu POWER9
              qemu-harness soak --runs 20 --allocation-failures --kernel 6.12-4k
              qemu-harness soak --seed 42 --from 17 --runs 1 --keep-clean

            \(ExitStatus.help)
            """
    )

    @Option(
        name: .customLong("for"),
        help: ArgumentHelp(
            "Begin histories for so long: 30s, 10min, 8h. (default: until Ctrl-C, or --runs)", valueName: "time"),
        transform: Self.duration)
    var duration: Duration?

    @Option(help: ArgumentHelp("Take so many histories.", valueName: "count"))
    var runs: Int?

    @Option(help: ArgumentHelp("What all histories follow from. (default: a new one)", valueName: "number"))
    var seed: UInt64?

    @Option(help: ArgumentHelp("Begin with this history, counted from 1.", valueName: "number"))
    var from = 1

    @Option(
        help: ArgumentHelp(
            "Kernel, as 'run' takes it; repeat for more, which take turns. (default: 6.1)", valueName: "path|name"))
    var kernel: [String] = []

    @Option(
        help: ArgumentHelp(
            "CPU model; repeat for more, which take turns with each kernel. (default: POWER8 and POWER9)",
            valueName: "cpu"),
        transform: { try RunCommand.cpuModel($0).rawValue })
    var cpu: [String] = []

    @Option(help: ArgumentHelp("Changes in each history, each of which is verified.", valueName: "count"))
    var steps = 16

    @Flag(help: "Have guests run out of the memory that their kernels need for a plug.")
    var allocationFailures = false

    @Flag(help: "Keep the records of histories in which everything is right.")
    var keepClean = false

    @Option(help: ArgumentHelp("Plans to try to make a history that fails smaller.", valueName: "count"))
    var shrinkTries = 60

    @Option(help: ArgumentHelp("Directory for the soak's folder.", valueName: "directory"))
    var output = "runs"

    @Flag(help: "Print one JSON document instead of the summary.")
    var json = false

    @Option(help: "Progress on stderr: auto, plain or none.")
    var progress: ProgressLine.Style = .auto

    @Option(help: ArgumentHelp("Stretch every time limit by this factor, for slow machines.", valueName: "factor"))
    var slowdown = 1.0

    /// A time as a person writes it.
    static func duration(_ text: String) throws -> Duration {
        let digits = text.prefix { $0.isASCII && $0.isNumber }
        let units = ["s": 1, "min": 60, "h": 3600]
        guard let number = Int(digits), let unit = units[String(text.dropFirst(digits.count))],
            1...1_000_000 ~= number
        else { throw ValidationError("'\(text)' is no time such as 30s, 10min or 8h") }
        return .seconds(number * unit)
    }

    func validate() throws {
        try RunCommand.check(slowdown: slowdown)
        for (name, value, range) in [
            ("--runs", runs ?? 1, 1...1_000_000_000), ("--from", from, 1...1_000_000_000),
            ("--steps", steps, 1...HistoryGenerator.changeLimit), ("--shrink-tries", shrinkTries, 0...10_000),
        ] where !range.contains(value) {
            throw ValidationError("\(name) \(value) is outside \(range.lowerBound) to \(range.upperBound)")
        }
        // The journal has it as a number, of which JSON readers lose the rest.
        guard seed ?? 0 < 1 << 53 else { throw ValidationError("--seed is not less than 2^53") }
    }

    func run() async throws {
        let environment = ProcessInfo.processInfo.environment
        let images = try images(environment)
        let (kernels, cpus) = (kernels, cpu.isEmpty ? ["POWER8", "POWER9"] : cpu)
        let generator = HistoryGenerator(
            seed: seed ?? .random(in: 0...UInt64(UInt32.max)),
            subjects: kernels.flatMap { kernel in cpus.map { Subject(kernel: kernel, cpu: $0) } },
            changeCount: steps, hasAllocationFailures: allocationFailures)
        let bounds = Soak.Bounds(
            first: from, historyCount: runs, duration: duration, shrinkTryLimit: shrinkTries, keepsClean: keepClean)
        let (parent, observer, slowdown) = (URL(filePath: output), SoakProgress(style: progress), slowdown)
        let (commandLine, options) = (CommandLine.arguments, repeated)
        Terminal.tell("seed \(generator.seed)")

        let (summary, folder, code) = try await Interrupts.watching { interrupts in
            await RunCommand.removeLeftovers()
            let id = RunID.random()
            let journal = try Self.journal(of: id, in: parent)
            let root = try PrivateRoot(
                id: id, capabilitiesCache: GuestImages.capabilitiesCache(environment),
                libvirtLog: FilePath(journal.libvirtLog.path))
            let soak = Soak(generator, bounds: bounds, journal: journal, observer: observer) {
                plan, name, endsAtFailure, tally in
                let guest = try images.configuration(of: plan)
                try guest.memoryDemand.check(
                    memoryFolder: ConnectionTarget.embedded.memoryFolder(environment: environment),
                    tell: Terminal.tell)
                let record = try RunCommand.record(named: "\(name)-\(id)", in: journal.url)
                let runner = Runner(
                    plan: plan, steps: plan.runSteps(guest, keepsGuest: false), configuration: guest,
                    timeouts: Timeouts(factor: slowdown), observers: [tally], keepsGuest: false,
                    endsAtFailure: endsAtFailure)
                return await runner.run(
                    in: RunFixture(sharing: root), record: record, interrupts: interrupts, commandLine: commandLine)
            }
            let summary = await soak.run(commandLine: commandLine, options: options)
            do {
                try root.remove()
            } catch {
                Terminal.tell("cannot remove all that the soak has left: \(error)")
            }
            return (summary, journal.url, interrupts.exitCode)
        }
        if let error = summary.error { Terminal.tell(error) }
        if json {
            RunCommand.show(try RunDirectory.json(summary))
        } else {
            let text = SoakText(summary: summary, folder: folder).text()
            RunCommand.show(Data(text.utf8))
        }
        let status = code ?? summary.outcome?.exitCode() ?? ExitStatus.infrastructure
        if status != ExitStatus.passed { throw ExitCode(status) }
    }

    var kernels: [String] { kernel.isEmpty ? [RunCommand.defaultKernel] : kernel }

    /// The options that make the same histories, beside seed and numbers.
    private var repeated: [String] {
        kernel.flatMap { ["--kernel", $0] } + cpu.flatMap { ["--cpu", $0] } + ["--steps", "\(steps)"]
            + (allocationFailures ? ["--allocation-failures"] : [])
    }

    /// The files that guests boot from, all of which are looked at before the first one boots.
    private func images(_ environment: [String: String]) throws -> SoakImages {
        var images = SoakImages()
        for name in kernels {
            let kernel = try GuestImages.kernel(named: name, environment: environment)
            let order = try GuestImages.byteOrder(ofKernel: kernel)
            images.add(
                kernel, named: name,
                initramfs: try GuestImages.initramfs(order, environment: environment, executable: Program.executable))
            try RunCommand.refusePathsThatNoDomainCanName(folder: ("--output", output), kernel: kernel)
            let guest = try images.configuration(
                of: HistoryGenerator(
                    seed: 0, subjects: [Subject(kernel: name, cpu: cpu.first ?? "POWER8")], changeCount: 1,
                    hasAllocationFailures: false
                ).plan(number: 1))
            try RunCommand.refuseWhatDoctorWouldFail(environment, kernel: name, guest)
        }
        return images
    }

    /// Makes the soak's folder; one without a journal is not begun.
    private static func journal(of id: RunID, in parent: URL) throws -> SoakJournal {
        do {
            return try SoakJournal(parent: parent, identifier: id.description, startedAt: Date())
        } catch {
            throw HarnessError.infrastructure(
                "cannot make a folder for the soak in \(parent.path): \(error.localizedDescription)")
        }
    }
}

/// Kernels by the names that histories have for them, each with the agent's initramfs for it.
private struct SoakImages {
    private var files: [String: (kernel: URL, initramfs: URL)] = [:]

    mutating func add(_ kernel: URL, named name: String, initramfs: URL) {
        files[name] = (kernel, initramfs)
    }

    func configuration(of plan: Plan) throws -> GuestConfiguration {
        guard let name = plan.guest.kernel, let (kernel, initramfs) = files[name] else {
            throw HarnessError.usage("the plan names no kernel of the soak's")
        }
        return try GuestConfiguration(plan, kernel: kernel, initramfs: initramfs)
    }
}
