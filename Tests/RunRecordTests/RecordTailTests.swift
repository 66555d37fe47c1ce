// SPDX-License-Identifier: Apache-2.0

import Foundation
import TestSupport
import Testing

@testable import RunRecord

/// A record's file by lines, while it grows.
@Suite struct RecordTailTests {
    private func lines(_ tail: RecordTail) throws -> [String] {
        var lines: [String] = []
        while let line = try tail.nextLine() { lines.append(line) }
        return lines
    }

    @Test func aFileThatGrows() throws {
        let folder = try TemporaryFolder()
        let tail = RecordTail(.console, in: folder.url)
        #expect(try lines(tail) == [])
        let file = folder.url.appending(path: "console.log")
        try Data("a\r\nb".utf8).write(to: file)
        #expect(try lines(tail) == ["a"])
        let handle = try FileHandle(forWritingTo: file)
        try handle.seekToEnd()
        try handle.write(contentsOf: Data("c\n\n\u{ff}".utf8))
        #expect(try lines(tail) == ["bc", ""])
        #expect(tail.rest() == "\u{ff}")
        #expect(tail.rest() == nil)
        // The middle was taken out.
        try handle.truncate(atOffset: 1)
        #expect(try lines(tail) == [])
        try handle.seekToEnd()
        try handle.write(contentsOf: Data("d\n".utf8))
        #expect(try lines(tail) == ["d"])
    }

    @Test func aLineHasALimit() throws {
        let folder = try TemporaryFolder()
        let text = String(repeating: "x", count: 1 << 20)
        try Data("\(text)\ny\n".utf8).write(to: folder.url.appending(path: "console.log"))
        #expect(try lines(RecordTail(.console, in: folder.url)).map(\.count) == [RecordLines.byteLimit, 1])
    }

    @Test func whatIsNoFileIsRefused() throws {
        let folder = try TemporaryFolder()
        try #require(mkfifo(folder.path("events.jsonl"), 0o600) == 0)
        #expect(throws: RecordProblem.self) { try RecordTail(eventsIn: folder.url).nextLine() }
    }
}
