// SPDX-License-Identifier: Apache-2.0

import Foundation
import Plans
import RunRecord
import Subprocess
import Testing
import Verification

extension RealGuest {
    /// Plans that nobody wrote, in real guests.
    @Suite struct Soaks {
        /// Takes histories of a seed; returns how the program ended, and the lines of the journal.
        private static func soak(
            in harness: HarnessProcess, _ arguments: [String]
        ) async throws -> (ending: HarnessProcess.Ending, folder: URL, lines: [[String: Any]]) {
            let ending = try await HarnessProcess.start(
                ["soak", "--output", harness.runsDirectory.path, "--slowdown", "4"] + arguments)
            let names = try FileManager.default.contentsOfDirectory(atPath: harness.runsDirectory.path)
            let folder = harness.runsDirectory.appending(path: try #require(names.first))
            let lines = try Data(contentsOf: folder.appending(path: SoakJournal.fileName)).split(separator: 0x0a)
            let objects = try lines.map { line in
                try #require(try JSONSerialization.jsonObject(with: line) as? [String: Any])
            }
            let identifier = try #require(folder.lastPathComponent.split(separator: "-").last)
            #expect(try leftovers(of: [String(identifier)]) == [])
            return (ending, folder, objects)
        }

        /// A kernel that is right in all that is known of it.
        @Test(.long) func raisesNoFalseAlarm() async throws {
            let harness = try HarnessProcess()
            defer { harness.cleanUp() }
            let soak = try await Self.soak(in: harness, ["--seed", "1", "--runs", "6", "--steps", "10"])
            #expect(soak.ending.status == .exited(0), "\(soak.ending.errors)\(soak.ending.output)")
            #expect(soak.lines.last?["verificationCount"] as? Int == 66)
            #expect(soak.lines.last?["droppedRecordCount"] as? Int == 6)
        }

        /// The plug that fails inside a memory block (plans/half-added-block.yaml), found by nothing but chance, and what it
        /// takes: little memory, and a plug.
        @Test(.long) func findsAHalfAddedBlock() async throws {
            let harness = try HarnessProcess()
            defer { harness.cleanUp() }
            let soak = try await Self.soak(
                in: harness,
                [
                    "--seed", "1", "--runs", "1", "--steps", "8", "--shrink-tries", "10", "--allocation-failures",
                    "--kernel", "6.12-4k", "--cpu", "POWER8",
                ])
            #expect(soak.ending.status == .exited(1), "\(soak.ending.errors)\(soak.ending.output)")
            let shrunk = try #require(soak.lines.first { $0["kind"] as? String == "history.shrunk" })
            let record = URL(filePath: try #require(shrunk["record"] as? String))
            let file = URL(filePath: try #require(shrunk["plan"] as? String))
            let plan = try Plan(yaml: String(contentsOf: file, encoding: .utf8))
            // Each with what is allowed of it, and a verification.
            #expect(plan.steps.count <= 6, "\(plan.steps)")
            #expect(plan.steps.contains { if case .guest(.leaveFree) = $0 { true } else { false } })
            #expect(plan.steps.last == .verify || plan.steps.last == .verifyAllStructPages)
            let results = try JSONDecoder().decode(
                RunResults.self, from: Data(contentsOf: record.appending(path: "results.json")))
            #expect(
                Set(results.failures.flatMap { $0.findings.map(\.name) })
                    == ["sections-section-without-memory", "sections-block-differs"])
            for url in [record, file.deletingLastPathComponent()] {
                #expect(try await HarnessProcess.start(["verify", url.path]).status == .exited(1))
            }
        }
    }
}
