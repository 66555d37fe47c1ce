// SPDX-License-Identifier: Apache-2.0

import Foundation
import RunRecord
import Subprocess
import TestSupport
import Testing
import Verification

@testable import OfflineCommands

/// `runs`, `logs` and `compare`, as somebody uses them.
@Suite struct RunsCommandTests {
    private let folder: TemporaryFolder
    private static let (first, second) = ("20261128T183747Z-qrpkerfj", "20261128T220119Z-vmb8z2fe")

    init() throws {
        folder = try TemporaryFolder()
        for (fixture, name) in [
            ("run-6.1-power9", Self.first), ("run-6.12-4k-power8-failed-plug", Self.second),
        ] {
            try FileManager.default.copyItem(at: SampleRecord.fixture(fixture), to: folder.url.appending(path: name))
        }
        try FileManager.default.createDirectory(
            at: folder.url.appending(path: "20261129T000000Z-damagedx"), withIntermediateDirectories: false)
    }

    private func program(_ arguments: String...) async throws -> HarnessProgram.Ending {
        try await Self.program(arguments, runs: folder.url.path)
    }

    private static func program(_ arguments: [String], runs: String) async throws -> HarnessProgram.Ending {
        try await HarnessProgram.run(arguments + ["--runs-dir", runs])
    }

    @Test func runsAreListed() async throws {
        let all = try await program("runs")
        #expect(all.status == .exited(0))
        #expect(all.output.contains("\(Self.first)  passed"))
        #expect(all.output.contains("plug-refused"))
        #expect(all.output.contains("20261129T000000Z-damagedx: run.json is missing"))
        let some = try await program(
            "runs", "--kernel", "6.12", "--finding", "plug-refused", "--outcome", "passed", "--json")
        let document = try #require(try JSONSerialization.jsonObject(with: Data(some.output.utf8)) as? [String: Any])
        let runs = try #require(document["runs"] as? [[String: Any]])
        #expect(runs.map { $0["run"] as? String } == [Self.second])
        #expect(try await program("runs", "--outcome", "damaged").output.contains("damagedx  damaged"))
        #expect(try await program("runs", "--kernel", "5.4").output.contains("no such runs"))
        for wrong in [["--outcome", "good"], ["--finding", "list-cylce"], ["--outcome"]] {
            #expect(try await program("runs", wrong[0], wrong.dropFirst().joined()).status == .exited(64))
        }
    }

    @Test func oneRunIsShown() async throws {
        let one = try await program("runs", "show", "qrpkerfj")
        #expect(one.status == .exited(0))
        #expect(one.output.contains("passed: "))
        let json = try await program("runs", "show", "qrpkerfj", "--json")
        let document = try #require(try JSONSerialization.jsonObject(with: Data(json.output.utf8)) as? [String: Any])
        #expect((document["steps"] as? [Any])?.count == 5)
        #expect((document["files"] as? [String: Int])?["run.json"] != nil)
        let damaged = try await program("runs", "show", "damagedx")
        #expect(damaged.status == .exited(2))
        #expect(damaged.errors.contains("run.json is missing"))
        #expect(try await program("runs", "show", "nobody").status == .exited(64))
        #expect(try await program("runs", "show", "2026").errors.contains("can be any of"))
    }

