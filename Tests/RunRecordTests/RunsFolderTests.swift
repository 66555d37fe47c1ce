// SPDX-License-Identifier: Apache-2.0

import Foundation
import TestSupport
import Testing
import Verification

@testable import RunRecord

/// Folders of records, with whatever else may lie there.
@Suite struct RunsFolderTests {
    private let folder: TemporaryFolder

    init() throws { folder = try TemporaryFolder() }

    /// Puts a recorded run into the folder, under a name.
    private func add(_ fixture: String, as name: String) throws {
        try FileManager.default.copyItem(
            at: RecordedRun.fixture(fixture), to: folder.url.appending(path: name))
    }

    /// Makes a run's record say that it came to something else.
    private func change(_ name: String, outcome: Outcome) throws {
        for (file, format) in [
            ("run.json", "\"outcome\" : \"%@\",\n  \"run\""), ("results.json", "\"outcome\" : \"%@\",\n  \"run\""),
        ] {
            let url = folder.url.appending(path: "\(name)/\(file)")
            let old = String(format: format, "passed" as NSString)
            let text = try String(contentsOf: url, encoding: .utf8)
            try #require(text.contains(old))
            try Data(text.replacing(old, with: String(format: format, outcome.rawValue as NSString)).utf8).write(
                to: url)
        }
    }

    private func make(_ name: String, _ files: [String: String] = [:]) throws {
        let url = folder.url.appending(path: name)
        try FileManager.default.createDirectory(at: url, withIntermediateDirectories: false)
        for (file, text) in files { try Data(text.utf8).write(to: url.appending(path: file)) }
    }

    @Test func whatLiesThereIsListed() throws {
        try add("run-6.1-power9", as: "20261128T183747Z-qrpkerfj")
        try add("run-6.1-power8", as: "somebody's copy")
        try make("20261101T000000Z-cutoffxx")
        try make("notes")
        try make("soak-20261101T000000Z-abcdefgh", ["soak.jsonl": ""])
        try make("matrix-20261101T000000Z-abcdefgh", ["matrix.json": ""])
        _ = try folder.write([], to: "20261101T000000Z-afilexxx")
        try FileManager.default.createSymbolicLink(
            atPath: folder.path("latest"), withDestinationPath: "20261128T183747Z-qrpkerfj")
        let runs = try RunsFolder(folder.url)
        #expect(runs.names == ["20261101T000000Z-cutoffxx", "20261128T183747Z-qrpkerfj", "somebody's copy"])
        #expect(runs.soaks == ["soak-20261101T000000Z-abcdefgh"])
        #expect(runs.matrices == ["matrix-20261101T000000Z-abcdefgh"])
        #expect(runs.names.map { runs.summary($0).state } == [.damaged, .ended, .ended])
        #expect(throws: (any Error).self) { try RunsFolder(folder.url.appending(path: "nowhere")) }
    }

    @Test func aRunIsFound() throws {
        try make("20261101T000000Z-aaaaaaaa")
        try make("20261101T000001Z-bbbbbbbb")
        let names = [
            "20261101T000000Z-aaaaaaaa", "aaaaaaaa", "20261101T000000", folder.path("20261101T000000Z-aaaaaaaa"),
        ]
        for name in names {
            #expect(RunsFolder.find(name, in: folder.url).record?.lastPathComponent == "20261101T000000Z-aaaaaaaa")
        }
        #expect(RunsFolder.find("2026", in: folder.url).candidates.count == 2)
        #expect(RunsFolder.find("cccc", in: folder.url) == (nil, []))
    }

    @Test(
        arguments: [
            ("20261128T183747Z-qrpkerfj", 1_795_891_067.0), ("20261128T183747Z-", nil), ("20261128T183747Z", nil),
            ("20269928T183747Z-qrpkerfj", nil), ("soak-20261128T183747Z-qrpkerfj", nil), ("latest", nil),
            ("20261128T183747Z-../../x", nil), ("", nil),
        ] as [(String, Double?)])
    func namesSayWhenRunsBegan(name: String, time: Double?) {
        #expect(RunsFolder.start(ofRun: name)?.timeIntervalSince1970 == time)
    }

