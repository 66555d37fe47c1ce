// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Detection
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
import Synchronization
import SystemPackage
import Verification

/// `score`: what this program notices, counted.
struct ScoreCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "score",
        abstract: "Spoil records and guests on purpose, and count what is noticed.",
        discussion: """
            Snapshots of records that have passed are changed in one place and judged again. Guests are paused, a word or a \
            few of what the host reads in them are damaged, looked at and put back; they run on and are verified \
            afterwards. What came of it is printed as Markdown. All of it follows from the seed, apart from what a guest \
            has where. Exit code 1 when something was missed that nothing explains.

            Examples:
              qemu-harness score --mutants 20000 runs/latest
              qemu-harness score --damages 500 --kernel path/to/vmlinux --cpu POWER9
            """
    )

    @Argument(help: ArgumentHelp("Records whose snapshots are spoiled.", valueName: "record"))
    var records: [String] = []

    @Option(help: ArgumentHelp("Spoil at least so many snapshots, if the records give so many.", valueName: "count"))
    var mutants = 1000

    @Option(help: ArgumentHelp("Damage each guest so often.", valueName: "count"))
    var damages = 0

    @Option(help: ArgumentHelp("What all follows from.", valueName: "number"))
    var seed: UInt64 = 1

    @Option(help: ArgumentHelp("Kernel, as 'run' takes it; repeat for more. (default: 6.1)", valueName: "path|name"))
    var kernel: [String] = []

    @Option(
        help: ArgumentHelp(
            "CPU model; repeat for more, each with each kernel. (default: POWER8 and POWER9)", valueName: "cpu"),
        transform: { try RunCommand.cpuModel($0).rawValue })
    var cpu: [String] = []

    @Option(help: ArgumentHelp("Stretch every time limit by this factor, for slow machines.", valueName: "factor"))
    var slowdown = 1.0

    func validate() throws {
        try RunCommand.check(slowdown: slowdown)
        for (name, value) in [("--mutants", mutants), ("--damages", damages)] where !(0...10_000_000).contains(value) {
            throw ValidationError("\(name) \(value) is outside 0 to 10000000")
        }
        guard !records.isEmpty || damages > 0 else {
            throw ValidationError("nothing to spoil: name records, or --damages")
        }
    }

    func run() async throws {
        let mutantTally = try await spoilRecords()
        let guests = damages > 0 ? try await damageGuests() : []
        let text = ScoreText(seed: seed, mutants: mutantTally, guests: guests)
        RunCommand.show(Data(text.text().utf8))
        if text.hasSurprises { throw ExitCode(ExitStatus.failed) }
    }

    // MARK: - Records

    private func spoilRecords() async throws -> MutantTally {
        let snapshots = try records.flatMap { record in
            let folder = URL(filePath: record)
            guard let files = try? FileManager.default.contentsOfDirectory(atPath: folder.path) else {
                throw HarnessError.usage("'\(record)' is no record's folder")
            }
            return
                try files
                .filter { $0.hasPrefix("snapshot-") && $0.hasSuffix(".json") }.sorted().map { file in
                    try MutatedSnapshot(
                        name: "\(folder.lastPathComponent)/\(file)",
                        json: RegularFile.content(of: folder.appending(path: file)))
                }
        }
        guard !snapshots.isEmpty else { return MutantTally() }
        let (seed, placeLimit) = (seed, placeLimit(snapshots))
        // Each snapshot's mutants by themselves, as many snapshots at once as there are processors.
        return await withTaskGroup(of: MutantTally.self) { group in
            var (rest, tally) = (snapshots[...], MutantTally())
            func start() {
                guard let snapshot = rest.popFirst() else { return }
                group.addTask {
                    var tally = MutantTally()
                    tally.take(snapshot, seed: seed, placeLimit: placeLimit)
                    return tally
                }
            }
            for _ in 0..<ProcessInfo.processInfo.activeProcessorCount { start() }
            for await part in group {
                tally.add(part)
                start()
            }
            return tally
        }
    }

    /// How many places of each array give the mutants that are asked for.
    private func placeLimit(_ snapshots: [MutatedSnapshot]) -> Int {
        var (limit, before) = (2, 0)
        while true {
            let count = snapshots.reduce(0) {
                $0 + SnapshotMutants(of: $1.tree, seed: seed, placeLimit: limit).mutants.count
            }
            if count >= mutants || count == before { return limit }
            (limit, before) = (limit * 3 / 2 + 1, count)
        }
    }

    // MARK: - Guests

    var kernels: [String] { kernel.isEmpty ? [RunCommand.defaultKernel] : kernel }

    /// Takes each guest in turn: boots it, plugs a DIMM, damages it, and verifies that it is whole again.
    private func damageGuests() async throws -> [(name: String, tally: DetectionTally)] {
        let environment = ProcessInfo.processInfo.environment
        let subjects = kernels.flatMap { kernel in
            (cpu.isEmpty ? ["POWER8", "POWER9"] : cpu).map { (kernel: kernel, cpu: $0) }
        }
        return try await Interrupts.watching { interrupts in
            await RunCommand.removeLeftovers()
            let root = try PrivateRoot(
                id: .random(), capabilitiesCache: GuestImages.capabilitiesCache(environment))
            let done: Result<[(name: String, tally: DetectionTally)], any Error>
            do {
                var guests: [(name: String, tally: DetectionTally)] = []
                for (kernel, cpu) in subjects {
                    let name = "\(URL(filePath: kernel).lastPathComponent) \(cpu)"
                    Terminal.tell("damaging \(name)")
                    let (plan, configuration) = try configuration(kernel: kernel, cpu: cpu, environment)
                    guests.append((name, try await damage(plan, configuration, root, interrupts)))
                }
                done = .success(guests)
            } catch {
                done = .failure(error)
            }
            try root.remove()
            return try done.get()
        }
    }

    private func configuration(
        kernel name: String, cpu: String, _ environment: [String: String]
    ) throws -> (Plan, GuestConfiguration) {
        let kernel = try GuestImages.kernel(named: name, environment: environment)
        var plan = Plan(
            description: "A guest that is damaged and put back.",
            steps: [.plug(size: 1 << 30, node: nil, base: nil), .verify])
        (plan.guest.cpu, plan.guest.memory) = (cpu, 1 << 30)
        let configuration = try GuestConfiguration(
            plan, kernel: kernel,
            initramfs: GuestImages.initramfs(
                GuestImages.byteOrder(ofKernel: kernel), environment: environment, executable: Program.executable))
        try RunCommand.refuseWhatDoctorWouldFail(environment, kernel: name, configuration)
        return (plan, configuration)
    }

    private func damage(
        _ plan: Plan, _ guest: GuestConfiguration, _ root: PrivateRoot, _ interrupts: Interrupts
    ) async throws -> DetectionTally {
        let tally = Mutex(DetectionTally())
        let damage = DamageStep(seed: seed, count: damages) { done in tally.withLock { $0 = done } }
        let steps = plan.runSteps(guest, keepsGuest: false)
        let record = try RunDirectory(
            parent: FileManager.default.temporaryDirectory, identifier: "score-\(root.id)", startedAt: Date())
        defer { try? FileManager.default.removeItem(at: record.url) }
        let report = await Runner(
            plan: plan, steps: steps.dropLast() + [damage, VerifyStep()] + steps.suffix(1), configuration: guest,
            timeouts: Timeouts(factor: slowdown), observers: [], keepsGuest: false
        ).run(in: RunFixture(sharing: root), record: record, interrupts: interrupts, commandLine: CommandLine.arguments)
        guard report.exitCode == 0 else {
            let names = report.results.steps.flatMap { $0.allFindings.map(\.name) }
            let pointer = Explanation.pointer(to: names).map { "\n\($0)" } ?? ""
            let findings = "the guest has not passed: \(names.joined(separator: ", "))"
            throw HarnessError.infrastructure((report.results.error ?? findings) + pointer)
        }
        return tally.withLock { $0 }
    }
}
