// SPDX-License-Identifier: Apache-2.0

import Foundation
import GuestMemory
import Inspection
import MemoryBackends
import Plans
import RunFixture
import Subprocess
import SystemPackage
import TestSupport
import Testing
import Verification

@testable import Guests
@testable import Libvirt
@testable import RunRecord
@testable import Runs

/// One guest, and each of its dumps.
extension RealGuest.HostDumps {
    /// Keeps what makedumpfile writes in the dump-capture kernel in both of its forms: the flattened one as it comes out of
    /// the guest, and the file that becomes of it.
    private struct BothFormsStep: RunStep {
        let tool: Plan.DumpTool
        let file: String
        let flattened: String

        var title: String { "dump in both forms" }

        func perform(in context: inout RunContext, result: inout StepResult) async throws {
            let guest = try context.runningGuest()
            let dump = try await guest.dump(tool)
            #expect(dump.ending == .complete, "\(dump)")
            try await guest.copy(dump, to: FilePath(file))
            let area = try FileHandle(forReadingFrom: URL(filePath: context.host.id.dumpAreaFile.string))
            defer { try? area.close() }
            try area.seek(toOffset: DumpArea.dumpOffset)
            let bytes = try #require(try area.read(upToCount: Int(dump.byteCount)))
            #expect(bytes.starts(with: Data("makedumpfile".utf8)))
            try bytes.write(to: URL(filePath: flattened))
        }
    }

    /// A guest that ends in a crash.
    struct CrashingGuest: Sendable, CustomTestStringConvertible {
        let cpu: DomainDescription.CPUModel
        let kernel: String
        /// nil where Debian has no makedumpfile for such a guest.
        let tool: Plan.DumpTool?
        /// The crash kernel is loaded before the DIMMs come, and none goes, where the kernel itself makes its header anew:
        /// what it then lacks is plan kdump-hotplug's matter.
        var keepsHeaderTrue = false

        var testDescription: String { "\(kernel), \(cpu.rawValue)" }
    }

    private static let crashingGuests: [CrashingGuest] = [
        CrashingGuest(cpu: .power8, kernel: "6.1", tool: .makedumpfile),
        CrashingGuest(cpu: .power9, kernel: "6.1", tool: .makedumpfile),
        CrashingGuest(cpu: .power9, kernel: "6.12-64k", tool: .makedumpfileUnstable, keepsHeaderTrue: true),
        CrashingGuest(cpu: .power8, kernel: "6.12-4k", tool: .makedumpfileUnstable, keepsHeaderTrue: true),
    ]

    /// The live guest, libvirt's dump of it, the dead kernel in guest RAM, and makedumpfile's dump in both forms.
    @Test(.long, arguments: crashingGuests)
    func eachDumpHasTheSameList(_ guest: CrashingGuest) async throws {
        try await Self.expectSameList(guest)
    }

    /// Without makedumpfile there is libvirt's dump, and what the dump-capture kernel's agent reads in /proc/vmcore.
    @Test(
        .long,
        .enabled("needs scripts/guest-kernel 6.1-be and scripts/guest-tools kexec-be") {
            let environment = ProcessInfo.processInfo.environment
            return (try? GuestImages.kernel(named: "6.1-be", environment: environment)) != nil
                && FileManager.default.fileExists(
                    atPath: GuestImages.cache(environment).appending(path: "tools/2/kexec-be/tools.cpio.gz").path)
        }, arguments: [DomainDescription.CPUModel.power8, .power9])
    func eachBigEndianDumpHasTheSameList(cpu: DomainDescription.CPUModel) async throws {
        try await Self.expectSameList(CrashingGuest(cpu: cpu, kernel: "6.1-be", tool: nil))
    }

    private static func configuration(_ guest: CrashingGuest) throws -> GuestConfiguration {
        let environment = ProcessInfo.processInfo.environment
        let kernel = try GuestImages.kernel(named: guest.kernel, environment: environment)
        let order = try GuestImages.byteOrder(ofKernel: kernel)
        let plugs: [Plan.Step] = [512 << 20, 512 << 20, 256 << 20].map { .plug(size: $0, node: nil, base: nil) }
        let dump: [Plan.Step] = guest.tool.map { [.dump($0)] } ?? []
        var plan = Plan(description: "A test's guest.", steps: plugs + [.loadCrashKernel, .crash()] + dump)
        (plan.guest.cpu, plan.guest.memory) = (guest.cpu.rawValue, 2 << 30)
        (plan.guest.crashKernel, plan.guest.hptResizing) = (512 << 20, false)
        plan.guest.dumpArea = guest.tool.map { _ in 256 << 20 }
        return try GuestConfiguration(
            plan, kernel: kernel,
            initramfs: GuestImages.initramfs(
                order, environment: environment, executable: HarnessProcess.program),
            tools: GuestTools(for: plan, order, environment: environment))
    }

