// SPDX-License-Identifier: Apache-2.0

import Foundation
import TestSupport
import Testing
import Verification

@testable import RunRecord

/// The folder of a matrix, written and read back, and joined.
@Suite struct MatrixRecordTests {
    private let folder: TemporaryFolder

    init() throws { folder = try TemporaryFolder() }

    private static let records = ["run-6.1-power8", "run-6.1-power8-unplug"]
    private static let cells = (try? cells(of: records)) ?? []

    /// Four cells, whose plans are in turn those of these records.
    private static func cells(of records: [String]) throws -> [MatrixCell] {
        try (1...4).map { number in
            var cell = MatrixCell(
                number: number, plan: "plan-\(number)", planName: "plan-\(number)", kernel: "6.1", kernelName: "6.1",
                cpu: "POWER8", weight: 1)
            let plan = try RecordedRun.fixture(records[(number - 1) % records.count]).appending(path: "plan.yaml")
            cell.planDigest = try ContentDigest.sha256Digits(ofFile: plan)
            return cell
        }
    }

    private func information(
        _ name: String, shard: Shard = .whole, part: [Int]? = nil, cells: [MatrixCell] = cells, options: [String] = [],
        harness: String = "0.1.0"
    ) -> MatrixInformation {
        MatrixInformation(
            matrix: name, startedAt: Date(timeIntervalSince1970: 1_795_891_067), harness: harness,
            commandLine: ["qemu-harness", "matrix"], runOptions: options, cells: cells, shard: shard,
            part: part ?? shard.part(of: cells).map(\.number))
    }

    private func journal(
        _ identifier: String = "test", _ describe: (_ name: String) -> MatrixInformation
    ) throws -> MatrixJournal {
        try MatrixJournal(
            parent: folder.url, identifier: identifier, startedAt: Date(timeIntervalSince1970: 0), describe)
    }

    private func ending(_ outcome: Outcome, findings: [String: Int] = [:]) -> MatrixEnding {
        var ending = MatrixEnding(outcome: outcome, seconds: 1.5, error: outcome == .error ? "made up" : nil)
        (ending.findings, ending.verificationCount, ending.entryCount) = (findings, 2, 48)
        return ending
    }

    private let first = MatrixAttempt(cell: 1, attempt: 1, run: "aaaaaaaa")

    @Test func isReadBack() async throws {
        let journal = try journal { information($0) }
        try journal.note(.cellStarted(first, at: Date(timeIntervalSince1970: 1)))
        try journal.note(.cellEnded(first, ending(.error)))
        let second = MatrixAttempt(cell: 1, attempt: 2, run: "bbbbbbbb")
        try journal.note(.cellStarted(second, at: Date(timeIntervalSince1970: 2)))
        try journal.note(.cellEnded(second, ending(.failed, findings: ["list-cycle": 3])))
        try journal.note(.cellStarted(MatrixAttempt(cell: 2, attempt: 1, run: "c"), at: Date(timeIntervalSince1970: 3)))
        try journal.note(.resumed(commandLine: ["x"], at: Date(timeIntervalSince1970: 4)))
        try journal.note(.ended(.failed))

        let record = try MatrixRecord(journal.url)
        #expect(record.information == information(journal.url.lastPathComponent))
        #expect(record.cells.map { $0.attempts.map { $0.ending?.outcome } } == [[.error, .failed], [nil], [], []])
        #expect(record.cells[0].ending == ending(.failed, findings: ["list-cycle": 3]))
        #expect(record.outcome == .failed)

        let lines = try Data(contentsOf: journal.url.appending(path: MatrixJournal.fileName))
        let refusals = try await JSONSchema("matrix-events").refusals(of: lines)
        #expect(refusals.count == 7 && refusals.allSatisfy { $0 == nil }, "\(refusals)")
        let document = try Data(contentsOf: journal.url.appending(path: MatrixJournal.informationName))
        #expect(try await JSONSchema("matrix").refusals(of: document) == [nil])
    }

    /// What a matrix is that has no findings: nothing that was not taken counts as right.
    @Test(arguments: [
        ([Outcome.passed, .passed, .passed, .passed], Outcome.passed), ([.passed, .passed, .passed], .interrupted),
        ([.passed, .incomplete, .passed, .passed], .incomplete), ([.passed, .incomplete, .error, .passed], .error),
        ([.failed, .error], .failed), ([], .interrupted), ([.passed, .passed, .passed, .interrupted], .interrupted),
    ])
    func comesToTheWorst(outcomes: [Outcome], outcome: Outcome) throws {
        let journal = try journal { information($0) }
        for (index, outcome) in outcomes.enumerated() {
            let attempt = MatrixAttempt(cell: index + 1, attempt: 1, run: "r\(index)")
            try journal.note(.cellStarted(attempt, at: Date()))
            try journal.note(.cellEnded(attempt, ending(outcome)))
        }
        #expect(try MatrixRecord(journal.url).outcome == outcome)
    }

