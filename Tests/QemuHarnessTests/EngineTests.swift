// SPDX-License-Identifier: Apache-2.0

import Foundation
import Subprocess
import TestSupport
import Testing

/// What engines start, with a program that tells its arguments.
@Suite struct EngineTests {
    private let folder: TemporaryFolder
    private let program: String

    init() throws {
        folder = try TemporaryFolder()
        program = try folder.write(Array("#!/bin/bash\nprintf '[%s]' \"$@\"\nexit 4\n".utf8), to: "program")
        try FileManager.default.setAttributes([.posixPermissions: 0o700], ofItemAtPath: program)
    }

    /// A shard begins where nothing is, and goes on where it was begun; what only has a name was not.
    @Test func aShardBeginsOrGoesOn() async throws {
        let place = folder.path("a shard")
        let arguments = [program, place, "3", "--cells", "c d.yaml"]
        let begins = "[matrix][--cells][c d.yaml][--output][\(place)][--jobs][3]"
        for name in [nil, "a shard/matrix-1/matrix.json"] {
            if let name { try folder.write([], to: name) }
            let ending = try await ScriptProcess.run("engines/take-shard", arguments)
            #expect(ending.output == begins)
            #expect(ending.status == .exited(4))
        }
        try folder.write([], to: "a shard/matrix-2/matrix.jsonl")
        #expect(
            try await ScriptProcess.run("engines/take-shard", arguments).output
                == "[matrix][--resume][\(place)/matrix-2][--retry-infrastructure][1][--jobs][3]")
    }

    @Test func shardsAreJoinedFromTheirFolders() async throws {
        let shards = folder.path("all shards")
        let arguments = [program, shards, "out", "--json"]
        let none = try await ScriptProcess.run("engines/merge-shards", arguments)
        #expect(none.status == .exited(2))
        #expect(none.errors.contains("no shard has left anything in \(shards)"))
        for name in ["1/matrix-x", "2/matrix-y"] { try folder.write([], to: "all shards/\(name)/matrix.json") }
        try folder.write([], to: "all shards/merge.log")
        let ending = try await ScriptProcess.run("engines/merge-shards", arguments)
        #expect(ending.status == .exited(4))
        #expect(ending.output == "[merge][\(shards)/1/matrix-x/][\(shards)/2/matrix-y/][--output][out][--json]")
    }

    /// CPU models have colons between them, plans blanks.
    @Test(arguments: [
        ("POWER8:POWER10", "numa kdump", "2/3", "[--cpu][POWER8][--cpu][POWER10][--shard][2/3]", "[numa][kdump]"),
        ("POWER9", "", "1/1", "[--cpu][POWER9][--shard][1/1]", ""), ("", "*", "", "", "[*]"),
        ("$(x):a b", "", "", "[--cpu][$(x)][--cpu][a b]", ""),
    ])
    func aWorkflowsInputsBecomeArguments(
        cpus: String, plans: String, shard: String, options: String, last: String
    ) async throws {
        try folder.write([], to: "built/vmlinux")
        try folder.write(Array("6.18.0-rc1\n".utf8), to: "built/kernel.release")
        let ending = try await ScriptProcess.run(
            "engines/github-actions/shard", [program, folder.path("built"), "out", "--json"],
            environment: ["CPUS": cpus, "PLANS": plans, "SHARD": shard])
        #expect(
            ending.output
                == "[matrix][--kernel][\(folder.path("built"))/vmlinux]\(options)[--output][out][--json][--]\(last)")
        #expect(ending.errors == "shard: Linux 6.18.0-rc1\n")
        #expect(ending.status == .exited(4))
    }

    @Test func aSummaryIsWhatIsPrinted() async throws {
        let summary = try folder.write(Array("before\n".utf8), to: "summary")
        let ending = try await ScriptProcess.run(
            "engines/github-actions/with-summary", [program, "a b", "c"], environment: ["GITHUB_STEP_SUMMARY": summary])
        #expect(ending.status == .exited(4))
        #expect(ending.output == "[a b][c]\n")
        #expect(try String(contentsOfFile: summary, encoding: .utf8) == "before\n~~~text\n[a b][c]\n~~~\n")
    }

    @Test(arguments: [
        ("engines/take-shard", []), ("engines/take-shard", ["x", "y"]), ("engines/merge-shards", ["x", "y"]),
        ("engines/github-actions/shard", ["x"]),
        ("engines/github-actions/shard", ["/bin/true", "/nonexistent", "out"]),
        ("engines/github-actions/with-summary", []), ("engines/slurm/submit", []),
        ("engines/slurm/submit", ["--shards", "x", "--cells", "c", "--output", "o"]),
        ("engines/slurm/submit", ["--shards"]), ("scripts/engines-validate", []),
        ("scripts/engines-validate", ["/dev/null"]),
    ])
    func wrongUseIs64(script: String, arguments: [String]) async throws {
        let ending = try await ScriptProcess.run(script, arguments)
        #expect(ending.status == .exited(64), "\(ending.errors)")
        #expect(ending.errors.contains(try #require(script.split(separator: "/").last)))
    }
}
