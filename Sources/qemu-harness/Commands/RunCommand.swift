// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Foundation
import Guests
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

/// `run`: the main job.
struct RunCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "run",
        abstract: "Boot a guest, plug memory, and verify before and after.",
        discussion: """
            Without a plan: the options' own. Without options: 1 GiB at boot, 1 GiB plugged, on POWER8 (hash MMU).

            What a plan settles no option can say again, not even the same. --plug and --unplug never go with a plan.

            Examples:
              qemu-harness run --cpu POWER9 --plug 4GiB --unplug 1
              qemu-harness run unplug-replug --kernel path/to/vmlinux
              qemu-harness run path/to/plan.yaml --json --progress none | jq .outcome

            \(ExitStatus.help)
            """
    )

    @Argument(
        help: ArgumentHelp("A plan's file, or the name of a ready plan, as 'plan list' shows them.", valueName: "plan"))
    var plan: String?

    @Option(
        help: ArgumentHelp(
            "CPU model: POWER8 has the hash MMU; POWER9 and POWER10 use radix unless told otherwise. (default: POWER8)"
        ),
        transform: Self.cpuModel)
    var cpu: DomainDescription.CPUModel?

    @Option(
        help: ArgumentHelp(
            "Kernel: a vmlinux file, or a name that scripts/guest-kernel knows. (default: 6.1)", valueName: "path|name")
    )
    var kernel: String?

    @Option(help: ArgumentHelp("Memory at boot, a multiple of 256MiB. (default: 1GiB)", valueName: "size"))
    var memory: ByteCount?

    @Option(
        help: ArgumentHelp(
            "Memory to plug as one DIMM, a multiple of 256MiB; repeat for more DIMMs. (default: 1GiB)",
            valueName: "size"))
    var plug: [ByteCount] = []

    @Option(
        help: ArgumentHelp(
            "After the plugs, unplug a DIMM by its number, counted from 1 in the order of --plug; repeat for more.",
            valueName: "number"))
    var unplug: [Int] = []

    @Option(help: ArgumentHelp("Words to add to the kernel's command line.", valueName: "text"))
    var append: String?

    @Option(help: ArgumentHelp("Virtual CPUs. (default: 1)", valueName: "count"))
    var vcpus: Int?

    @Option(
        help: ArgumentHelp(
            "libvirt to use: qemu:///embed, qemu:///session or qemu:///system; LIBVIRT_DEFAULT_URI says it as well. "
                + "(default: qemu:///embed)",
            valueName: "uri"))
    var connect: String?

    @Option(
        help: ArgumentHelp(
            "QEMU to use: a qemu-system-ppc64. (default: the one that libvirt finds)", valueName: "path"),
        transform: Self.emulator)
    var qemu: FilePath?

    @Option(
        help: ArgumentHelp(
            "A witness that may leave something unsaid without making the run incomplete (exit code 4); repeat for more.",
            valueName: "witness"))
    var allowUnsaid: [Witness] = []

    @Option(help: ArgumentHelp("Directory for the record of the run.", valueName: "directory"))
    var runsDir = "runs"

    @Option(
        help: ArgumentHelp(
            "Write a report of the run when it has ended, in a format of 'report'; repeat for more.",
            valueName: "format=path"))
    var report: [ReportTarget] = []

    @Flag(help: "Print one JSON document instead of the table: results.json, the record's directory, and run.json.")
    var json = false

    @Option(help: "Progress on stderr: auto, plain or none.")
    var progress: ProgressLine.Style = .auto

    @Option(help: ArgumentHelp("Stretch every time limit by this factor, for slow machines.", valueName: "factor"))
    var slowdown = 1.0

    @Flag(help: "Leave the guest running afterwards; 'qemu-harness prune --kept' ends it.")
    var keep = false

    @Flag(help: "Keep the dumps of a plan's dump steps in the record, under dumps/.")
    var keepDumps = false

    @Flag(help: "Print the domain's XML and the plan as it would be run, and do nothing.")
    var dryRun = false

    static func cpuModel(_ name: String) throws -> DomainDescription.CPUModel {
        guard let model = DomainDescription.CPUModel(rawValue: name) else {
            let known = DomainDescription.CPUModel.allCases.map(\.rawValue).joined(separator: ", ")
            throw ValidationError("no CPU model '\(name)'; there are \(known)")
        }
        return model
    }

    @Flag(
        help: ArgumentHelp(
            "End with the exit codes of 'git bisect run': 0 good, 1 bad (there are findings), 125 for everything that says "
                + "nothing about the kernel."))
    var bisect = false

    @Option(
        help: ArgumentHelp("Of a cell of a matrix: its run's identifier.", visibility: .hidden), transform: Self.cell)
    var cell: RunID?

    private static func cell(_ text: String) throws -> RunID {
        do {
            return try RunID(text)
        } catch {
            throw ValidationError("\(error)")
        }
    }

    /// The program that `--qemu` names, as libvirt takes it: from the root, as it was named.
    static func emulator(_ path: String) throws -> FilePath {
        let file = URL(filePath: path).absoluteURL.standardizedFileURL
        var isDirectory: ObjCBool = false
        // SAFETY: the flag lives for the length of the call, which fills it in.
        guard unsafe FileManager.default.fileExists(atPath: file.path, isDirectory: &isDirectory),
            !isDirectory.boolValue,
            FileManager.default.isExecutableFile(atPath: file.path)
        else { throw ValidationError("--qemu \(path) is no program") }
        return FilePath(file.path)
    }

    func validate() throws {
        guard !(bisect && dryRun) else {
            throw ValidationError("--bisect cannot go with --dry-run, which tests no kernel")
        }
        try Self.check(slowdown: slowdown)
    }

    static func check(slowdown: Double) throws {
        guard slowdown.isFinite, 0.1...1000 ~= slowdown else {
            throw ValidationError("--slowdown \(slowdown) is outside 0.1 to 1000")
        }
    }

    /// The run that the command line asks for, of which nothing has been made yet.
    struct Prepared {
        var plan: Plan
        /// The kernel, as the plan names it.
        var kernel: String
        var guest: GuestConfiguration
        var connection: ConnectionTarget
    }

    /// Reads and checks all that a run takes, and makes nothing.
    func prepared(_ environment: [String: String]) throws -> Prepared {
        let plan = try resolvedPlan(environment)
        let kernel = plan.guest.kernel ?? Self.defaultKernel
        let kernelFile = try GuestImages.kernel(named: kernel, environment: environment)
        let order = try GuestImages.byteOrder(ofKernel: kernelFile)
        var guest = try GuestConfiguration(
            plan, kernel: kernelFile,
            initramfs: GuestImages.initramfs(order, environment: environment, executable: Program.executable),
            tools: GuestTools(for: plan, order, environment: environment))
        try Self.refusePathsThatNoDomainCanName(folder: ("--runs-dir", runsDir), kernel: kernelFile)
        guest.emulator = qemu
        return Prepared(
            plan: plan, kernel: kernel, guest: guest,
            connection: try ConnectionTarget(option: connect, environment: environment, tell: Terminal.tell))
    }

    func run() async throws {
        let environment = ProcessInfo.processInfo.environment
        let prepared = try prepared(environment)
        let (plan, guest, connection) = (prepared.plan, prepared.guest, prepared.connection)
        if dryRun { return try Self.show(guest, plan) }
        try Self.refuseWhatDoctorWouldFail(environment, kernel: prepared.kernel, guest)

        try ReportTarget.check(report)

        let runner = Runner(
            plan: plan, steps: plan.runSteps(guest, keepsGuest: keep), configuration: guest,
            timeouts: Timeouts(factor: slowdown), observers: [RunProgress(style: progress)], keepsGuest: keep,
            keepsDumps: keepDumps, allowedUnsaid: allowUnsaid)
        let fixture = RunFixture(
            id: cell ?? .random(), capabilitiesCache: GuestImages.capabilitiesCache(environment),
            connection: connection,
            emulator: qemu)
        let (memory, runsFolder) = (guest.memoryDemand, URL(filePath: runsDir))
        let keptByteCount = keepDumps ? guest.dumpAreaByteCount : nil
        let isCell = cell != nil
        // What is the matrix's own stands behind the cell's identifier, and is no part of what a person repeats.
        let commandLine = Array(CommandLine.arguments.prefix { !isCell || $0 != "--cell" })
        let ending = try await Interrupts.watching { interrupts in
            if isCell { Interrupts.terminateAtEndOfInput() }
            await Self.removeLeftovers()
            try memory.check(
                memoryFolder: connection.memoryFolder(environment: environment), tell: Terminal.tell)
            let record = try Self.record(named: fixture.id.description, in: runsFolder)
            if let byteCount = keptByteCount {
                Terminal.tell(
                    "each dump is kept in \(record.url.path)/dumps, up to \(ByteCount(byteCount).text) of data")
            }
            return await runner.run(in: fixture, record: record, interrupts: interrupts, commandLine: commandLine)
        }
        // What kept the run from a verdict comes first: the verdict is what a person sees last.
        if let error = ending.results.error { Terminal.tell(error) }
        if let leftover = ending.leftover { Terminal.tell(leftover) }
        if ending.isGuestKept { Terminal.tell("the guest runs on; 'qemu-harness prune --kept' ends it") }
        if json {
            Self.show(try RunDirectory.json(RunSummary(ending)))
        } else {
            let table = ResultTable(
                results: ending.results, information: ending.information, record: ending.directory)
            Self.show(Data(table.text(isColored: Terminal.isColored(STDOUT_FILENO, environment: environment)).utf8))
        }
        ReportTarget.write(report, of: ending.directory)
        if ending.exitCode != ExitStatus.passed { throw ExitCode(ending.exitCode) }
    }

    /// Removes what dead runs left, and says so; what cannot be removed is no reason not to run.
    static func removeLeftovers() async {
        let removal = await RunFixture.prune()
        for id in removal.removed { Terminal.tell("removed what the dead run \(id) left") }
        for (id, error) in removal.failures {
            Terminal.tell("cannot remove all that the dead run \(id) left: \(error)")
        }
    }

    /// Makes a run's record; a run without one is not begun.
    static func record(named identifier: String, in folder: URL) throws -> RunDirectory {
        do {
            return try RunDirectory(parent: folder, identifier: identifier, startedAt: Date())
        } catch {
            throw HarnessError.infrastructure(
                "cannot make a record in \(folder.path): \(error.localizedDescription)")
        }
    }

    /// Writes what nobody may be left to read: a reader that has gone is no error of the run's.
    static func show(_ data: Data) {
        try? FileHandle.standardOutput.write(contentsOf: data)
    }

    /// The console's file lies in the record, and any other character in a path is no matter.
    static func refusePathsThatNoDomainCanName(folder: (option: String, path: String), kernel: URL) throws {
        for (name, url) in [(folder.option, URL(filePath: folder.path)), ("--kernel", kernel)] {
            do {
                try DomainDescription.check(path: FilePath(url.path), place: "the path of \(name)")
            } catch {
                throw HarnessError.usage("\(error)")
            }
        }
    }

    /// The fatal part of `doctor` that would otherwise show later, and with less to say.
    static func refuseWhatDoctorWouldFail(
        _ environment: [String: String], kernel: String, _ configuration: GuestConfiguration
    ) throws {
        let host = HostChecks(environment: environment, configuration: configuration)
        let guest = GuestChecks(
            environment: environment, executable: Program.executable, kernelName: kernel)
        for diagnosis in [host.emulatorProgram(), guest.kernelConfiguration()] {
            guard let diagnosis, diagnosis.status == .fail else { continue }
            throw HarnessError.infrastructure(
                "\(diagnosis.name): \(diagnosis.finding)" + (diagnosis.fix.map { "; fix: \($0)" } ?? ""))
        }
    }

    private static func show(_ guest: GuestConfiguration, _ plan: Plan) throws {
        let domain = guest.domain(
            name: "qh-example", console: "/run/console.log", control: "/run/control.sock",
            sharedName: "qh-example.shared", dumpName: "qh-example.dump")
        print(try domain.xml())
        print(try plan.yaml(), terminator: "")
    }
}