    /// What stands in the journal counts where a record of the cell's own run says the same.
    @Test func aPassNeedsItsRecord() throws {
        let good = try shard(1, of: 1, as: "a")
        #expect(good.checked().problems == [])
        for (cell, edit) in [
            (0, { try FileManager.default.removeItem(at: $0) }),
            (1, { try FileManager.default.removeItem(at: $0.appending(path: "results.json")) }),
            (
                2,
                {
                    let file = $0.appending(path: "run.json")
                    let text = try String(contentsOf: file, encoding: .utf8)
                    try Data(text.replacing("\"outcome\" : \"passed\"", with: "\"outcome\" : \"incomplete\"").utf8)
                        .write(to: file)
                }
            ),
            (3, { try Data("description: x".utf8).write(to: $0.appending(path: "plan.yaml")) }),
        ] as [(Int, (URL) throws -> Void)] {
            try edit(good.url.appending(path: try #require(good.cells[cell].ending?.record)))
        }
        let (record, problems) = try MatrixRecord(good.url).checked()
        #expect(problems.count == 4, "\(problems)")
        #expect(record.cells.allSatisfy { $0.outcome == .error && $0.ending?.error != nil })
        #expect(record.outcome == .error)
    }

    /// A run that was ended by a signal behind what nobody could excuse any more has failed; before that it is taken again.
    @Test(
        arguments: [
            ([("plug", ["plug-refused"], nil), ("verify", [], nil)], Outcome.failed),
            ([("plug", ["plug-refused"], nil)], .interrupted),
            ([("plug", ["plug-refused"], nil), ("expect", [], ["plug-refused"])], .interrupted),
            ([("plug", ["plug-refused"], nil), ("expect", [], ["plug-refused"]), ("verify", [], nil)], .interrupted),
            ([("plug", ["plug-refused"], nil), ("expect", [], ["list-cycle"]), ("verify", [], nil)], .failed),
        ] as [([(String, [String], [String]?)], Outcome)])
    func whatIsFoundStaysFound(steps: [(String, [String], [String]?)], outcome: Outcome) throws {
        let results = RunResults(
            run: "x", outcome: .interrupted, error: nil,
            steps: steps.enumerated().map { index, step in
                var result = StepResult(number: index + 1, title: step.0, seconds: 0, outcome: .passed)
                result.findings = step.1.isEmpty ? nil : [Finding(.plug, .refused, "made up")]
                result.expectedFindings = step.2
                return result
            })
        #expect(results.hasFailedForGood == (outcome == .failed))
    }

    /// What was being written when the process died is no line, and what comes later begins one.
    @Test func aLineThatHasNoEndIsTakenOut() throws {
        let url = try begun()
        let file = url.appending(path: MatrixJournal.fileName)
        let whole = try Data(contentsOf: file)
        try (whole + Data("{\"schema\":1,\"kin".utf8)).write(to: file)
        #expect(try MatrixRecord(url).cells[0].attempts.count == 1)
        let continued = try MatrixJournal(continuing: url)
        try continued.note(.cellEnded(first, ending(.passed)))
        #expect(try MatrixRecord(url).cells[0].ending?.outcome == .passed)
        #expect(throws: RecordProblem.self) { try MatrixJournal(continuing: url) }
    }

    /// The folder of a matrix whose process died behind its first line.
    private func begun() throws -> URL {
        let journal = try journal { information($0) }
        try journal.note(.cellStarted(first, at: Date(timeIntervalSince1970: 1)))
        return journal.url
    }

    @Test(arguments: [
        ("{}", "a line 1 that is none of its form"),
        (#"{"schema":2,"kind":"matrix.ended","outcome":"passed"}"#, "a line 1 that is none of its form"),
        (#"{"schema":1,"kind":"cell.died"}"#, "none of its form"),
        (
            #"{"schema":1,"kind":"cell.started","time":"2026-11-29T00:00:00Z","cell":9,"attempt":1,"run":"x"}"#,
            "a cell 9 that it has not"
        ),
        (
            #"{"schema":1,"kind":"cell.started","time":"2026-11-29T00:00:00Z","cell":1,"attempt":2,"run":"x"}"#,
            "run 2 of cell 1 behind run 0"
        ),
        (
            #"{"schema":1,"kind":"cell.ended","cell":1,"attempt":1,"run":"x","outcome":"passed","seconds":1,"verificationCount":0,"entryCount":0,"findings":{}}"#,
            "the end of a run of cell 1 that had not begun"
        ),
        (
            #"{"schema":1,"kind":"cell.started","time":"2026-11-29T00:00:00Z","cell":1,"attempt":1,"run":"x"}"# + "\n"
                + #"{"schema":1,"kind":"cell.ended","cell":1,"attempt":1,"run":"x","outcome":"passed","seconds":1,"record":"../../etc","verificationCount":0,"entryCount":0,"findings":{}}"#,
            "names a record of cell 1 that is none of its run"
        ),
        (
            #"{"schema":1,"kind":"cell.started","time":"2026-11-29T00:00:00Z","cell":1,"attempt":1,"run":"x"}"# + "\n"
                + #"{"schema":1,"kind":"cell.ended","cell":1,"attempt":1,"run":"x","outcome":"passed","seconds":1,"verificationCount":0,"entryCount":9223372036854775807,"findings":{}}"#,
            "an end of cell 1 that cannot be"
        ),
        (
            #"{"schema":1,"kind":"cell.started","time":"2026-11-29T00:00:00Z","cell":1,"attempt":1,"run":"x"}"# + "\n"
                + #"{"schema":1,"kind":"cell.ended","cell":1,"attempt":1,"run":"x","outcome":"passed","seconds":-1,"verificationCount":0,"entryCount":0,"findings":{}}"#,
            "an end of cell 1 that cannot be"
        ),
        (
            #"{"schema":1,"kind":"cell.started","time":"2026-11-29T00:00:00Z","cell":1,"attempt":1,"run":"x"}"# + "\n"
                + #"{"schema":1,"kind":"cell.started","time":"2026-11-29T00:00:00Z","cell":2,"attempt":1,"run":"x"}"#,
            "has the run 'x' twice"
        ),
    ])
    func refusesLines(lines: String, message: String) throws {
        let journal = try journal { information($0) }
        try Data((lines + "\n").utf8).write(to: journal.url.appending(path: MatrixJournal.fileName))
        let problem = try #require(throws: RecordProblem.self) { try MatrixRecord(journal.url) }
        #expect("\(problem)".contains(message), "\(problem)")
    }

    @Test(arguments: [
        ("\"part\" : [1,2,3,4]", "\"part\" : [1,2,3,3]", "a cell twice"),
        ("\"part\" : [1,2,3,4]", "\"part\" : [9]", "a cell twice"),
        ("\"schema\" : 1", "\"schema\" : 7", "has schema 7"), ("\"index\" : 1", "\"index\" : 2", "cannot be"),
        ("\"weight\" : 1", "\"weight\" : 1e308", "cannot be"), ("\"weight\" : 1", "\"weight\" : -1", "cannot be"),
    ])
    func refusesInformation(old: String, new: String, message: String) throws {
        let journal = try journal { information($0) }
        let file = journal.url.appending(path: MatrixJournal.informationName)
        let text = try String(contentsOf: file, encoding: .utf8)
        let edited = text.replacing(old, with: new)
        try #require(edited != text, "\(text)")
        try Data(edited.utf8).write(to: file)
        let problem = try #require(throws: RecordProblem.self) { try MatrixRecord(journal.url) }
        #expect("\(problem)".contains(message), "\(problem)")
    }

    // MARK: - Shards

    /// What a shard leaves: its cells have passed, in records of real runs.
    private func shard(
        _ index: Int, of count: Int = 2, as identifier: String, cells: [MatrixCell] = cells, options: [String] = [],
        part: [Int]? = nil, records: [String] = records, harness: String = "0.1.0", isThrough: Bool = true
    ) throws -> MatrixRecord {
        let shard = try #require(Shard(index: index, count: count))
        let journal = try journal(identifier) {
            information($0, shard: shard, part: part, cells: cells, options: options, harness: harness)
        }
        for number in try MatrixRecord(journal.url).information.part {
            let run = "\(identifier)\(number)"
            let attempt = MatrixAttempt(cell: number, attempt: 1, run: run)
            let name = "20261128T162116Z-\(run)"
            try FileManager.default.copyItem(
                at: RecordedRun.fixture(records[(number - 1) % records.count]), to: journal.url.appending(path: name))
            var ending = MatrixEnding(outcome: .passed, seconds: 9)
            ending.take(RecordSummary(of: journal.url.appending(path: name)))
            try journal.note(.cellStarted(attempt, at: Date()))
            if isThrough { try journal.note(.cellEnded(attempt, ending)) }
        }
        return try MatrixRecord(journal.url)
    }

    @Test func areJoined() throws {
        let shards = try [shard(2, as: "b"), shard(1, as: "a")]
        let parent = folder.url.appending(path: "joined")
        let joined = try MatrixMerge(shards).write(
            parent: parent, identifier: "joined", startedAt: Date(), commandLine: ["merge"])
        #expect(joined.information.shard == .whole)
        #expect(joined.cells.map(\.cell) == Self.cells)
        #expect(joined.outcome == .passed)
        for cell in joined.cells {
            let ending = try #require(cell.ending)
            #expect(ending.verificationCount > 0 && ending.entryCount > 0)
            let record = joined.url.appending(path: try #require(ending.record))
            #expect(RecordSummary(of: record).state == .ended)
        }
    }

    @Test func whatDoesNotBelongTogetherIsRefusedByName() throws {
        var otherPlan = Self.cells
        otherPlan[2].planDigest = "other"
        var otherKernel = Self.cells
        otherKernel[2].kernelDigest = "other"
        var otherCell = Self.cells
        otherCell[2].cpu = "POWER9"
        let mixedRecords = ["run-6.1-power8", "run-6.12-64k-power8"]
        let mixed = try Self.cells(of: mixedRecords)
        let one = try shard(1, as: "a")
        let cases: [([MatrixRecord], String)] = try [
            ([], "merge has no shards to join"),
            ([one], "merge lacks shards: 2/2"),
            ([one, shard(1, as: "b")], "is shard 1/2, and so is matrix-"),
            ([one, shard(2, of: 3, as: "c")], "has the number of shards '3', and matrix-"),
            ([one, shard(2, as: "d", cells: otherPlan)], "has another plan plan-3 than matrix-"),
            ([one, shard(2, as: "q", cells: otherKernel)], "has another kernel 6.1 than matrix-"),
            ([one, shard(2, as: "e", cells: otherCell)], "has cell 3 'plan-3, 6.1, POWER9, weight 1.0', and matrix-"),
            (
                [one, shard(2, as: "f", options: ["--slowdown", "2.0"])],
                "has the options '--slowdown 2.0', and matrix-"
            ),
            ([one, shard(2, as: "g", cells: Array(Self.cells.prefix(3)), part: [2])], "has the number of cells '3'"),
            ([one, shard(2, as: "h", part: [1, 2, 4])], "has taken cell 1, and so has matrix-"),
            ([one, shard(2, as: "i", part: [2])], "merge lacks cells: 4"),
            ([one, shard(2, as: "j", harness: "0.2.0")], "has qemu-harness '0.2.0', and matrix-"),
            (
                [one, shard(2, as: "k", records: ["run-6.1-power9"])],
                "has cell 2 (plan-2, 6.1, POWER8): its record is of POWER9"
            ),
            (
                [one, shard(2, as: "m", records: ["run-6.12-64k-power8"])],
                "has cell 2 (plan-2, 6.1, POWER8): its record is of another plan"
            ),
            (
                [one, shard(2, as: "n", isThrough: false)],
                "has not taken cell 2 (plan-2, 6.1, POWER8): matrix --resume"
            ),
            (
                [
                    shard(1, as: "o", cells: mixed, records: mixedRecords),
                    shard(2, as: "p", cells: mixed, records: mixedRecords),
                ],
                "has the kernel 6.1 6.12.95+deb12-powerpc64le-64k in 20261128T162116Z-p2, and matrix-"
            ),
        ]
        for (shards, message) in cases {
            let problem = try #require(throws: RecordProblem.self) { try MatrixMerge(shards) }
            #expect("\(problem)".contains(message), "\(problem)")
        }
        // Another QEMU, as the run's own record says it.
        let other = try shard(2, as: "l")
        let record = other.url.appending(path: try #require(other.cells[0].ending?.record)).appending(path: "run.json")
        let text = try String(contentsOf: record, encoding: .utf8)
        try Data(text.replacing("7.2.22Debian", with: "10.0.1Debian").utf8).write(to: record)
        let problem = try #require(throws: RecordProblem.self) { try MatrixMerge([one, other]) }
        #expect("\(problem)".contains("has QEMU 10.0.1Debian"), "\(problem)")
    }
}
