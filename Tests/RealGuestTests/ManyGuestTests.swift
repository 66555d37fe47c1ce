// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc
import RunRecord
import Subprocess
import TestSupport
import Testing

extension RealGuest {
    /// `matrix`: several guests in one command.
    @Suite struct ManyGuests {
        private let harness: HarnessProcess
        private let folder: TemporaryFolder

        init() throws {
            harness = try HarnessProcess()
            folder = try TemporaryFolder()
            try folder.write("description: Boot.\nsteps: [verify]\n".utf8, to: "right.yaml")
            // What no guest has: a failing cell.
            try folder.write("description: Boot.\nsteps: [verify, {expect: {entries: 4096}}]\n".utf8, to: "wrong.yaml")
        }

        /// Four cells of 6.1, of which those of one plan fail.
        private var arguments: [String] {
            ["matrix", folder.path("right.yaml"), folder.path("wrong.yaml"), "--slowdown", "4", "--progress", "plain"]
                + ["--output", harness.runsDirectory.path]
        }

        /// The matrix's folder, once its journal has so many lines.
        private static func matrix(in harness: HarnessProcess, lineCount: Int) async throws -> URL {
            while true {
                let names = try FileManager.default.contentsOfDirectory(atPath: harness.runsDirectory.path)
                if let name = names.first {
                    let url = harness.runsDirectory.appending(path: name)
                    let data = try? Data(contentsOf: url.appending(path: MatrixJournal.fileName))
                    if let data, data.count(where: { $0 == 0x0a }) >= lineCount { return url }
                }
                try await Task.sleep(for: .milliseconds(20))
            }
        }

        private func identifiers(_ record: MatrixRecord) -> [String] {
            record.cells.flatMap { $0.attempts.map(\.attempt.run) }
        }

        /// Killed when some cells have ended and others run: those end by themselves, and who goes on takes none of them again
        /// that had come to something.
        @Test func aKilledMatrixGoesOn() async throws {
            defer { harness.cleanUp() }
            let killed = try await HarnessProcess.start(arguments) { [harness] process in
                // Two have begun, one has ended, and the next has begun.
                _ = try await Self.matrix(in: harness, lineCount: 4)
                try #require(kill(process.value, SIGKILL) == 0)
            }
            #expect(killed.status == .signaled(SIGKILL))
            let url = try await Self.matrix(in: harness, lineCount: 4)
            let before = try MatrixRecord(url)

            let second = try await HarnessProcess.start([
                "matrix", "--resume", url.path, "--json", "--progress", "plain",
            ])
            #expect(second.status == .exited(1), "\(second.errors)\(second.output)")
            #expect(try await JSONSchema("matrix-summary").refusals(of: Data(second.output.utf8)) == [nil])
            let after = try MatrixRecord(url)
            for (cell, old) in zip(after.cells, before.cells) {
                let isWrong = cell.cell.plan.hasSuffix("wrong.yaml")
                #expect(cell.outcome == (isWrong ? .failed : .passed))
                #expect(cell.ending?.findings == (isWrong ? ["plan-unmet": 1] : [:]))
                // What had ended is as it was; what was under way has one more run at most.
                #expect(old.ending == nil || cell.attempts.count == old.attempts.count)
                #expect(cell.attempts.count <= old.attempts.count + 1)
                let record = url.appending(path: try #require(cell.ending?.record))
                #expect(try await HarnessProcess.start(["verify", record.path]).status == .exited(isWrong ? 1 : 0))
                let page = url.appending(path: "reports").appending(path: record.lastPathComponent + ".html")
                #expect(FileManager.default.fileExists(atPath: page.path))
            }
            #expect(try leftovers(of: identifiers(after)) == [])
            let index = try String(contentsOf: url.appending(path: "index.html"), encoding: .utf8)
            #expect(index.contains("plan-unmet"))
            let junit = try await HarnessProcess.start(["report", url.path, "--format", "junit"]).output
            #expect(try junit == String(contentsOf: url.appending(path: "junit.xml"), encoding: .utf8))
            #expect(junit.components(separatedBy: "<testsuite ").count == 5)
        }

        /// Two shards, of which each takes its part, come to what the whole comes to; and Ctrl-C ends guests and all.
        @Test(.long) func shardsAreJoined() async throws {
            defer { harness.cleanUp() }
            for shard in ["1/2", "2/2"] {
                let ending = try await HarnessProcess.start(arguments + ["--shard", shard])
                #expect(ending.status == .exited(1), "\(ending.errors)\(ending.output)")
            }
            let shards = try FileManager.default.contentsOfDirectory(atPath: harness.runsDirectory.path)
                .map { harness.runsDirectory.appending(path: $0).path }
            let joined = try await HarnessProcess.start(
                ["merge", "--output", folder.path("joined"), "--json"] + shards)
            #expect(joined.status == .exited(1), "\(joined.errors)")
            #expect(try await JSONSchema("matrix-summary").refusals(of: Data(joined.output.utf8)) == [nil])
            let name = try #require(FileManager.default.contentsOfDirectory(atPath: folder.path("joined")).first)
            let record = try MatrixRecord(folder.url.appending(path: "joined").appending(path: name))
            #expect(record.cells.map(\.outcome) == [.passed, .passed, .failed, .failed])
            #expect(record.cells.allSatisfy { $0.ending?.verificationCount == 1 })
        }

        @Test(.long) func interruptedItLeavesNothing() async throws {
            defer { harness.cleanUp() }
            let ending = try await HarnessProcess.start(arguments) { [harness] process in
                _ = try await Self.matrix(in: harness, lineCount: 2)
                try await Task.sleep(for: .seconds(1))
                try #require(kill(process.value, SIGINT) == 0)
            }
            #expect(ending.status == .exited(130), "\(ending.errors)\(ending.output)")
            #expect(ending.output.contains("go on: qemu-harness matrix --resume"), "\(ending.output)")
            let record = try MatrixRecord(try await Self.matrix(in: harness, lineCount: 2))
            #expect(record.outcome == .interrupted)
            #expect(record.cells.allSatisfy { $0.ending == nil && $0.attempts.count <= 1 })
            #expect(try leftovers(of: identifiers(record)) == [])
        }
    }
}
