// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc
import RunRecord
import Subprocess
import Testing
import Verification

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

        /// Somebody ends QEMU behind the harness's back.
        @Test func killedQemuIsAnInfrastructureError() async throws {
            let harness = try HarnessProcess()
            defer { harness.cleanUp() }
            let ending = try await harness.run([]) { _ in
                try await harness.waitForEvent("step.ended", containing: "\"title\":\"boot\"")
                try harness.signalQemu(SIGKILL)
            }
            #expect(ending.status == .exited(2), "\(ending.errors)")
            #expect(ending.errors.contains("qemu was ended by signal 9, which this program has not asked for"))
            #expect(ending.errors.contains("the console ends:"))
            let information = try harness.information()
            #expect(information.outcome == .error)
            #expect(information.exitCode == 2)
            #expect(try harness.results().steps.first?.outcome == .passed)
            #expect(try harness.leftovers() == [])
        }

        /// A QEMU that stands still keeps libvirt waiting; who asks a second time does not wait for libvirt.
        @Test func secondSignalEndsAHungGuest() async throws {
            let harness = try HarnessProcess()
            defer { harness.cleanUp() }
            let ending = try await harness.run([]) { process in
                try await harness.waitForEvent("step.started")
                try await harness.waitForQemu()
                try harness.signalQemu(SIGSTOP)
                #expect(kill(process.value, SIGINT) == 0)
                // The first one has been taken when its work is done, which is when the step has ended.
                try await harness.waitForEvent("step.ended", containing: "interrupted")
                #expect(kill(process.value, SIGINT) == 0)
            }
            #expect(ending.status == .exited(130), "\(ending.errors)")
            #expect(try harness.information().outcome == .interrupted)
            #expect(try harness.leftovers() == [])
        }

        /// Two runs at once, one of them recorded in another file system, know nothing of each other.
        @Test func twoRunsAtOnce() async throws {
            let first = try HarnessProcess()
            defer { first.cleanUp() }
            let second = try HarnessProcess(in: URL(filePath: "/dev/shm"))
            defer { second.cleanUp() }
            async let one = first.run(["--memory", "512MiB", "--plug", "256MiB"])
            async let other = second.run(["--memory", "512MiB", "--plug", "512MiB", "--cpu", "POWER9"])
            for (harness, ending) in [(first, try await one), (second, try await other)] {
                #expect(ending.status == .exited(0), "\(ending.errors)")
                #expect(try harness.results().outcome == .passed)
                #expect(try harness.leftovers() == [])
            }
        }

        /// A record that cannot grow any more ends the run, and what was found until then is shown all the same.
        @Test func fullRecordIsAnInfrastructureError() async throws {
            let harness = try HarnessProcess()
            defer { harness.cleanUp() }
            let ending = try await harness.run(["--json"]) { process in
                try await harness.waitForEvent("step.ended", containing: "\"title\":\"verify\"")
                // Files of this process may not grow, as on a full disk.
                let limit = try await Subprocess.run(
                    .name("prlimit"), arguments: ["--pid", "\(process.value)", "--fsize=0:0"], output: .discarded)
                #expect(limit.terminationStatus == .exited(0))
            }
            #expect(ending.status == .exited(2), "\(ending.errors)")
            #expect(ending.errors.contains("of the run's record: "), "\(ending.errors)")
            let results = try JSONDecoder().decode(RunResults.self, from: Data(ending.output.utf8))
            #expect(results.outcome == .error)
            #expect(results.steps.dropFirst().first?.verdict?.findings == [])
            #expect(try harness.information().outcome == nil)
            #expect(try harness.leftovers() == [])
        }

        /// What libvirt and QEMU refuse, in their words.
        @Test(arguments: [
            ("/nonexistent/vmlinux", "/nonexistent/vmlinux: No such file or directory"),
            ("/etc/passwd", "error loading /etc/passwd: The image is not ELF"),
        ])
        func libvirtRefuses(kernel: String, message: String) async throws {
            let run = try await Lab.run(try Lab.configuration(kernel: URL(filePath: kernel)), [])
            #expect(run.report.exitCode == 2)
            let error = try #require(run.report.results.error)
            #expect(error.hasPrefix("virDomainCreateXML failed: "))
            #expect(error.contains(message), "\(error)")
        }

        /// Places where no run can be recorded, and a guest that has no room.
        @Test(arguments: [
            (["--plug", "7TiB"], "the guest's memory, its plugs and the shared region take up to "),
            (["--runs-dir", "/proc/nonexistent/runs"], "cannot make a record in /proc/nonexistent/runs: "),
            (["--runs-dir", "/dev/null"], "cannot make a record in /dev/null: "),
            (["--runs-dir", "/dev/null/runs"], "cannot make a record in /dev/null/runs: "),
            (["--runs-dir", "/sys"], "cannot make a record in /sys: "),
        ])
        func aRunThatCannotBegin(arguments: [String], message: String) async throws {
            let ending = try await HarnessProcess.start(["run"] + arguments)
            #expect(ending.status == .exited(2))
            #expect(ending.errors.contains("qemu-harness: \(message)"), "\(ending.errors)")
            #expect(ending.output == "")
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
