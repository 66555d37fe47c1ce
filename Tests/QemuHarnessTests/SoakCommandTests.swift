// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Foundation
import RunRecord
import Testing

@testable import qemu_harness

@Suite struct SoakCommandTests {
    @Test func takesItsOptions() throws {
        let command = try SoakCommand.parse([
            "--for", "10min", "--runs", "7", "--seed", "9007199254740991", "--from", "3", "--kernel", "6.1",
            "--kernel", "6.12-4k", "--cpu", "POWER10", "--steps", "40", "--allocation-failures", "--keep-clean",
            "--shrink-tries", "5", "--output", "/tmp/s", "--json",
        ])
        #expect(command.duration == .seconds(600))
        #expect((command.runs, command.seed, command.from) == (7, 9_007_199_254_740_991, 3))
        #expect(command.kernel == ["6.1", "6.12-4k"] && command.cpu == ["POWER10"])
        #expect((command.steps, command.shrinkTries, command.output) == (40, 5, "/tmp/s"))
        #expect(command.allocationFailures && command.keepClean && command.json)
    }

    @Test(arguments: [("30s", 30), ("10min", 600), ("8h", 28800)]) func takesTimes(text: String, seconds: Int) throws {
        #expect(try SoakCommand.duration(text) == .seconds(seconds))
    }

    @Test(arguments: [
        (["--for", "10"], "'10' is no time"), (["--for", "0s"], "'0s' is no time"), (["--for=-1s"], "is no time"),
        (["--for", "1d"], "'1d' is no time"), (["--for", "99999999999999999999s"], "is no time"),
        (["--cpu", "POWER7"], "no CPU model 'POWER7'"), (["--runs", "0"], "--runs 0 is outside"),
        (["--from", "0"], "--from 0 is outside"), (["--steps", "301"], "--steps 301 is outside 1 to 300"),
        (["--shrink-tries", "10001"], "--shrink-tries 10001 is outside"), (["--seed=-1"], "-1"),
        (["--seed", "9007199254740992"], "--seed is not less than 2^53"),
        (["--slowdown", "0"], "--slowdown 0.0 is outside"), (["plan.yaml"], "plan.yaml"),
    ])
    func refusesOtherArguments(arguments: [String], message: String) throws {
        let error = try #require(throws: (any Error).self) { try SoakCommand.parse(arguments) }
        #expect(SoakCommand.message(for: error).contains(message))
        #expect(SoakCommand.exitCode(for: error).rawValue == ExitStatus.usage)
    }

    /// What a person needs stands last, and the commands are whole.
    @Test func saysHowToGoOn() {
        var summary = SoakSummary(seed: 42, first: 3, options: ["--cpu", "POWER8", "--steps", "16"])
        summary.add(
            SoakHistory(
                number: 3, kernel: "6.1", cpu: "POWER8", outcome: .failed, seconds: 1, verificationCount: 17,
                entryCount: 400, refusals: ["guest-refused": 2], findings: ["list-cycle"], failedStep: "verify"))
        summary.outcome = .failed
        let text = SoakText(summary: summary, folder: URL(filePath: "/tmp/soak")).text()
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
        #expect(lines.contains("  list-cycle  1") && lines.contains("  guest-refused  2"))
        #expect(lines.contains("seed 42, history 3"))
        #expect(lines.contains("go on: qemu-harness soak --seed 42 --cpu POWER8 --steps 16 --from 4"))
        #expect(
            lines.contains(
                "one again: qemu-harness soak --seed 42 --cpu POWER8 --steps 16 --from N --runs 1 --keep-clean"))
        #expect(text.hasSuffix("\nfailed: /tmp/soak\nmore:   qemu-harness explain list-cycle\n"))
    }
}
