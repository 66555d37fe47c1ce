// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Detection
import Foundation
import RunRecord
import Testing

@testable import qemu_harness

@Suite struct ScoreTests {
    @Test func takesItsOptions() throws {
        let command = try ScoreCommand.parse([
            "runs/a", "runs/b", "--mutants", "7", "--damages", "9", "--seed", "18446744073709551615", "--kernel", "6.1",
            "--cpu", "POWER10",
        ])
        #expect(command.records == ["runs/a", "runs/b"])
        #expect((command.mutants, command.damages, command.seed) == (7, 9, .max))
        #expect(command.kernel == ["6.1"] && command.cpu == ["POWER10"])
    }

    @Test(arguments: [
        ([], "nothing to spoil"), (["--mutants", "5"], "nothing to spoil"),
        (["a", "--mutants", "10000001"], "--mutants 10000001 is outside 0 to 10000000"),
        (["--damages=-1"], "--damages -1 is outside"),
        (["--damages", "1", "--cpu", "POWER7"], "no CPU model 'POWER7'"),
    ])
    func refusesOtherArguments(arguments: [String], message: String) throws {
        let error = try #require(throws: (any Error).self) { try ScoreCommand.parse(arguments) }
        #expect(ScoreCommand.message(for: error).contains(message))
        #expect(ScoreCommand.exitCode(for: error).rawValue == ExitStatus.usage)
    }

    private static func tally(_ fates: [(String, DetectionCount.Fate)]) -> DetectionTally {
        var tally = DetectionTally()
        for (index, (name, fate)) in fates.enumerated() { tally.note(fate, of: name) { "\(name): \(index)" } }
        return tally
    }

    /// What is missed is told with its reason, and what nothing explains is no success.
    @Test func tellsWhatIsMissed() {
        let explained = ScoreText(
            seed: 3, mutants: MutantTally(),
            guests: [
                ("6.1 POWER8", Self.tally([("node: phys", .found), ("struct page +0x18", .missed)])),
                (
                    "6.1 POWER9",
                    Self.tally([
                        ("node: phys", .refused), ("node: phys", .unsaid), ("struct page +0x18", .missed),
                        ("struct page +0x18", .found),
                    ])
                ),
            ])
        #expect(!explained.hasSurprises)
        let text = explained.text()
        #expect(text.contains("6 damages (seed 3) to 2 guests: 2 found, 1 refused, 1 left unsaid, 2 missed."))
        #expect(text.contains("| what was damaged | 6.1 POWER8 | 6.1 POWER9 | missed of all |\n|---|---|---|---|\n"))
        #expect(text.contains("| node: phys | 1 | 2 | 0 of 3 (at most 1000.0 ‰) |\n"))
        #expect(text.contains("| struct page +0x18 | 0 of 1 | 1 of 2 | 2 of 3 |\n"))
        #expect(text.contains("- struct page +0x18: 1: of a page in use the kernel may change nearly all"))
        let other = ScoreText(
            seed: 3, mutants: MutantTally(), guests: [("6.1 POWER8", Self.tally([("node: phys", .missed)]))])
        #expect(other.hasSurprises)
        #expect(other.text().contains("- node: phys: 0: **nothing explains it**\n"))
    }
}
