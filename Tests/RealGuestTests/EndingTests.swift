// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc
import GuestMemory
import Libvirt
import RunRecord
import Subprocess
import Synchronization
import SystemPackage
import Testing
import Verification

@testable import Guests
@testable import RunFixture
@testable import Runs
@testable import qemu_harness

extension RealGuest {
    /// The ways in which a run ends early, and what it leaves then.
    @Suite struct Endings {
        @Test(arguments: RealGuest.cases([(SIGINT, Int32(130)), (SIGTERM, Int32(143))], everyTime: 1))
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
            #expect(verify.status == .exited(2))
            #expect(
                verify.errors
                    == "qemu-harness: the run itself ended with 'interrupted'; of its 0 verifications 0 passed, judged anew\n"
            )
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

        /// One signal is enough, where libvirt waits for a QEMU that stands still.
        @Test func oneSignalEndsAHungGuest() async throws {
            let harness = try HarnessProcess()
            defer { harness.cleanUp() }
            let ending = try await harness.run(["--plug", "256MiB"]) { process in
                try await harness.waitForEvent("step.ended", containing: "\"title\":\"boot\"")
                try harness.signalQemu(SIGSTOP)
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

        /// Whoever tidies up in the middle of a run takes its record, and not its results.
        @Test(.long) func aRecordThatVanishesIsAnInfrastructureError() async throws {
            let harness = try HarnessProcess()
            defer { harness.cleanUp() }
            let identifier = Mutex("")
            let ending = try await harness.run(["--json"]) { _ in
                try await harness.waitForEvent("step.ended", containing: "\"title\":\"boot\"")
                let record = harness.record.resolvingSymlinksInPath()
                identifier.withLock { $0 = String(record.lastPathComponent.suffix(8)) }
                try FileManager.default.removeItem(at: record)
            }
            #expect(ending.status == .exited(2), "\(ending.errors)")
            #expect(ending.errors.contains("of the run's record: "), "\(ending.errors)")
            let results = try JSONDecoder().decode(RunResults.self, from: Data(ending.output.utf8))
            #expect(results.steps.first?.outcome == .passed)
            #expect(try leftovers(of: [identifier.withLock { $0 }]) == [])
        }

        /// A run that cannot have its private root has a record all the same, which says why.
        @Test func aRunWithoutARootIsRecorded() async throws {
            let harness = try HarnessProcess()
            defer { harness.cleanUp() }
            let kernel = try GuestImages.kernel(named: "6.1", environment: ProcessInfo.processInfo.environment)
            let ending = try await harness.run(
                ["--kernel", kernel.path], environment: ["XDG_CACHE_HOME": "/dev/null"])
            #expect(ending.status == .exited(2))
            let message = "cannot make the run's private root: '/dev/null/qemu-harness/capabilities': Not a directory"
            #expect(ending.errors.contains("qemu-harness: \(message)\n"), "\(ending.errors)")
            #expect(ending.output.contains("record"))
            let information = try harness.information()
            #expect(information.outcome == .error)
            #expect(information.exitCode == 2)
            #expect(information.error == message)
            #expect(information.digests?.keys.contains("results.json") == true)
            #expect(try harness.results().error == message)
            #expect(try harness.leftovers() == [])
        }

        /// What a run cannot remove is told, and takes nothing from its verdict.
        @Test(.long) func aRootThatStaysIsToldAndNoVerdict() async throws {
            let run = try await Lab.run(
                try Lab.configuration(plugs: []), [VerifyStep(), StuckResourceStep(), PowerOffStep()])
            #expect(run.report.results.outcome == .passed)
            #expect(run.report.exitCode == 0)
            let message = "cannot remove all that the run has left: '/tmp/qh-stuck': Device or resource busy"
            #expect(run.report.leftover == message)
            #expect(run.log.contains(message))
        }

        /// libvirt, QEMU and the record take any path that XML can carry.
        @Test(.long, arguments: ["my runs, 7:30", "\"läuft\" & 'fährt' <x>%d;$(y)\\", "a=b,c=d,,e"])
        func odderPathsAreTaken(name: String) async throws {
            let harness = try HarnessProcess()
            defer { harness.cleanUp() }
            let kernel = try GuestImages.kernel(named: "6.1", environment: ProcessInfo.processInfo.environment)
            let initramfs = try GuestImages.initramfs(
                .little, environment: ProcessInfo.processInfo.environment, executable: HarnessProcess.program)
            let folder = harness.runsDirectory.appending(path: name)
            try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
            for file in [kernel, initramfs] {
                try FileManager.default.createSymbolicLink(
                    at: folder.appending(path: file.lastPathComponent), withDestinationURL: file)
            }
            let runs = folder.appending(path: "runs").path
            let ending = try await HarnessProcess.start(
                [
                    "run", "--runs-dir", runs, "--kernel", folder.appending(path: kernel.lastPathComponent).path,
                    "--memory", "512MiB", "--plug", "256MiB",
                ], environment: [GuestImages.agentVariable: folder.path])
            #expect(ending.status == .exited(0), "\(ending.errors)")
            let record = URL(filePath: runs).appending(path: "latest")
            for file in ["console.log", "libvirt.log"] {
                #expect(FileManager.default.fileExists(atPath: record.appending(path: file).path))
            }
            #expect(try Data(contentsOf: record.appending(path: "console.log")).isEmpty == false)
            #expect(try await HarnessProcess.start(["verify", record.path]).status == .exited(0))
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
            (["--plug", "7TiB"], "the guest's memory, its plugs and the shared files take up to "),
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

        /// Only run and prune clean up: what they would remove keeps no other command from its work. In here, because a run
        /// beside it would remove it.
        @Test(arguments: [["run", "--dry-run"], ["plan", "list"], ["verify", "nosuch"], ["emulate"]])
        func otherCommandsLeaveLeftoversAlone(arguments: [String]) async throws {
            let root = "/tmp/qh-\(RunID.random())"
            try FileManager.default.createDirectory(atPath: root, withIntermediateDirectories: false)
            defer { try? FileManager.default.removeItem(atPath: root) }
            try Data().write(to: URL(filePath: root + "/qemu-harness.lock"))
            let ending = try await HarnessProcess.start(arguments)
            #expect(!ending.errors.contains("dead run"), "\(ending.errors)")
            #expect(FileManager.default.fileExists(atPath: root + "/qemu-harness.lock"))
        }
    }
}

/// Makes something of the run's that cannot be removed again.
private struct StuckResourceStep: RunStep {
    let title = "make what stays"

    func perform(in context: inout RunContext, result: inout StepResult) async throws {
        let fixture = try #require(context.host as? RunFixture)
        fixture.own("what stays") {
            throw RunFixtureError.file("/tmp/qh-stuck", reason: "Device or resource busy")
        }
    }
}
