// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc
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

        /// Files of this process may grow no more at some time, as on a full disk: in the middle of a line, even.
        @Test(.long) func aFullDiskLosesNothing() async throws {
            let harness = try HarnessProcess()
            defer { harness.cleanUp() }
            let ending = try await HarnessProcess.start(
                Self.arguments(harness) + ["--runs", "4", "--keep-clean", "--json"]
            ) { process in
                let journal = try await Self.journal(in: harness, lineCount: 2)
                // What a run writes is larger than this too, so that either may be the first to fail.
                let size = try Data(contentsOf: journal).count + 20
                let limit = try await Subprocess.run(
                    .name("prlimit"), arguments: ["--pid", "\(process.value)", "--fsize=\(size):\(size)"],
                    output: .discarded)
                #expect(limit.terminationStatus == .exited(0))
            }
            #expect(ending.status == .exited(2), "\(ending.errors)\(ending.output)")
            #expect(ending.errors.contains("cannot write soak.jsonl"), "\(ending.errors)")
            let journal = try await Self.journal(in: harness, lineCount: 2)
            let data = try Data(contentsOf: journal)
            #expect(data.last == 0x0a)
            let lines = try data.split(separator: 0x0a).map { line in
                try #require(try JSONSerialization.jsonObject(with: line) as? [String: Any])
            }
            #expect(lines.map { $0["kind"] as? String } == ["soak.started", "history.ended"])
            let record = try #require(lines[1]["record"] as? String)
            #expect(try await HarnessProcess.start(["verify", record]).status == .exited(0))
            let identifier = try #require(
                journal.deletingLastPathComponent().lastPathComponent.split(separator: "-").last)
            #expect(try leftovers(of: [String(identifier)]) == [])
        }

        /// What is left of a soak that was killed tells how to go on, and whoever does so takes up what it has left.
        @Test(.long) func aKilledSoakGoesOn() async throws {
            let harness = try HarnessProcess()
            defer { harness.cleanUp() }
            let ending = try await HarnessProcess.start(Self.arguments(harness) + ["--keep-clean"]) { process in
                _ = try await Self.journal(in: harness, lineCount: 3)
                try #require(kill(process.value, SIGKILL) == 0)
            }
            #expect(ending.status == .signaled(SIGKILL))
            let journal = try await Self.journal(in: harness, lineCount: 3)
            let lines = try Data(contentsOf: journal).split(separator: 0x0a).map { line in
                try #require(try JSONSerialization.jsonObject(with: line) as? [String: Any])
            }
            #expect(lines.map { $0["kind"] as? String } == ["soak.started", "history.ended", "history.ended"])
            let command = try #require(lines.last?["goingOn"] as? String)
            #expect(command.hasSuffix(" --from 3"))
            let words = command.split(separator: " ").dropFirst().map(String.init)
            let second = try await HarnessProcess.start(
                words + ["--output", harness.runsDirectory.path, "--slowdown", "4", "--runs", "1", "--json"])
            #expect(second.status == .exited(0), "\(second.errors)\(second.output)")
            #expect(second.output.contains("\"next\" : 4"), "\(second.output)")
            let identifiers = try FileManager.default.contentsOfDirectory(atPath: harness.runsDirectory.path).compactMap
            {
                $0.split(separator: "-").last.map(String.init)
            }
            #expect(identifiers.count == 2)
            #expect(try leftovers(of: identifiers) == [])
        }

        /// A soak of short histories.
        private static func arguments(_ harness: HarnessProcess) -> [String] {
            ["soak", "--output", harness.runsDirectory.path, "--slowdown", "4", "--seed", "3", "--steps", "2"]
        }

        /// Waits until the journal has so many lines.
        private static func journal(in harness: HarnessProcess, lineCount: Int) async throws -> URL {
            while true {
                let names = try FileManager.default.contentsOfDirectory(atPath: harness.runsDirectory.path)
                if let name = names.first {
                    let file = harness.runsDirectory.appending(path: name).appending(path: SoakJournal.fileName)
                    if let data = try? Data(contentsOf: file), data.count(where: { $0 == 0x0a }) >= lineCount {
                        return file
                    }
                }
                try await Task.sleep(for: .milliseconds(20))
            }
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
