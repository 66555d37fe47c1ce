// SPDX-License-Identifier: Apache-2.0

import Foundation
import RunRecord
import TestSupport
import Testing

@Suite struct RunDirectoryTests {
    private let folder: TemporaryFolder
    private static let start = Date(timeIntervalSince1970: 1_700_000_000)

    private func directory(_ identifier: String) throws -> RunDirectory {
        try RunDirectory(parent: folder.url, identifier: identifier, startedAt: Self.start)
    }

    private func text(_ name: String, of directory: RunDirectory) throws -> String {
        try String(contentsOf: directory.url.appending(path: name), encoding: .utf8)
    }

    private func events(of directory: RunDirectory) throws -> [RunEvent] {
        let lines = try text("events.jsonl", of: directory).split(separator: "\n", omittingEmptySubsequences: false)
        #expect(lines.last == "")
        return try lines.dropLast().map { try JSONDecoder().decode(RunEvent.self, from: Data($0.utf8)) }
    }

    init() throws { folder = try TemporaryFolder() }

    @Test func isNamedAfterTheTimeInUTC() throws {
        let directory = try directory("abc")
        #expect(directory.name == "20231114T221320Z-abc")
        #expect(directory.url.lastPathComponent == directory.name)
        #expect(try folder.names() == ["20231114T221320Z-abc", "latest"])
        #expect(
            try FileManager.default.contentsOfDirectory(atPath: directory.url.path).sorted()
                == ["events.jsonl", "harness.log"])
    }

    @Test func makesItsParent() throws {
        let parent = folder.url.appending(path: "a/b")
        let directory = try RunDirectory(parent: parent, identifier: "abc", startedAt: Self.start)
        #expect(FileManager.default.fileExists(atPath: parent.appending(path: directory.name).path))
    }

    @Test func latestLeadsToTheLastOne() throws {
        let link = folder.path("latest")
        for identifier in ["one", "two"] {
            let directory = try directory(identifier)
            #expect(try FileManager.default.destinationOfSymbolicLink(atPath: link) == directory.name)
        }
        #expect(try folder.names() == ["20231114T221320Z-one", "20231114T221320Z-two", "latest"])
    }

    @Test func aFolderInThePlaceOfLatestIsKept() throws {
        try folder.write([1], to: "latest/precious")
        #expect(throws: POSIXError.self) { try directory("one") }
        #expect(FileManager.default.fileExists(atPath: folder.path("latest/precious")))
        // A run that is not begun has no record either.
        #expect(try folder.names() == ["latest"])
    }

    @Test func isNotMadeTwice() throws {
        let first = try directory("one")
        try first.append("kept")
        #expect(throws: CocoaError.self) { try directory("one") }
        #expect(try events(of: first).map(\.kind) == ["kept"])
    }

    @Test func aParentThatCannotHoldItIsAnError() throws {
        let file = try folder.write([], to: "file")
        for path in [file, file + "/runs"] {
            #expect(throws: CocoaError.self) {
                try RunDirectory(parent: URL(filePath: path), identifier: "one", startedAt: Self.start)
            }
        }
        #expect(try folder.names() == ["file"])
    }

    @Test func eventsAreOneObjectALine() throws {
        let directory = try directory("one")
        try directory.append("first")
        try directory.append("second", ["text": "a\nb\r\u{2028}\"\\/", "address": "0xc00c000000000000"])
        let events = try events(of: directory)
        #expect(events.map(\.seq) == [1, 2])
        #expect(events.map(\.schema) == [1, 1])
        #expect(events.map(\.kind) == ["first", "second"])
        #expect(events[0].fields == [:])
        #expect(events[1].fields == ["text": "a\nb\r\u{2028}\"\\/", "address": "0xc00c000000000000"])
        #expect(try text("events.jsonl", of: directory).hasPrefix(#"{"fields":{},"kind":"first","schema":1,"seq":1,"#))
    }

    @Test func eventsFromManyTasksStayInOrder() async throws {
        let directory = try directory("one")
        try await withThrowingTaskGroup(of: Void.self) { group in
            for task in 0..<8 {
                group.addTask {
                    for index in 0..<100 { try directory.append("\(task)", ["index": "\(index)"]) }
                }
            }
            try await group.waitForAll()
        }
        let events = try events(of: directory)
        #expect(events.map(\.seq) == Array(1...800))
        #expect(zip(events, events.dropFirst()).allSatisfy { $0.time <= $1.time })
        for task in 0..<8 {
            let indexes = events.filter { $0.kind == "\(task)" }.map { $0.fields["index"] }
            #expect(indexes == (0..<100).map { "\($0)" })
        }
    }

    /// A guest has as many events as it likes: beyond a limit they are counted, and what the run itself does is still told.
    @Test func eventsOfTheGuestHaveALimit() async throws {
        let directory = try RunDirectory(
            parent: folder.url, identifier: "one", startedAt: Self.start, eventByteLimit: 4096)
        for index in 0..<1000 {
            try directory.append(["guest.populate", "machine.other", "agent.announced"][index % 3], ["start": "0x0"])
        }
        let written = try events(of: directory)
        #expect(written.count < 60)
        #expect(try text("events.jsonl", of: directory).utf8.count < 4096 + 200)
        #expect(directory.leftOutEventCount == 1000 - written.count)
        for kind in ["step.started", "finding", "plug.settled", "run.ended"] { try directory.append(kind) }
        try directory.append("guest.free", ["start": "0x0"])
        #expect(directory.leftOutEventCount == 1001 - written.count)
        let all = try events(of: directory)
        #expect(all.suffix(4).map(\.kind) == ["step.started", "finding", "plug.settled", "run.ended"])
        #expect(all.map(\.seq) == Array(1...all.count))
    }

    @Test func withinTheLimitNothingIsLeftOut() throws {
        let directory = try directory("one")
        for _ in 0..<1000 { try directory.append("guest.populate", ["start": "0x0"]) }
        #expect(directory.leftOutEventCount == 0)
        #expect(try events(of: directory).count == 1000)
    }

    @Test func theLogHasALineForEachMessage() throws {
        let directory = try directory("one")
        try directory.log("1 boot: passed")
        try directory.log("2 verify: failed")
        let lines = try text("harness.log", of: directory).split(separator: "\n")
        #expect(lines.map { $0.drop { " 0123456789.".contains($0) } } == ["boot: passed", "verify: failed"])
    }

    @Test func writesAndReplacesTheOtherFiles() throws {
        let directory = try directory("one")
        var information = Samples.information
        try directory.write(information)
        information.outcome = .passed
        try directory.write(information)
        try directory.write(Samples.results)
        try directory.write(Samples.snapshot, step: 3)
        try directory.write(domainXML: "<domain/>")
        #expect(try text("domain.xml", of: directory) == "<domain/>")
        for (name, data) in [
            ("run.json", try RunDirectory.json(information)), ("results.json", try RunDirectory.json(Samples.results)),
            ("snapshot-3.json", try RunDirectory.json(Samples.snapshot)),
        ] {
            #expect(try Data(contentsOf: directory.url.appending(path: name)) == data)
        }
        #expect(directory.consoleLog == directory.url.appending(path: "console.log"))
        #expect(directory.libvirtLog == directory.url.appending(path: "libvirt.log"))
    }
}
