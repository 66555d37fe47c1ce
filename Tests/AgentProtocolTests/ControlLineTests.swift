// SPDX-License-Identifier: Apache-2.0

import AgentProtocol
import Testing

private func parse(_ text: String) -> ControlLine? {
    ControlLine(parsing: Array(text.utf8)[...])
}

private func text(_ bytes: some Sequence<UInt8>) -> String {
    String(decoding: Array(bytes), as: UTF8.self)
}

struct ControlLineTests {
    @Test func writtenForm() {
        let line = ControlLine(identifier: 12, verb: "ok").with("head", 0x2d_0000).with(
            "release", text: Array("6.1".utf8))
        #expect(text(line.encoded) == "12 ok head=0x2d0000 release=6.1\n")
    }

    @Test(arguments: [
        "1 sync", "0 hello protocol=0x1 release=6.1.0-37-powerpc64le page=0x10000", "18446744073709551615 report a=",
        "3 ok a=b=c x==", "7 x k=1 k=2",
    ])
    func roundTrip(line: String) throws {
        let parsed = try #require(parse(line))
        #expect(text(parsed.encoded) == line + "\n")
        #expect(ControlLine(parsing: parsed.encoded.dropLast()) == parsed)
    }

    @Test func parts() throws {
        let line = try #require(parse("42 ok events=0x10 live=7 empty= eq=a=b events=0x11"))
        #expect(line.identifier == 42)
        #expect(line.has(verb: "ok"))
        #expect(!line.has(verb: "o"))
        #expect(!line.has(verb: "okay"))
        #expect(line.fields.count == 5)
        #expect(line.number("events") == 16)
        #expect(line.number("live") == 7)
        #expect(line.text("empty")?.isEmpty == true)
        #expect(line.number("empty") == nil)
        #expect(line.text("eq").map { text($0) } == "a=b")
        #expect(line.number("eq") == nil)
        #expect(line.text("event") == nil)
        #expect(line.number("missing") == nil)
    }

    @Test(arguments: [
        "", " ", "sync", "sync 1", " 1 sync", "1", "1 ", "1  sync", "-1 sync", "0x1 sync", "1sync",
        "18446744073709551616 sync", "99999999999999999999999 sync", "1 sync key", "1 sync =value", "1 sync a=1  b=2",
        "1 sync a=1 b", "1 sync\ta=1", "1 sync\r", "1 sync\u{0}", "1 sync\u{7f}", "1 sync a=\u{e9}", "1 sync\nx",
    ])
    func rejected(line: String) {
        #expect(parse(line) == nil)
    }

    @Test func length() {
        let longest = "1 v a=" + String(repeating: "x", count: ControlLine.maximumByteCount - 7)
        #expect(parse(longest)?.encoded.count == ControlLine.maximumByteCount)
        #expect(parse(longest + "x") == nil)
    }

    @Test func textIsEscaped() throws {
        let line = ControlLine(identifier: 1, verb: "ok").with("t", text: Array("a b\nc\u{7f}\u{e9}=~!".utf8))
        #expect(text(line.encoded) == "1 ok t=a?b?c???=~!\n")
        let parsed = try #require(ControlLine(parsing: line.encoded.dropLast()))
        #expect(parsed == line)
    }

    @Test func withLeavesTheOriginal() {
        let line = ControlLine(identifier: 1, verb: "ok")
        _ = line.with("a", 1)
        #expect(line.fields.isEmpty)
    }
}

struct LineAssemblerTests {
    private func lines(_ pieces: [[UInt8]], maximum: Int = 16) -> (lines: [String], dropped: Int) {
        var assembler = LineAssembler(maximumByteCount: maximum)
        var lines: [String] = []
        for piece in pieces {
            lines += assembler.append(piece[...]).map { text($0) }
        }
        return (lines, assembler.droppedLineCount)
    }

    @Test func splitAnywhere() {
        let stream = Array("1 sync\r\n\n2 report a=b\n\r\n3 x\r\ry\n4 unfinished".utf8)
        let expected = ["1 sync", "", "2 report a=b", "", "3 x\r\ry"]
        for first in 0...stream.count {
            for second in first...stream.count {
                let pieces = [Array(stream[..<first]), Array(stream[first..<second]), Array(stream[second...])]
                #expect(lines(pieces).lines == expected, "split at \(first) and \(second)")
            }
        }
        #expect(lines(stream.map { [$0] }).lines == expected)
    }

    @Test func whatIsTooLongIsDroppedAndCounted() {
        let long = String(repeating: "x", count: 1000)
        let stream = Array("1\n\(long)\n2\n\(long)\r\n\n3\n".utf8)
        for pieces in [[stream], stream.map { [$0] }] {
            let result = lines(pieces)
            #expect(result.lines == ["1", "2", "", "3"])
            #expect(result.dropped == 2)
        }
    }

    /// The newline counts: a line of the largest size fits, and one byte more does not.
    @Test func theLongestLine() {
        let longest = [UInt8](repeating: 0x78, count: 15)
        #expect(lines([longest + [0x0a]]).lines == [text(longest)])
        #expect(lines([longest + [0x0a]]).dropped == 0)
        let longer = lines([longest + [0x78, 0x0a, 0x31, 0x0a]])
        #expect(longer.lines == ["1"])
        #expect(longer.dropped == 1)
    }

    /// What the assembler lets through is never too long for the parser.
    @Test func assemblerAndParserAgree() throws {
        var assembler = LineAssembler(maximumByteCount: ControlLine.maximumByteCount)
        let longest = "1 v a=" + String(repeating: "x", count: ControlLine.maximumByteCount - 7) + "\n"
        let line = try #require(assembler.append(Array(longest.utf8)[...]).first)
        #expect(ControlLine(parsing: line[...]) != nil)
    }
}

@Suite struct ControlTextTests {
    @Test(arguments: ["", "memory remove index 0x80000008", "100%", "a=b", "line\nline", "\u{0}\u{7f}ä", "%41"])
    func givesTheSameBytesBack(text: String) throws {
        let line = ControlLine(identifier: 7, verb: "dlpar").with("text", encoding: Array(text.utf8)).with("n", 1)
        let read = try #require(ControlLine(parsing: line.encoded.dropLast()[...]))
        #expect(read.bytes("text") == Array(text.utf8))
        #expect(read.number("n") == 1)
    }

    @Test(arguments: ["%", "%4", "%4g", "a%", "%%41"]) func refusesAnEscapeThatIsNone(value: String) throws {
        let line = try #require(ControlLine(parsing: Array("1 ok text=\(value)".utf8)[...]))
        #expect(line.bytes("text") == nil)
        #expect(line.bytes("other") == nil)
    }
}
