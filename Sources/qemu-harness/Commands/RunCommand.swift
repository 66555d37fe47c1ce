// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Foundation
import Libvirt
import Plans
import RunRecord
import SystemPackage

/// `run`: the main job.
struct RunCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "run",
        abstract: "Boot a guest, plug memory, and verify before and after.",
        discussion: "Without options: 1 GiB at boot, 1 GiB plugged, on POWER8 (hash MMU)."
    )

    @Option(
        help: "CPU model: POWER8 has the hash MMU; POWER9 and POWER10 use radix unless told otherwise.",
        transform: Self.cpuModel)
    var cpu: DomainDescription.CPUModel = .power8

    @Option(
        help: ArgumentHelp("Kernel: a vmlinux file, or a name that scripts/guest-kernel knows.", valueName: "path|name")
    )
    var kernel = "6.1"

    @Option(help: ArgumentHelp("Memory at boot, a multiple of 256MiB.", valueName: "size"))
    var memory = ByteCount(1 << 30)

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
    var append = ""

    @Option(help: ArgumentHelp("Virtual CPUs.", valueName: "count"))
    var vcpus = 1

    @Option(
        help: ArgumentHelp(
            "libvirt to use: qemu:///embed, qemu:///session or qemu:///system; LIBVIRT_DEFAULT_URI says it as well. "
                + "(default: qemu:///embed)",
            valueName: "uri"))
    var connect: String?

    @Option(help: ArgumentHelp("Directory for the record of the run.", valueName: "directory"))
    var runsDir = "runs"

    @Flag(help: "Print results.json instead of the table.")
    var json = false

    @Option(help: "Progress on stderr: auto, plain or none.")
    var progress: Progress.Style = .auto

    @Option(help: ArgumentHelp("Stretch every time limit by this factor, for slow machines.", valueName: "factor"))
    var slowdown = 1.0

    @Flag(help: "Leave the guest running afterwards; 'qemu-harness prune --kept' ends it.")
    var keep = false

    @Flag(help: "Print the domain's XML and the steps, and do nothing.")
    var dryRun = false

    private static func cpuModel(_ name: String) throws -> DomainDescription.CPUModel {
        guard let model = DomainDescription.CPUModel(rawValue: name) else {
            let known = DomainDescription.CPUModel.allCases.map(\.rawValue).joined(separator: ", ")
            throw ValidationError("no CPU model '\(name)'; there are \(known)")
        }
        return model
    }

    func validate() throws {
        guard slowdown.isFinite, 0.1...1000 ~= slowdown else {
            throw ValidationError("--slowdown \(slowdown) is outside 0.1 to 1000")
        }
        if let control = append.unicodeScalars.first(where: { $0.properties.generalCategory == .control }) {
            let code = String(control.value, radix: 16, uppercase: true)
            throw ValidationError(
                "--append holds the character U+\(String(repeating: "0", count: 4 - code.count))\(code), which a kernel's "
                    + "command line cannot have")
        }
    }

    func run() async throws {
        let environment = ProcessInfo.processInfo.environment
        let plugs = (plug.isEmpty ? [ByteCount(1 << 30)] : plug).map(\.value)
        let kernelFile = try GuestImages.kernel(named: kernel, environment: environment)
        let guest = try GuestConfiguration(
            cpu: cpu, cpuCount: vcpus, bootMemoryByteCount: memory.value, plugs: plugs,
            kernel: kernelFile,
            initramfs: GuestImages.initramfs(
                GuestImages.byteOrder(ofKernel: kernelFile), environment: environment,
                executable: GuestImages.executable),
            append: append)
        let connection = try ConnectionTarget(option: connect, environment: environment)
        for (index, number) in unplug.enumerated() {
            guard 1...plugs.count ~= number, !unplug[..<index].contains(number) else {
                throw HarnessError.usage(
                    "--unplug \(number): there are DIMMs 1 to \(plugs.count), and each can be unplugged once")
            }
        }
        let steps = steps(guest, plugs: plugs)
        if dryRun { return try printPlan(guest, steps) }
        try refuseWhatDoctorWouldFail(environment, neededByteCount: guest.sharedMemoryByteCount)

        let runner = Runner(
            steps: steps, configuration: guest, connection: connection, patience: Patience(factor: slowdown),
            progress: Progress(style: progress), keepsGuest: keep)
        let workplace = Workplace(runsDirectory: URL(filePath: runsDir), environment: environment)
        let commandLine = CommandLine.arguments
        let report = try await Interrupts.watching { interrupts in
            try await workplace.run(runner, interrupts: interrupts, commandLine: commandLine)
        }
        if json {
            Self.show(try RunDirectory.json(report.results))
        } else {
            let table = ResultTable(
                results: report.results, information: report.information, record: report.directory)
            Self.show(Data(table.text.utf8))
        }
        if let error = report.results.error { QemuHarness.tell(error) }
        if keep { QemuHarness.tell("the guest runs on; 'qemu-harness prune --kept' ends it") }
        if report.exitCode != ExitStatus.passed { throw ExitCode(report.exitCode) }
    }

    /// Writes what nobody may be left to read: a reader that has gone is no error of the run's.
    private static func show(_ data: Data) {
        try? FileHandle.standardOutput.write(contentsOf: data)
    }

    /// The fatal part of `doctor` that would otherwise show later, and with less to say.
    private func refuseWhatDoctorWouldFail(_ environment: [String: String], neededByteCount: UInt64) throws {
        let host = HostChecks(environment: environment, neededByteCount: neededByteCount)
        let guest = GuestChecks(
            environment: environment, executable: GuestImages.executable, kernelName: kernel)
        for diagnosis in [host.emulator(), guest.kernelConfiguration()] {
            guard let diagnosis, diagnosis.status == .fail else { continue }
            throw HarnessError.infrastructure(
                "\(diagnosis.name): \(diagnosis.finding)" + (diagnosis.mend.map { "; mend: \($0)" } ?? ""))
        }
    }

    private func printPlan(_ guest: GuestConfiguration, _ steps: [any RunStep]) throws {
        let domain = guest.domain(
            name: "qh-example", console: "/run/console.log", control: "/run/control.sock",
            sharedName: "qh-example.shared")
        print(try domain.xml())
        for (index, step) in steps.enumerated() { print("\(index + 1) \(step.title)") }
    }

    /// No plan: verify before and after each plug, then switch the guest off unless it is kept.
    private func steps(_ guest: GuestConfiguration, plugs: [UInt64]) -> [any RunStep] {
        var steps: [any RunStep] = [BootStep(configuration: guest), VerifyStep()]
        for plug in plugs { steps += [PlugStep(byteCount: plug), VerifyStep()] as [any RunStep] }
        for number in unplug { steps += [UnplugStep(number: number), VerifyStep()] as [any RunStep] }
        return keep ? steps : steps + [PowerOffStep()]
    }
}
