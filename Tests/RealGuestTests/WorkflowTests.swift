// SPDX-License-Identifier: Apache-2.0

import Foundation
import Guests
import Subprocess
import TestSupport
import Testing

extension RealGuest {
    /// A workflow's shards, up to where guests would begin.
    @Suite struct Workflow {
        /// The artifact of a build, with a real kernel; CPU models have colons between them.
        @Test func cpusOfAWorkflowBecomeCells() async throws {
            let folder = try TemporaryFolder()
            let kernel = try GuestImages.kernel(named: "6.1", environment: ProcessInfo.processInfo.environment)
            let artifact = folder.url.appending(path: "kernel")
            try FileManager.default.createDirectory(at: artifact, withIntermediateDirectories: false)
            try FileManager.default.createSymbolicLink(
                at: artifact.appending(path: "vmlinux"), withDestinationURL: kernel)

            let plan = ScriptProcess.project.appending(path: "engines/plug.yaml").path
            func cells(_ cpus: String, shard: String) async throws -> (status: TerminationStatus, rows: [[Substring]]) {
                let ending = try await ScriptProcess.run(
                    "engines/github-actions/shard",
                    [HarnessProcess.program.path, artifact.path, folder.path("out"), "--dry-run"],
                    environment: ["CPUS": cpus, "PLANS": "\(plan) numa", "SHARD": shard])
                return (
                    ending.status, ending.output.split(separator: "\n").dropFirst().map { $0.split(separator: " ") }
                )
            }
            let whole = try await cells("POWER8:POWER10", shard: "")
            #expect(whole.status == .exited(0))
            #expect(whole.rows.map { $0.last ?? "" }.prefix(2) == ["POWER8", "POWER10"])
            #expect(whole.rows.allSatisfy { $0.count == 4 && $0[2] == "\(artifact.path)/vmlinux" })
            #expect(Set(whole.rows.map { $0[1] }) == [plan[...], "numa"])
            let (first, second) = try await (
                cells("POWER8:POWER10", shard: "1/2"), cells("POWER8:POWER10", shard: "2/2")
            )
            #expect(!first.rows.isEmpty && !second.rows.isEmpty)
            #expect(Set(first.rows + second.rows) == Set(whole.rows))
            #expect(first.rows.count + second.rows.count == whole.rows.count)
            #expect(try await cells("POWER8:POWER7", shard: "").status == .exited(64))
            #expect(try folder.names() == ["kernel"])
        }
    }
}
