// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Foundation
import Guests
import HarnessBasics
import OfflineCommands
import Plans
import Reports
import RunFixture
import RunRecord
import Runs
import SystemPackage

/// `doctor`: looks at every requirement of a run.
struct DoctorCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "doctor",
        abstract: "Check what a run needs, and say how to fix what is missing.",
        discussion: "Exit code 0 when a run can work, 2 when it cannot."
    )

    @Argument(help: ArgumentHelp("The plan that is to be run, as 'run' takes it.", valueName: "plan"))
    var plan: String?

    @Option(help: ArgumentHelp("The kernel to check. (default: the plan's, or 6.1)", valueName: "path|name"))
    var kernel: String?

    @Option(help: ArgumentHelp("The libvirt to check, as 'run' takes it.", valueName: "uri"))
    var connect: String?

    @Option(
        help: ArgumentHelp("The QEMU to check. (default: the one that libvirt finds)", valueName: "path"),
        transform: RunCommand.emulator)
    var qemu: FilePath?

    @Flag(help: "Print the diagnoses as JSON.")
    var json = false

    func run() async throws {
        let environment = ProcessInfo.processInfo.environment
        // The run that is asked about, which is made here as 'run' makes it.
        let plan = try RunCommand.parse([plan, kernel.map { "--kernel=\($0)" }].compactMap { $0 })
            .resolvedPlan(environment)
        let guest = GuestChecks(
            environment: environment, executable: Program.executable,
            kernelName: plan.guest.kernel ?? RunCommand.defaultKernel)
        // What the guest boots from has checks of its own, and matters to none of the others.
        let nothing = URL(filePath: "/nonexistent")
        var configuration = try GuestConfiguration(
            plan, kernel: nothing, initramfs: nothing, tools: GuestTools(kexec: .init(archive: nothing, package: "")))
        configuration.emulator = qemu
        let host = HostChecks(environment: environment, configuration: configuration)
        let libvirt = LibvirtCheck(
            target: try ConnectionTarget(option: connect, environment: environment, tell: Terminal.tell),
            trial: GuestTrial(configuration, steps: plan.runSteps(configuration, keepsGuest: false)),
            capabilitiesCache: GuestImages.capabilitiesCache(environment))
        let diagnoses = await host.diagnoses() + [libvirt.diagnosis()] + guest.diagnoses()
        if json {
            print(String(decoding: try RunDirectory.json(diagnoses), as: UTF8.self), terminator: "")
        } else {
            print(Self.table(diagnoses), terminator: "")
        }
        if diagnoses.contains(where: { $0.status == .fail }) { throw ExitCode(ExitStatus.infrastructure) }
    }

    private static func table(_ diagnoses: [Diagnosis]) -> String {
        let rows = diagnoses.flatMap { diagnosis in
            [[diagnosis.status.rawValue, diagnosis.name, diagnosis.finding]]
                + (diagnosis.fix.map { [["", "", "fix: \($0)"]] } ?? [])
        }
        return TextTable([.left(minimumWidth: 4), .left(), .left()], rows).lines().map { $0 + "\n" }.joined()
    }
}
