// SPDX-License-Identifier: Apache-2.0

import Foundation
import RunRecord
import Subprocess
import TestSupport
import Testing

extension RealGuest {
    /// A matrix that Slurm takes in shards.
    @Suite struct Slurm {
        /// What `matrix` and `merge` print with `--json`, as far as it is the guests'.
        private struct Document: Decodable, Equatable {
            struct Cell: Decodable, Equatable {
                var number: Int
                var plan: String
                var kernel: String
                var cpu: String
                var outcome: Outcome
                var attemptCount: Int
                var verificationCount: Int
                var entryCount: Int
                var findings: [String: Int]
            }

            var outcome: Outcome
            var cells: [Cell]

            init(_ text: String) throws { self = try JSONDecoder().decode(Self.self, from: Data(text.utf8)) }
        }

        private static let submit = URL(filePath: #filePath).deletingLastPathComponent()
            .appending(path: "../../engines/slurm/submit").standardizedFileURL.path

        /// Two shards and their merge come to what one run of the same cells comes to, findings and exit code among it.
        @Test(.long) func shardsOfAJobArrayAreTheWhole() async throws {
            let folder = try TemporaryFolder()
            let plan = try folder.write(
                Array("description: Expects too much.\nsteps: [verify, expect: {entries: 17}]\n".utf8), to: "wrong.yaml"
            )
            let cells = try folder.write(
                Array(
                    """
                    plans: [first-light, unplug-replug, "\(plan)"]
                    kernels: ["6.1", "6.12-64k"]
                    cpus: [POWER8]
                    exclude: [{plan: "\(plan)", kernel: "6.12-64k"}]

                    """.utf8), to: "cells.yaml")
            let output = folder.path("100% shared")
            try await SlurmCluster.run(in: folder) { cluster in
                let start = ContinuousClock.now
                let submitted = try await cluster.run(
                    Self.submit,
                    [
                        "--shards", "2", "--cells", cells, "--output", output, "--program", HarnessProcess.program.path,
                        "--wait", "--json", "--", "--slowdown", "4",
                    ])
                let sharded = start.duration(to: .now)
                let whole = try await HarnessProcess.start(
                    ["matrix", "--cells", cells, "--output", folder.path("whole"), "--json", "--slowdown", "4"])
                #expect(submitted.status == .exited(1), "\(submitted.errors)")
                #expect(whole.status == .exited(1), "\(whole.errors)")
                let documents = try (Document(submitted.output), Document(whole.output))
                #expect(documents.0 == documents.1)
                #expect(documents.1.outcome == .failed)
                #expect(documents.1.cells.map(\.outcome) == [.passed, .passed, .passed, .passed, .failed])
                #expect(documents.1.cells[4].findings == ["plan-unmet": 1])

                // Each shard has had its part, and all that it left is in the merged folder.
                let names = try FileManager.default.contentsOfDirectory(atPath: output)
                let shards = try #require(names.first { $0.hasPrefix("slurm-") })
                let parts = try ["1", "2"].map { shard in
                    let place = URL(filePath: output).appending(path: "\(shards)/\(shard)")
                    let matrix = try #require(
                        try FileManager.default.contentsOfDirectory(atPath: place.path).first)
                    return try MatrixRecord(place.appending(path: matrix)).information.part
                }
                #expect(parts.allSatisfy { !$0.isEmpty } && parts.joined().sorted() == [1, 2, 3, 4, 5])
                let merged = URL(filePath: output).appending(
                    path: try #require(names.first { $0.hasPrefix("matrix-") }))
                #expect(try MatrixRecord(merged).cells.compactMap(\.ending?.record).count == 5)
                for name in ["index.html", "junit.xml", "matrix.ktap"] {
                    #expect(FileManager.default.fileExists(atPath: merged.appending(path: name).path))
                }
                print(
                    "slurm: shards \(parts), \(documents.0.cells.map { "\($0.verificationCount)/\($0.entryCount)" }), "
                        + "\(sharded.components.seconds) s")
            }
        }

        /// What cannot be submitted is said before anything is.
        @Test(.long) func wrongUseIsSaidAtOnce() async throws {
            let folder = try TemporaryFolder()
            let cells = try folder.write(Array("plans: [no-such-plan]\n".utf8), to: "cells.yaml")
            try await SlurmCluster.run(in: folder) { cluster in
                for arguments in [
                    [], ["--shards", "0"], ["--shards", "2", "--cells", cells], ["--nonsense"],
                    ["--shards", "2", "--cells", cells, "--output", folder.path("out")],
                ] {
                    let ending = try await cluster.run(
                        Self.submit, arguments + ["--program", HarnessProcess.program.path, "--wait"])
                    #expect(ending.status == .exited(64), "\(arguments): \(ending.errors)")
                    #expect(!ending.errors.isEmpty)
                }
                #expect(try await cluster.run("/usr/bin/squeue", ["--noheader"]).output == "")
                #expect(try folder.names().contains("out") == false)
            }
        }
    }
}
