// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc
import RunRecord
import Subprocess
import Testing

@testable import qemu_harness

extension RealGuest {
    /// The ways in which a run ends early, and what it leaves then.
    @Suite struct Endings {
        @Test(arguments: [(SIGINT, Int32(130)), (SIGTERM, Int32(143))])
        func signalEndsTheRunInOrder(signal: Int32, exitCode: Int32) async throws {
            let harness = try HarnessProcess()
            defer { harness.cleanUp() }
            let ending = try await harness.run([]) { process in
                try await harness.waitForEvent("step.ended", containing: "\"title\":\"boot\"")
                #expect(kill(process.value, signal) == 0)
            }
            #expect(ending.status == .exited(exitCode), "\(ending.errors)")
            let information = try harness.information()
            #expect(information.outcome == .interrupted)
            #expect(information.exitCode == exitCode)
            #expect(information.finishedAt != nil)
            #expect(try harness.results().outcome == .interrupted)
            #expect(try harness.leftovers() == [])
        }

        @Test func signalDuringBootEndsTheRunInOrder() async throws {
            let harness = try HarnessProcess()
            defer { harness.cleanUp() }
            let ending = try await harness.run([]) { process in
                try await harness.waitForEvent("step.started")
                #expect(kill(process.value, SIGINT) == 0)
            }
            #expect(ending.status == .exited(130), "\(ending.errors)")
            #expect(try harness.information().outcome == .interrupted)
            #expect(try harness.leftovers() == [])
            // Nothing was verified yet, and the record is whole.
            let verify = try await HarnessProcess.start(["verify", harness.record.path])
            #expect(verify.status == .exited(4))
            #expect(verify.errors == "qemu-harness: the run itself ended with 'interrupted'\n")
        }

        /// What a killed harness leaves, the next command finds and removes, and says so.
        @Test func killedHarnessIsCleanedUpAfter() async throws {
            let harness = try HarnessProcess()
            defer { harness.cleanUp() }
            let ending = try await harness.run([]) { process in
                try await harness.waitForEvent("step.ended", containing: "\"title\":\"verify\"")
                #expect(kill(process.value, SIGKILL) == 0)
            }
            #expect(ending.status == .signaled(SIGKILL))
            #expect(try harness.leftovers().isEmpty == false)
            let prune = try await HarnessProcess.start(["prune"])
            #expect(prune.status == .exited(0), "\(prune.errors)")
            let identifier = try harness.information().run.suffix(8)
            #expect(prune.output.contains("removed what run \(identifier) left\n"))
            #expect(try harness.leftovers() == [])
            // The record is cut off; what it had collected is not lost.
            let verify = try await HarnessProcess.start(["verify", harness.record.path])
            #expect(verify.status == .exited(2))
            #expect(verify.errors.hasPrefix("qemu-harness: run.json has no outcome, the record is cut off"))
            #expect(verify.output.contains("64 of 64 sections"))
        }

        @Test func keptGuestRunsOnUntilItIsPruned() async throws {
            let harness = try HarnessProcess()
            defer { harness.cleanUp() }
            let ending = try await harness.run(["--keep"])
            #expect(ending.status == .exited(0), "\(ending.errors)")
            #expect(try harness.leftovers().contains { $0.hasPrefix("process ") })
            #expect(try harness.information().digests?["console.log"] == nil)
            #expect(try await HarnessProcess.start(["verify", harness.record.path]).status == .exited(0))
            #expect(try await HarnessProcess.start(["prune"]).status == .exited(0))
            #expect(try harness.leftovers().contains { $0.hasPrefix("process ") })
            #expect(try await HarnessProcess.start(["prune", "--kept"]).status == .exited(0))
            #expect(try harness.leftovers() == [])
        }

        /// A kernel that finds no init panics, and the run says what the console said.
        @Test func panicAtBootIsAnInfrastructureError() async throws {
            let harness = try HarnessProcess()
            defer { harness.cleanUp() }
            let ending = try await harness.run(["--append", "rdinit=/nothing root=/dev/nothing"])
            #expect(ending.status == .exited(2))
            #expect(ending.errors.contains("Kernel panic - not syncing"))
            #expect(try harness.information().outcome == .error)
            #expect(try harness.leftovers() == [])
        }

        /// A machine on which the other tests run has all that a run needs.
        @Test func doctorFindsNothingToMend() async throws {
            let ending = try await HarnessProcess.start(["doctor", "--json"])
            #expect(ending.status == .exited(0), "\(ending.output)")
            let diagnoses = try JSONDecoder().decode([Diagnosis].self, from: Data(ending.output.utf8))
            #expect(diagnoses.allSatisfy { $0.status != .fail })
            #expect(
                Set(diagnoses.map(\.name)).isSuperset(of: ["qemu", "libvirt", "shared memory", "guest kernel", "agent"])
            )
        }
    }
}