    /// A record that somebody has damaged is told of, and nothing more.
    @Test(
        arguments: [
            ("run.json", nil, RecordSummary.State.damaged, "run.json is missing"),
            ("run.json", "{", .damaged, "run.json is cut off"), ("run.json", "{\"schema\": 9}", .damaged, "schema 9"),
            ("results.json", nil, .damaged, "results.json is missing"),
            ("results.json", "[]", .damaged, "results.json"),
            (
                "results.json", "{\"schema\":3,\"run\":\"x\",\"outcome\":\"failed\",\"steps\":[],\"allowedUnsaid\":[]}",
                .damaged,
                "has the outcome 'failed', run.json 'passed'"
            ),
            ("events.jsonl", nil, .ended, ""), ("snapshot-2.json", "{", .ended, ""),
        ] as [(String, String?, RecordSummary.State, String)])
    func damageIsTold(file: String, content: String?, state: RecordSummary.State, problem: String) throws {
        try add("run-6.1-power9", as: "20261128T183747Z-qrpkerfj")
        let url = folder.url.appending(path: "20261128T183747Z-qrpkerfj/\(file)")
        try FileManager.default.removeItem(at: url)
        if let content { try Data(content.utf8).write(to: url) }
        let summary = try RunsFolder(folder.url).summary("20261128T183747Z-qrpkerfj")
        #expect(summary.state == state)
        #expect(
            problem.isEmpty ? summary.problem == nil : summary.problem?.contains(problem) == true,
            "\(summary.problem ?? "none")")
        #expect((summary.outcome == nil) == (state == .damaged))
        _ = summary.steps()
        _ = try RunDirectory.json(summary)
    }

    @Test func aRunThatGoesOnHoldsItsRecord() throws {
        let name: String
        do {
            let directory = try RunDirectory(parent: folder.url, identifier: "goingonx", startedAt: Date())
            name = directory.name
            try directory.write(
                RunInformation(
                    run: name, startedAt: Date(), commandLine: ["x"], versions: .init(harness: "0"),
                    guest: .init(
                        kernelPath: "k", initramfsPath: "i", cpu: "POWER9", cpuCount: 1, bootMemoryByteCount: 1,
                        maximumMemoryByteCount: 1, kernelCommandLine: "")))
            try directory.observe(.stepStarted(number: 1, title: "boot"))
            try directory.observe(.finding(.init(.list, .cycle, "x")))
            let summary = try RunsFolder(folder.url).summary(name)
            #expect(summary.state == .running)
            #expect(summary.problem == nil)
            #expect(summary.steps().map(\.title) == ["boot"])
            #expect(summary.steps().map(\.findings) == [["list-cycle": 1]])
            let pruning = RunPruning(
                try RunsFolder(folder.url), olderThan: .distantFuture, keepLast: 0, removesLastFailing: true,
                keptGuests: [])
            #expect(pruning.removed.isEmpty)
            #expect(pruning.kept.map(\.reason) == [.running])
            // Whoever asks takes no lock from it.
            #expect(RecordLock.isHeld(in: directory.url))
        }
        #expect(try RunsFolder(folder.url).summary(name).state == .cutOff)
    }

    // MARK: - Pruning

    /// Five records of five days, of which the second and the fourth failed.
    private func makeFive() throws -> RunsFolder {
        for day in 1...5 {
            let name = "2026110\(day)T000000Z-aaaaaaa\(day)"
            if day == 3 {
                try make(name)
            } else {
                try add("run-6.1-power9", as: name)
            }
            if day % 2 == 0 { try change(name, outcome: .failed) }
        }
        return try RunsFolder(folder.url)
    }

    @Test func whatIsOldGoes() throws {
        let runs = try makeFive()
        func days(
            olderThan day: Int?, keepLast count: Int?, lastFailing: Bool = false, kept: Set<String> = []
        ) -> [String] {
            let limit = day.flatMap { RunsFolder.start(ofRun: "2026110\($0)T000000Z-x") }
            return RunPruning(
                runs, olderThan: limit, keepLast: count, removesLastFailing: lastFailing, keptGuests: kept
            ).removed.map { String($0.suffix(1)) }
        }
        #expect(days(olderThan: 3, keepLast: nil) == ["1", "2"])
        #expect(days(olderThan: 6, keepLast: nil) == ["1", "2", "3", "5"])
        #expect(days(olderThan: 6, keepLast: nil, lastFailing: true) == ["1", "2", "3", "4", "5"])
        #expect(days(olderThan: nil, keepLast: 2) == ["1", "2", "3"])
        #expect(days(olderThan: nil, keepLast: 1) == ["1", "2", "3"])
        #expect(days(olderThan: 3, keepLast: 4) == ["1"])
        #expect(days(olderThan: nil, keepLast: 100) == [])
        #expect(days(olderThan: 3, keepLast: nil, kept: ["aaaaaaa1"]) == ["2"])
        #expect(days(olderThan: nil, keepLast: 0, kept: ["aaaaaaa5"]) == ["1", "2", "3"])
    }

    @Test func whatSomebodyNamedStays() throws {
        try add("run-6.1-power9", as: "keep me")
        let pruning = RunPruning(
            try RunsFolder(folder.url), olderThan: nil, keepLast: 0, removesLastFailing: true, keptGuests: [])
        #expect(pruning.removed.isEmpty)
        #expect(pruning.kept.map(\.reason) == [.renamed])
    }
}
