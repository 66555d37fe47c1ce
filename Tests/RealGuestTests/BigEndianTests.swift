// SPDX-License-Identifier: Apache-2.0

import Foundation
import GuestMemory
import RunRecord
import Subprocess
import Testing
import Verification

@testable import Guests
@testable import Runs
@testable import qemu_harness

extension RealGuest {
    /// Guests of the byte order that the kernel's list was first written for.
    @Suite(
        .long,
        .enabled("the kernel takes long to build: run scripts/guest-kernel 6.1-be") {
            (try? GuestImages.kernel(named: "6.1-be", environment: ProcessInfo.processInfo.environment)) != nil
        })
    struct BigEndian {
        @Test func hashGuestTakesOneGiBAndGivesItBack() async throws {
            let verdicts = try await verdicts(cpu: "POWER8", mmu: "hash", plug: "1GiB")
            // This kernel is built without memory cgroups, so that its `struct page` has 56 bytes: 14 windows for a GiB.
            #expect(verdicts.map(\.entryCount) == [14, 28, 14])
            #expect(verdicts.map(\.coveredSectionCount) == [64, 128, 64])
            #expect(verdicts[1].provenance == [.seeded: 14, .observed: 14])
        }

        @Test func radixGuestTakesFourGiBAndGivesThemBack() async throws {
            let verdicts = try await verdicts(cpu: "POWER9", mmu: "radix", plug: "4GiB")
            #expect(verdicts.map(\.entryCount) == [1, 3, 1])
            #expect(verdicts.map(\.coveredSectionCount) == [64, 320, 64])
        }

        /// Both kernels are big-endian, and kexec is; the host is not.
        @Test(
            .enabled("needs scripts/guest-tools kexec-be, and a kernel that was built with CRASH_DUMP") {
                let cache = GuestImages.cache(ProcessInfo.processInfo.environment)
                let config = try? String(contentsOf: cache.appending(path: "kernels/6.1-be/config"), encoding: .utf8)
                return config?.contains("\nCONFIG_CRASH_DUMP=y\n") == true
                    && FileManager.default.fileExists(
                        atPath: cache.appending(path: "tools/2/kexec-be/tools.cpio.gz").path)
            }, arguments: ["POWER8", "POWER9"])
        func theDumpCaptureKernelFindsThePages(cpu: String) async throws {
            let harness = try HarnessProcess()
            defer { harness.cleanUp() }
            let file = harness.runsDirectory.appending(path: "plan.yaml")
            try """
            description: A crash.
            guest: {kernel: 6.1-be, cpu: \(cpu), memory: 2GiB, crash-kernel: 512MiB, hpt-resizing: off}
            steps: [verify, plug: 1GiB, load-crash-kernel, plug: 1GiB, load-crash-kernel, verify, crash]
            """.write(to: file, atomically: true, encoding: .utf8)
            let ending = try await harness.run([file.path, "--slowdown", "4"])
            #expect(ending.status == .exited(0), "\(ending.errors)\(ending.output)")
            let verdicts = try harness.results().steps.compactMap(\.verdict)
            #expect(verdicts.map(\.entryCount) == (cpu == "POWER8" ? [28, 56, 56] : [1, 2, 2]))
            #expect(verdicts.last?.sectionCount == 256)
            #expect(verdicts.last?.witnesses.first { $0.witness == .vmcore }?.standing == .agrees)
            #expect(try await HarnessProcess.start(["verify", harness.record.path]).status == .exited(0))
        }

        /// Plugs a DIMM and unplugs it: every witness agrees before and after each.
        private func verdicts(cpu: String, mmu: String, plug: String) async throws -> [Verdict] {
            let harness = try HarnessProcess()
            defer { harness.cleanUp() }
            let ending = try await harness.run(
                ["--kernel", "6.1-be", "--cpu", cpu, "--plug", plug, "--unplug", "1", "--slowdown", "4"])
            #expect(ending.status == .exited(0), "\(ending.errors)")
            let guest = try harness.information().guest
            #expect(guest.isBigEndian == true)
            #expect(guest.mmu == mmu)
            #expect(guest.initramfsPath.hasSuffix("/initramfs-ppc64.cpio.gz"))
            #expect(ending.output.contains(", big-endian, \(cpu), \(mmu) MMU, 64 KiB pages"))
            let verdicts = try harness.results().steps.compactMap(\.verdict)
            for statement in verdicts.flatMap(\.witnesses) { #expect(statement.standing == .agrees, "\(statement)") }
            let witnesses = Set(Witness.allCases).subtracting(
                mmu == "radix" ? [.crashHeader, .vmcore] : [.crashHeader, .vmcore, .pageTables])
            for verdict in verdicts {
                #expect(verdict.findings == [])
                #expect(Set(verdict.witnesses.map(\.witness)) == witnesses)
            }
            #expect(try harness.leftovers() == [])
            return verdicts
        }
    }
}