    @Test func recordsAreRemoved() async throws {
        #expect(try await program("runs", "prune").status == .exited(64))
        #expect(try await program("runs", "prune", "--older-than", "30").status == .exited(64))
        let dry = try await program("runs", "prune", "--keep-last", "1", "--dry-run")
        #expect(dry.output.contains("would remove \(Self.first)"))
        #expect(FileManager.default.fileExists(atPath: folder.path(Self.first)))
        let real = try await program("runs", "prune", "--keep-last", "1", "--json")
        #expect(real.status == .exited(0))
        let document = try #require(try JSONSerialization.jsonObject(with: Data(real.output.utf8)) as? [String: Any])
        #expect(document["removed"] as? [String] == [Self.first, Self.second])
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder.url.path) == ["20261129T000000Z-damagedx"])
    }

    @Test func runsAreCompared() async throws {
        let text = try await program("compare", "qrpkerfj", "vmb8z2fe")
        #expect(text.status == .exited(0))
        #expect(text.output.contains("cpu: POWER9 / POWER8"))
        let json = try await program("compare", "qrpkerfj", "vmb8z2fe", "--json")
        #expect(try JSONSerialization.jsonObject(with: Data(json.output.utf8)) is [String: Any])
        #expect(try await program("compare", "qrpkerfj", "damagedx").status == .exited(2))
    }

    @Test func aLogIsPrinted() async throws {
        let log = try await program("logs", "qrpkerfj")
        #expect(log.status == .exited(0))
        #expect(log.output.contains("  step     1 boot\n"))
        let json = try await program("logs", "qrpkerfj", "-f", "--json")
        #expect(json.status == .exited(0))
        for line in json.output.split(separator: "\n").prefix(50) {
            #expect(try JSONSerialization.jsonObject(with: Data(line.utf8)) is [String: Any])
        }
        #expect(try await program("logs", "damagedx").status == .exited(2))
    }

    /// The run's process is this one; whoever follows it sees what it says, and ends with it.
    @Test func aRunIsFollowed() async throws {
        let record = try RunDirectory(parent: folder.url, identifier: "goingonx", startedAt: Date())
        var information = RunInformation(
            run: record.name, startedAt: Date(), commandLine: ["x"], versions: .init(harness: "0"),
            guest: .init(
                kernelPath: "k", initramfsPath: "i", cpu: "POWER9", cpuCount: 1, bootMemoryByteCount: 1,
                maximumMemoryByteCount: 1, kernelCommandLine: ""))
        try record.write(information)
        try record.observe(.stepStarted(number: 1, title: "boot"))
        let runs = folder.url.path
        async let followed = Self.program(["logs", "goingonx", "--follow"], runs: runs)
        try await Task.sleep(for: .milliseconds(500))
        #expect(try await program("runs").output.contains("running"))
        try Data("[    1.000000] hello\nand its end".utf8).write(to: record.consoleLog)
        try record.observe(.finding(.init(.list, .cycle, "a node \u{1b}[31m")))
        try record.observe(.runEnded(.passed, error: nil))
        try record.write(RunResults(run: record.name, outcome: .passed, error: nil, steps: []))
        (information.outcome, information.exitCode) = (.passed, 0)
        try record.write(information)
        let result = try await followed
        #expect(result.status == .exited(0), "\(result.errors)")
        for words in ["1 boot", "hello", "and its end", "list-cycle: a node ?[31m", "run      passed"] {
            #expect(result.output.contains(words), "\(words)")
        }
    }

    /// Whoever follows a run whose process is killed gets what it has said, and is told that there is no more.
    @Test func aRunThatIsKilledIsFollowedToThere() async throws {
        let name = "20261128T230000Z-killedxx"
        let directory = folder.url.appending(path: name)
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: false)
        let fixture = SampleRecord.fixture("run-6.1-power9")
        var run = try String(contentsOf: fixture.appending(path: "run.json"), encoding: .utf8)
        run.replace(/"outcome" : "passed",/, with: "")
        try run.write(to: directory.appending(path: "run.json"), atomically: true, encoding: .utf8)
        let events = directory.appending(path: "events.jsonl")
        try Data(
            #"{"schema":2,"seq":1,"time":0.5,"kind":"step.started","step":1,"title":"boot"}"#.utf8 + [0x0a]
        ).write(to: events)
        try Data("[    1.000000] its last words".utf8).write(to: directory.appending(path: "console.log"))

        // A process that holds the record as a run does, and does nothing else.
        let holder = Process()
        holder.executableURL = URL(filePath: "/usr/bin/flock")
        holder.arguments = ["--no-fork", events.path, "sleep", "600"]
        try holder.run()
        while try await !program("runs").output.contains("\(name)  running") {
            try #require(holder.isRunning)
        }
        let runs = folder.url.path
        async let followed = Self.program(["logs", "killedxx", "--follow"], runs: runs)
        try await Task.sleep(for: .milliseconds(500))
        #expect(kill(holder.processIdentifier, SIGKILL) == 0)
        holder.waitUntilExit()
        let ending = try await followed
        #expect(ending.status == .exited(2))
        #expect(ending.output.contains("1 boot") && ending.output.contains("its last words"), "\(ending.output)")
        #expect(ending.errors.contains("the run was killed: its record has no end"), "\(ending.errors)")
    }

    @Test(
        arguments: [
            ("30d", 2_592_000.0), ("0h", 0), ("45m", 2700), ("2w", 1_209_600), ("d", nil), ("-1d", nil), ("1y", nil),
            ("100001d", nil), ("", nil), ("99999999999999999999d", nil), ("+5d", nil),
        ] as [(String, Double?)])
    func agesAreRead(text: String, seconds: Double?) {
        #expect(Age(argument: text)?.seconds == seconds)
    }
}
