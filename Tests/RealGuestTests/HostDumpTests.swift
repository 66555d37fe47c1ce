// SPDX-License-Identifier: Apache-2.0

import CLibvirt
import Foundation
import HarnessBasics
import Inspection
import MemoryBackends
import RunRecord
import SystemPackage
import TestSupport
import Testing
import Verification

@testable import Guests
@testable import Libvirt
@testable import Runs

extension RealGuest {
    /// libvirt's dump of a running guest's memory has no note in its file: what `inspect` reads of it is what the run has seen.
    @Suite struct HostDumps {
        /// Has libvirt write the guest's memory into an ELF file (`virsh dump --memory-only`), paused as long as that takes.
        /// QEMU's monitor could be asked as well, and libvirt 9.0 ends its process over the event of a dump that it has not
        /// asked for.
        private struct HostDumpStep: RunStep {
            let file: String

            var title: String { "core dump" }

            func perform(in context: inout RunContext, result: inout StepResult) async throws {
                let guest = try context.runningGuest().domain as? LibvirtDomain
                let file = file
                try await guest?.domain.call("virDomainCoreDumpWithFormat") {
                    virDomainCoreDumpWithFormat(
                        $0, file, VIR_DOMAIN_CORE_DUMP_FORMAT_RAW.rawValue, VIR_DUMP_MEMORY_ONLY.rawValue)
                }
            }
        }

        struct Guest: Sendable, CustomTestStringConvertible {
            let cpu: DomainDescription.CPUModel
            let kernel: String
            let mmuSource: String

            var testDescription: String { "\(kernel), \(cpu.rawValue)" }
        }

        private static let guests: [Guest] = [
            Guest(cpu: .power9, kernel: "6.12-64k", mmuSource: "VMCOREINFO"),
            Guest(cpu: .power8, kernel: "6.1", mmuSource: "swapper_pg_dir"),
            Guest(cpu: .power9, kernel: "6.1", mmuSource: "swapper_pg_dir"),
            Guest(cpu: .power8, kernel: "6.12-4k", mmuSource: "VMCOREINFO"),
            Guest(cpu: .power9, kernel: "6.12-4k", mmuSource: "VMCOREINFO"),
        ]

        @Test(arguments: RealGuest.cases(guests, everyTime: 1)) func hasWhatTheRunHasSeen(_ guest: Guest) async throws {
            try await Self.expectSame(guest)
        }

        @Test(
            .long,
            .enabled("the kernel takes long to build: run scripts/guest-kernel 6.1-be") {
                (try? GuestImages.kernel(named: "6.1-be", environment: ProcessInfo.processInfo.environment)) != nil
            }, arguments: [DomainDescription.CPUModel.power8, .power9])
        func bigEndianOnesToo(cpu: DomainDescription.CPUModel) async throws {
            try await Self.expectSame(Guest(cpu: cpu, kernel: "6.1-be", mmuSource: "swapper_pg_dir"))
        }

        private static func expectSame(_ guest: Guest) async throws {
            let folder = try TemporaryFolder()
            let file = folder.path("guest.elf")
            let kernel = try GuestImages.kernel(named: guest.kernel, environment: ProcessInfo.processInfo.environment)
            // After an unplug the list's order is no longer that of addresses.
            let steps: [any RunStep] = [
                PlugStep(byteCount: 512 << 20), PlugStep(byteCount: 512 << 20), UnplugStep(number: 1),
                PlugStep(byteCount: 256 << 20), VerifyStep(), HostDumpStep(file: file), PowerOffStep(),
            ]
            var snapshot: Snapshot?
            let run = try await Lab.run(
                Lab.configuration(
                    cpu: guest.cpu, bootMemoryByteCount: 512 << 20, plugs: [512 << 20, 512 << 20, 256 << 20],
                    kernel: kernel), steps
            ) { record in
                snapshot = try JSONDecoder().decode(
                    Snapshot.self, from: Data(contentsOf: record.appending(path: "snapshot-6.json")))
            }
            #expect(run.report.results.error == nil)
            #expect(run.report.exitCode == 0)
            let seen = try #require(snapshot)
            let inspection = try Inspection(of: DumpMemory(FilePath(file)))
            #expect(inspection.verdict.findings == [])
            #expect(inspection.isWhole)
            #expect(inspection.mmuSource == guest.mmuSource)
            #expect(inspection.snapshot.kernel == seen.kernel)
            #expect(inspection.snapshot.sections == seen.sections)
            #expect(inspection.snapshot.account == seen.account)
            #expect(inspection.snapshot.kernelList == seen.kernelList)
            #expect(inspection.snapshot.pageTables == seen.pageTables)
            #expect(inspection.snapshot.accountEntries == seen.accountEntries)
        }
    }
}
