// SPDX-License-Identifier: Apache-2.0

import Detection
import Foundation
import GuestMemory
import HarnessBasics
import KernelState
import Libvirt
import MemoryBackends
import RunFixture
import RunRecord
import Subprocess
import SystemPackage
import Testing
import Verification
import VmemmapPopulate

@testable import Guests
@testable import Runs
@testable import qemu_harness

extension RealGuest {
    /// Guests that crash as no ready plan has it: spoiled before, without what a crash needs, or ended in the middle.
    @Suite struct CrashGuests {
        /// What is spoiled of a guest right before it crashes, and everything that has to be found in it when it is dead.
        struct Damage: Sendable, CustomTestStringConvertible {
            let testDescription: String
            var cpu = DomainDescription.CPUModel.power8
            var kernel = "6.1"
            let findings: Set<String>
            let spoil: @Sendable (RunContext) async throws -> Void
        }

        /// Spoils a paused guest, which runs on into its crash.
        private struct SpoilStep: RunStep {
            let damage: Damage
            var title: String { "spoil: \(damage.testDescription)" }

            func perform(in context: inout RunContext, result: inout StepResult) async throws {
                let guest = try context.runningGuest()
                try await guest.domain.suspend()
                try await damage.spoil(context)
                try await guest.domain.resume()
            }
        }

        private static func list(_ context: RunContext) async throws -> DamagedList {
            let guest = try context.runningGuest()
            return try DamagedList(memory: await guest.memory.ram, kernel: try await guest.runningKernel().kernel)
        }

        /// Puts zeros over the kernel's note, behind its header.
        private static func eraseNote(_ context: RunContext) async throws {
            let guest = try context.runningGuest()
            let address = try await guest.runningKernel().hello.vmcoreinfoAddress
            let memory = try WritableMemory(await guest.memory.ram)
            for offset in stride(from: 0, to: 256 as UInt64, by: 8) {
                try memory.store(0, at: .ram(address.alignedDown(to: 8) + offset))
            }
        }

        private static func spoilRegion(_ context: RunContext) async throws {
            let region = try await context.runningGuest().runningKernel().region
            let memory = try WritableMemory(
                GuestRAM([]), region: (context.host.id.sharedRegionFile, region.words.byteCount))
            try memory.store(4096, at: .region(SharedRegionLayout.Field.pageByteCount.offset))
        }

        private static func spoilTables(_ context: RunContext) async throws {
            let guest = try context.runningGuest()
            let kernel = try await guest.runningKernel()
            let base = kernel.hello.vmemmapBase
            let tables = try DamagedTables(await guest.memory.ram, kernel: kernel.kernel, vmemmapBase: base)
            // The leaf of the plugged memory, behind which 2 GiB are described.
            let entry = try tables.entry(level: 2, for: base + 2 << 20)
            try tables.store(0, at: entry)
        }

        private static let damages = [
            Damage(
                testDescription: "two blocks change places", findings: ["mirror-wrong-phys", "struct-pages-other-page"]
            ) { context in
                let list = try await list(context)
                try list.setPhys(0, list.nodes[1].phys)
                try list.setPhys(1, list.nodes[0].phys)
            },
            Damage(testDescription: "a cycle through the head", findings: ["list-cycle", "vmcore-cycle"]) { context in
                let list = try await list(context)
                try list.setLink(list.nodes.count - 1, list.nodes[0].node)
            },
            Damage(
                testDescription: "a link outside memory",
                findings: [
                    "list-link-outside-memory", "list-coverage-hole", "mirror-extra-entry", "model-extra-entry",
                    "vmcore-not-in-dump",
                ]
            ) { context in
                let list = try await list(context)
                try list.setLink(2, list.outside)
            },
            // The kernel makes its note anew as it dies (crash_save_vmcoreinfo), so that the dump has it.
            Damage(testDescription: "no note", findings: ["crash-header-note"], spoil: eraseNote),
            Damage(
                testDescription: "a region of another page size", findings: ["mirror-header", "vmcore-unreadable"],
                spoil: spoilRegion),
            Damage(
                testDescription: "a leaf that is gone, beside a list", cpu: .power9,
                findings: ["page-tables-missing-entry"], spoil: spoilTables),
            Damage(
                testDescription: "a leaf that is gone", cpu: .power9, kernel: "6.12-64k",
                findings: ["page-tables-coverage-hole", "mirror-extra-entry", "model-extra-entry"], spoil: spoilTables),
        ]

