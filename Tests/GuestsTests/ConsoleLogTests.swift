// SPDX-License-Identifier: Apache-2.0

import Foundation
import TestSupport
import Testing

@testable import Guests

@Suite struct ConsoleLogTests {
    private let folder: TemporaryFolder

    init() throws { folder = try TemporaryFolder() }

    private func log(_ bytes: some Sequence<UInt8>) throws -> ConsoleLog {
        try folder.write(bytes, to: "console.log")
        return ConsoleLog(file: folder.url.appending(path: "console.log"))
    }

    @Test func givesTheLastLines() throws {
        let log = try log("one\r\ntwo\r\n\n\nthree".utf8)
        #expect(log.lastLines(2) == ["two", "three"])
        #expect(log.lastLines(10) == ["one", "two", "three"])
        #expect(log.lastLines(0) == [])
        #expect(log.panicLine() == nil)
    }

    @Test func aMissingOrEmptyFileHasNone() throws {
        let missing = ConsoleLog(file: folder.url.appending(path: "missing"))
        #expect(missing.lastLines(10) == [])
        #expect(missing.panicLine() == nil)
        #expect(ConsoleLog(file: folder.url).lastLines(10) == [])
        #expect(try log([]).lastLines(10) == [])
    }

    @Test func everyByteBecomesPrintable() throws {
        let lines = try log(Array(0...255) + [0x0a] + Array("\u{1b}[2J\u{7f}é".utf8)).lastLines(10)
        #expect(lines.count == 3)
        #expect(lines.joined().utf8.allSatisfy { 0x20...0x7e ~= $0 })
        #expect(lines[0] == "??????????")
        #expect(lines[2] == "?[2J???")
    }

    @Test func longLinesAreCut() throws {
        #expect(try log(Array(repeating: 0x61, count: 10_000)).lastLines(1).map(\.count) == [400])
    }

    @Test func onlyTheEndIsRead() throws {
        let lines = (0..<10_000).map { "line \($0)\n" }.joined()
        let last = try log(lines.utf8).lastLines(10_000)
        #expect(last.last == "line 9999")
        // 64 KiB of lines of ten bytes each, the first of which may be cut.
        #expect(last.count == 6554)
    }

    @Test func givesTheKernelsMessages() throws {
        let text = "[    4.067351] BUG: x\r\n[    4.1][   T27] Oops: y\r\nplain\n[not a time that ends soon, ] z\n[\n"
        let messages = try log(text.utf8).messages().map { String(decoding: $0, as: UTF8.self) }
        #expect(messages == ["BUG: x", "Oops: y", "plain", "[not a time that ends soon, ] z", "["])
        #expect(ConsoleLog(file: folder.url.appending(path: "missing")).messages().isEmpty)
    }

    @Test func findsAPanic() throws {
        let panic = "[    1.5] Kernel panic - not syncing: Attempted to kill init!"
        #expect(try log("boot\n\(panic)\n[    1.6] ---[ end ]---\n".utf8).panicLine() == panic)
    }
}
