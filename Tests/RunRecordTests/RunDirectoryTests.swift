// SPDX-License-Identifier: Apache-2.0

import AgentProtocol
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
        try first.observe(.stepStarted(number: 1, title: "kept"))
        #expect(throws: CocoaError.self) { try directory("one") }
        #expect(try RecordedEvent.events(of: first.url).map { $0.text("title") } == ["kept"])
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
        try directory.observe(.machine(.paused))
        try directory.observe(.agentAnnounced(line: "a\nb\r\u{2028}\"\\/"))
        let events = try RecordedEvent.events(of: directory.url)
        #expect(events.map(\.seq) == [1, 2])
        #expect(events.map(\.schema) == [2, 2])
        #expect(events.map(\.kind) == ["machine.paused", "agent.announced"])
        #expect(events[1].text("line") == "a\nb\r\u{2028}\"\\/")
        #expect(
            try text("events.jsonl", of: directory).hasPrefix(#"{"kind":"machine.paused","schema":2,"seq":1,"time":"#))
    }

    @Test func eventsFromManyTasksStayInOrder() async throws {
        let directory = try directory("one")
        try await withThrowingTaskGroup(of: Void.self) { group in
            for task in 0..<8 {
                group.addTask {
                    for index in 0..<100 { try directory.observe(.stepStarted(number: index, title: "\(task)")) }
                }
            }
            try await group.waitForAll()
        }
        let events = try RecordedEvent.events(of: directory.url)
        #expect(events.map(\.seq) == Array(1...800))
        #expect(zip(events, events.dropFirst()).allSatisfy { $0.time <= $1.time })
        for task in 0..<8 {
            let indexes = events.filter { $0.text("title") == "\(task)" }.map { $0.number("step") }
            #expect(indexes == (0..<100).map(Double.init))
        }
    }

    /// A guest has as many events as it likes: beyond a limit they are counted, and what the run itself does is still told.
    @Test func eventsOfTheGuestHaveALimit() async throws {
        let directory = try RunDirectory(
            parent: folder.url, identifier: "one", startedAt: Self.start, eventByteLimit: 4096)
        let guests: [RunEvent] = [
            .guest(.lmbRemoved(base: 0), sequence: 1, microseconds: 2), .machine(.other(event: 1, detail: 2)),
            .agentAnnounced(line: "x"), .unknownGuestEvent(kind: 99),
        ]
        for index in 0..<1000 {
            try directory.observe(guests[index % guests.count])
        }
        let written = try RecordedEvent.events(of: directory.url)
        #expect(written.count < 60)
        #expect(try text("events.jsonl", of: directory).utf8.count < 4096 + 200)
        #expect(directory.leftOutEventCount == 1000 - written.count)
        let others: [RunEvent] = [
            .stepStarted(number: 1, title: "boot"), .unplugSettled(alias: "a", .silent),
            .plugSettled(alias: "a", base: 0, byteCount: 0, refusedLMBCount: 0), .runEnded(.passed, error: nil),
        ]
        for event in others { try directory.observe(event) }
        try directory.observe(guests[0])
        #expect(directory.leftOutEventCount == 1001 - written.count)
        let all = try RecordedEvent.events(of: directory.url)
        #expect(all.suffix(4).map(\.kind) == ["step.started", "unplug.settled", "plug.settled", "run.ended"])
        #expect(all.map(\.seq) == Array(1...all.count))
    }

    @Test func withinTheLimitNothingIsLeftOut() throws {
        let directory = try directory("one")
        for _ in 0..<1000 { try directory.observe(.machine(.paused)) }
        #expect(directory.leftOutEventCount == 0)
        #expect(try RecordedEvent.events(of: directory.url).count == 1000)
    }

    @Test func theLogHasALineForEachMessage() throws {
        let directory = try directory("one")
        try directory.log("cannot remove it")
        let steps = Samples.results.steps
        for step in steps { try directory.observe(.stepEnded(step)) }
        try directory.observe(.machine(.paused))
        try directory.observe(.eventsLeftOut(count: 3))
        try directory.observe(.consoleLeftOut(byteCount: 4))
        try directory.observe(.runEnded(.error, error: "the guest is lost"))
        let lines = try text("harness.log", of: directory).split(separator: "\n")
        #expect(
            lines.map { $0.dropFirst(12) } == [
                "cannot remove it", "1 boot: passed", "  plug-refused: one LMB", "2 verify: failed",
                "  list-cycle: back to 0x0", "  crash-header-hpt-size: 24 and 27",
                "3 dump with makedumpfile: passed", "events.jsonl is full: 3 events of the guest's were left out",
                "console.log was full: about 4 bytes of it were left out", "error: the guest is lost",
            ])
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