        /// The host reads it in guest RAM, and the dump-capture kernel's agent in the dump.
        @Test(.long, arguments: damages) func damageBeforeTheCrashIsFound(damage: Damage) async throws {
            // Loaded last, and first where the kernel keeps the header true: so the header has the DIMM on each kernel.
            let plug: [any RunStep] = [PlugStep(byteCount: 1 << 30)]
            let load: [any RunStep] = [LoadCrashKernelStep()]
            let run = try await Lab.run(
                try Lab.crashConfiguration(cpu: damage.cpu, kernel: damage.kernel),
                (damage.kernel == "6.1" ? plug + load : load + plug) + [
                    VerifyStep(), SpoilStep(damage: damage), CrashStep(), PowerOffStep(),
                ])
            let steps = run.report.results.steps
            #expect(run.report.results.error == nil)
            #expect(run.report.exitCode == 1)
            #expect(steps.prefix(5).allSatisfy { $0.allFindings.isEmpty }, "\(steps)")
            let crash = try #require(steps.first { $0.title == "crash" })
            #expect(Set(crash.allFindings.map(\.name)) == damage.findings, "\(crash.allFindings)")
        }

        /// kexec says that it is loaded, and the dump-capture kernel runs out of memory.
        @Test(.long) func aReservationThatIsTooSmallIsSilence() async throws {
            var timeouts = Timeouts(factor: 4)
            timeouts.boot = .seconds(60)
            let run = try await Lab.run(
                try Lab.crashConfiguration(crashKernelByteCount: 64 << 20),
                [LoadCrashKernelStep(), CrashStep(), PowerOffStep()], timeouts: timeouts)
            #expect(run.report.exitCode == 1)
            let names = run.report.results.steps.flatMap(\.allFindings).map(\.name)
            #expect(names.contains("vmcore-silent") || names.contains("guest-panic"), "\(run.report.results)")
        }

        /// Without a reservation the kernel takes no crash kernel, and kexec says why.
        @Test(.long) func kexecIsRefused() async throws {
            let run = try await Lab.run(
                try Lab.crashConfiguration(append: "crashkernel=0M"),
                [LoadCrashKernelStep(), VerifyStep(), PowerOffStep()])
            #expect(run.report.results.error == nil)
            #expect(run.report.exitCode == 1)
            let finding = try #require(run.report.results.steps.flatMap(\.allFindings).first)
            #expect(finding.name == "guest-refused")
            #expect(finding.message.contains("kexec: exit status "), "\(finding.message)")
        }

        /// Nobody has loaded a crash kernel: it is a panic as any.
        @Test(.long) func aCrashWithNothingLoadedIsAPanic() async throws {
            let run = try await Lab.run(try Lab.crashConfiguration(), [VerifyStep(), CrashStep(), PowerOffStep()])
            #expect(run.report.exitCode == 1)
            #expect(run.report.results.steps.flatMap(\.allFindings).map(\.name) == ["guest-panic"])
        }

        /// Somebody ends QEMU as the dump-capture kernel writes a dump.
        @Test(.long, arguments: [(SIGKILL, Int32(2)), (SIGINT, Int32(130))])
        func anEndInTheMiddleOfADump(signal: Int32, exitCode: Int32) async throws {
            let harness = try HarnessProcess()
            defer { harness.cleanUp() }
            let ending = try await harness.run(["kdump", "--slowdown", "4", "--keep-dumps"]) { process in
                try await harness.waitForEvent("step.started", containing: "\"title\":\"dump with makedumpfile\"")
                if signal == SIGKILL {
                    try harness.signalQemu(signal)
                } else {
                    #expect(kill(process.value, signal) == 0)
                }
            }
            #expect(ending.status == .exited(exitCode), "\(ending.errors)")
            #expect(try harness.results().steps.first { $0.title == "crash" }?.outcome == .passed)
            #expect(try harness.leftovers() == [])
            // The verdict on the dead kernel stands, and the record proves it.
            let verify = try await HarnessProcess.start(["verify", harness.record.path])
            #expect(verify.status == .exited(2))
        }

        /// Whoever has enough waits for no capture kernel.
        @Test(.long) func aSignalInTheCrashEndsTheRun() async throws {
            let harness = try HarnessProcess()
            defer { harness.cleanUp() }
            let ending = try await harness.run(["kdump", "--slowdown", "4"]) { process in
                try await harness.waitForEvent("step.started", containing: "\"title\":\"crash\"")
                #expect(kill(process.value, SIGTERM) == 0)
            }
            #expect(ending.status == .exited(143), "\(ending.errors)")
            #expect(try harness.information().outcome == .interrupted)
            #expect(try harness.leftovers() == [])
        }
    }
}
