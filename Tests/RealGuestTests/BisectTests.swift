// SPDX-License-Identifier: Apache-2.0

import Foundation
import GuestMemory
import RunRecord
import Subprocess
import SystemPackage
import Testing

@testable import Guests
@testable import Runs
@testable import qemu_harness

extension RealGuest {
    /// `git bisect run` with this program, over a made-up history of kernels.
    @Suite struct Bisect {
        /// A commit: what its "build" gives.
        private struct Commit {
            let name: String
            var kernel = "6.1"
            var agent: String
            var words: String
        }

        /// In the middle of the history is a kernel that was not built, beside it one that does not boot.
        @Test(.long) func findsTheFirstBadKernel() async throws {
            let harness = try HarnessProcess()
            defer { harness.cleanUp() }
            let folder = harness.runsDirectory.appending(path: "history")
            try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: false)
            let history = try commits(in: harness.runsDirectory)
            var hashes: [String: String] = [:]
            try await git(["init", "--quiet", "--initial-branch=main"], in: folder)
            for commit in history {
                for (file, text) in [("kernel", commit.kernel), ("agent", commit.agent), ("words", commit.words)] {
                    try "\(text)\n".write(to: folder.appending(path: file), atomically: false, encoding: .utf8)
                }
                try "\(commit.name)\n".write(to: folder.appending(path: "name"), atomically: false, encoding: .utf8)
                try await git(["add", "."], in: folder)
                try await git(["commit", "--quiet", "-m", commit.name], in: folder)
                hashes[try await git(["rev-parse", "HEAD"], in: folder)] = commit.name
            }
            let plan = harness.runsDirectory.appending(path: "plan.yaml")
            try "description: A bisection's.\nguest: {memory: 512MiB}\nsteps: [verify]\n".write(
                to: plan, atomically: false, encoding: .utf8)

            try await git(["bisect", "start", "HEAD", "HEAD~\(history.count - 1)"], in: folder)
            let test = """
                QEMU_HARNESS_AGENT_DIR=$(cat agent) exec "$0" run --bisect --runs-dir "$1" --slowdown 4 \\
                    --kernel "$(cat kernel)" --append "$(cat words)" "$2"
                """
            let output = try await git(
                [
                    "bisect", "run", "sh", "-c", test, HarnessProcess.program.path, harness.runsDirectory.path,
                    plan.path,
                ],
                in: folder)
            #expect(output.contains("is the first bad commit"), "\(output)")
            let found = try await git(["rev-parse", "refs/bisect/bad"], in: folder)
            #expect(hashes[found] == "first bad", "\(output)")
            // It met all three answers.
            let log = try await git(["bisect", "log"], in: folder)
            for answer in ["# good:", "# bad:", "# skip:"] { #expect(log.contains(answer), "\(log)") }
            #expect(try harness.leftovers() == [])
        }

        /// A kernel that never comes to its agent says nothing; a run of its own still says what it came to.
        @Test(.long) func aKernelThatDoesNotBootIsSkipped() async throws {
            let harness = try HarnessProcess()
            defer { harness.cleanUp() }
            let ending = try await harness.run(["--bisect", "--append", "rdinit=/none init=/none", "--slowdown", "4"])
            #expect(ending.status == .exited(125), "\(ending.errors)")
            #expect(ending.errors.contains("panic"), "\(ending.errors)")
            #expect(try harness.information().exitCode == 2)
            #expect(try harness.leftovers() == [])
        }

        /// A signal's code ends the bisection: git takes nothing above 127 for an answer.
        @Test func aSignalEndsTheBisection() async throws {
            let harness = try HarnessProcess()
            defer { harness.cleanUp() }
            let ending = try await harness.run(["--bisect"]) { process in
                try await harness.waitForEvent("step.started")
                #expect(kill(process.value, SIGTERM) == 0)
            }
            #expect(ending.status == .exited(143), "\(ending.errors)")
            #expect(try harness.leftovers() == [])
        }

        private func commits(in folder: URL) throws -> [Commit] {
            let agent = try GuestImages.initramfs(
                .little, environment: ProcessInfo.processInfo.environment, executable: HarnessProcess.program)
            let good = agent.deletingLastPathComponent()
            // A guest that says that all is well, and has written nothing: each verification finds that.
            let bad = folder.appending(path: "liar")
            try FileManager.default.createDirectory(at: bad, withIntermediateDirectories: false)
            try FileManager.default.copyItem(
                at: good.appending(path: "misbehave-ppc64le.cpio.gz"), to: bad.appending(path: agent.lastPathComponent))
            let region = SharedRegionLayout.regionByteCount(maximumMemoryByteCount: 512 << 20)
            let lies = "misbehave=lies region=0x\(String(region, radix: 16))"
            return [
                Commit(name: "oldest", agent: good.path, words: "quiet"),
                Commit(name: "good", agent: good.path, words: "quiet loglevel=3"),
                Commit(name: "does not boot", agent: good.path, words: "rdinit=/none init=/none"),
                Commit(name: "was not built", kernel: "/nonexistent/vmlinux", agent: good.path, words: "quiet"),
                Commit(name: "last good", agent: good.path, words: "quiet loglevel=4"),
                Commit(name: "first bad", agent: bad.path, words: lies),
                Commit(name: "bad too", agent: bad.path, words: lies + " quiet"),
            ]
        }

        @discardableResult
        private func git(_ arguments: [String], in folder: URL) async throws -> String {
            let identity = [
                "-c", "user.name=Nobody", "-c", "user.email=nobody@localhost", "-c", "commit.gpgSign=false",
            ]
            let result = try await Subprocess.run(
                .name("git"), arguments: Arguments(identity + arguments), workingDirectory: FilePath(folder.path),
                input: .none, output: .string(limit: 1 << 22), error: .string(limit: 1 << 22))
            let output = result.standardOutput
            #expect(
                result.terminationStatus == .exited(0),
                "git \(arguments.first ?? ""): \(output)\(result.standardError)")
            return output.trimmingCharacters(in: .whitespacesAndNewlines)
        }
    }
}