    private static func expectSameList(_ guest: CrashingGuest) async throws {
        let folder = try TemporaryFolder()
        let (host, compressed, flattened) = (
            folder.path("host.elf"), folder.path("dump"), folder.path("flattened")
        )
        let plugs: [any RunStep] =
            guest.keepsHeaderTrue
            ? [LoadCrashKernelStep(), PlugStep(byteCount: 512 << 20), PlugStep(byteCount: 256 << 20)]
            : [
                PlugStep(byteCount: 512 << 20), PlugStep(byteCount: 512 << 20), UnplugStep(number: 1),
                PlugStep(byteCount: 256 << 20), LoadCrashKernelStep(),
            ]
        let dump: [any RunStep] =
            guest.tool.map { [BothFormsStep(tool: $0, file: compressed, flattened: flattened)] } ?? []
        var snapshots: [Snapshot] = []
        let run = try await Lab.run(
            configuration(guest),
            plugs + [VerifyStep(), HostDumpStep(file: host), CrashStep()] + dump + [PowerOffStep()]
        ) { record in
            for number in [plugs.count + 2, plugs.count + 4] {
                let file = record.appending(path: "snapshot-\(number).json")
                snapshots.append(try JSONDecoder().decode(Snapshot.self, from: Data(contentsOf: file)))
            }
        }
        #expect(run.report.results.error == nil)
        #expect(run.report.exitCode == 0, "\(run.report.results.steps.flatMap(\.allFindings))")
        try #require(snapshots.count == 2)
        let (live, dead) = (snapshots[0], snapshots[1])
        #expect(live.accountEntries.count > 0)
        expectSame(dead, live)
        #expect(dead.vmcore?.unreachableCount == 0)
        if live.account == .list { #expect(dead.vmcore?.list == live.kernelList) }

        var files = [host]
        if let tool = guest.tool {
            files.append(compressed)
            let rearranged = try await rearrange(flattened, with: tool, in: folder)
            #expect(
                try Data(contentsOf: URL(filePath: rearranged)) == Data(contentsOf: URL(filePath: compressed)))
            // libkdumpfile reads that form since 0.5.3.
            if (try? DumpMemory(FilePath(flattened))) != nil { files.append(flattened) }
        }
        for file in files {
            let inspection = try Inspection(of: DumpMemory(FilePath(file)))
            #expect(inspection.verdict.findings == [], "\(file)")
            #expect(inspection.isWhole)
            expectSame(inspection.snapshot, live)
            let reduced = file + ".reduced"
            _ = try Inspection(of: DumpMemory(FilePath(file)), reducingTo: FilePath(reduced))
            expectSame(try Inspection(of: DumpMemory(FilePath(reduced))).snapshot, live)
        }
    }

    /// Has the tool itself make a file of its flattened dump (`-R`), by QEMU's user-mode emulation.
    private static func rearrange(
        _ flattened: String, with tool: Plan.DumpTool, in folder: TemporaryFolder
    ) async throws -> String {
        let cache = GuestImages.cache(ProcessInfo.processInfo.environment)
        let archive = cache.appending(path: "tools/2/\(tool.rawValue)/tools.cpio.gz").path
        let target = folder.path("rearranged")
        let script = """
            set -e
            mkdir "$1" && cd "$1"
            gzip -dc "$2" | cpio -idm --quiet
            cd tools/"$5"
            qemu-ppc64le-static ld64.so.2 --library-path . ./makedumpfile -R "$4" <"$3"
            """
        let result = try await Subprocess.run(
            .path("/bin/sh"),
            arguments: ["-c", script, "sh", folder.path("tools"), archive, flattened, target, tool.rawValue],
            output: .string(limit: 1 << 16), error: .string(limit: 1 << 16))
        #expect(result.terminationStatus.isSuccess, "\(result.standardError)")
        return target
    }
}
