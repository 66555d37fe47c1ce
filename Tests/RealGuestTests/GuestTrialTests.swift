// SPDX-License-Identifier: Apache-2.0

import Foundation
import RunRecord
import Subprocess
import Testing

@testable import Guests
@testable import Runs
@testable import qemu_harness

extension RealGuest {
    /// What libvirt and QEMU are asked before a guest boots, and which QEMU runs it.
    @Suite struct GuestTrials {
        @Test func whatLibvirtRefusesIsSaidBeforeTheBoot() async throws {
            // Node 7 is none of this guest's. No plan can say so: the reader refuses it.
            let run = try await Lab.run(try Lab.configuration(), [PlugStep(byteCount: 1 << 30, node: 7)])
            #expect(run.report.exitCode == 2)
            let error = try #require(run.report.results.error)
            let start = "libvirt does not take this guest, which was not started: virDomainAttachDeviceFlags failed: "
            #expect(error.hasPrefix(start) && error.contains("'7'"), "\(error)")
            #expect(run.report.results.steps == [])
            #expect(!run.events.contains("step.started"))
        }

        /// A program of another name, so that nothing goes by the usual one.
        @Test(.long) func anotherQemuRunsTheGuest() async throws {
            let harness = try HarnessProcess()
            defer { harness.cleanUp() }
            let program = harness.runsDirectory.appending(path: "emulator of mine")
            let folders = (ProcessInfo.processInfo.environment["PATH"] ?? "").split(separator: ":").map(String.init)
            let usual = try #require(
                folders.map { "\($0)/qemu-system-ppc64" }.first { FileManager.default.isExecutableFile(atPath: $0) })
            try FileManager.default.createSymbolicLink(atPath: program.path, withDestinationPath: usual)

            let doctor = try await HarnessProcess.start(["doctor", "numa", "--qemu", program.path])
            #expect(doctor.status == .exited(0), "\(doctor.output)")
            #expect(doctor.output.contains("\(program.path) makes the machine that a run needs"))
            #expect(doctor.output.contains("takes the run's guest and its 2 DIMMs"), "\(doctor.output)")

            let ending = try await harness.run(["--qemu", program.path])
            #expect(ending.status == .exited(0), "\(ending.errors)")
            #expect(try harness.information().versions.qemuPath == program.path)
            let xml = try String(contentsOf: harness.record.appending(path: "domain.xml"), encoding: .utf8)
            #expect(xml.contains("<emulator>\(program.path)</emulator>"))
            #expect(try harness.leftovers() == [])
        }

        @Test func doctorSaysWhatAQemuDoesNotDo() async throws {
            let ending = try await HarnessProcess.start(["doctor", "--qemu", "/bin/false", "--json"])
            #expect(ending.status == .exited(2))
            let diagnoses = try JSONDecoder().decode([Diagnosis].self, from: Data(ending.output.utf8))
            #expect(Set(diagnoses.filter { $0.status == .fail }.map(\.name)) == ["qemu", "libvirt"])
        }

        @Test func doctorAsksTheLibvirtThatIsNamed() async throws {
            // No daemon listens in the tests.
            let ending = try await HarnessProcess.start(["doctor", "--connect", "qemu:///system?socket=/nonexistent"])
            #expect(ending.status == .exited(2))
            #expect(ending.output.contains("fail  libvirt"), "\(ending.output)")
        }
    }
}
