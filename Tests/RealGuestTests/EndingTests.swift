// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc
import RunRecord
import Subprocess
import Testing

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
        }

        /// What a killed harness leaves, the next command finds and removes, and says so.
        @Test func killedHarnessIsCleanedUpAfter() async throws {
            let harness = try HarnessProcess()
            defer { harness.cleanUp() }
            let ending = try await harness.run([]) { process in
                try await harness.waitForEvent("step.ended", containing: "\"title\":\"boot\"")
                #expect(kill(process.value, SIGKILL) == 0)
            }
            #expect(ending.status == .signaled(SIGKILL))
            #expect(try harness.leftovers().isEmpty == false)
            let prune = try await HarnessProcess.start(["prune"])
            #expect(prune.status == .exited(0), "\(prune.errors)")
            #expect(prune.output.hasPrefix("removed what run "))
            #expect(try harness.leftovers() == [])
        }

        @Test func keptGuestRunsOnUntilItIsPruned() async throws {
            let harness = try HarnessProcess()
            defer { harness.cleanUp() }
            let ending = try await harness.run(["--keep"])
            #expect(ending.status == .exited(0), "\(ending.errors)")
            #expect(try harness.leftovers().contains { $0.hasPrefix("process ") })
            #expect(try await HarnessProcess.start(["prune"]).output == "")
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
    }
}
