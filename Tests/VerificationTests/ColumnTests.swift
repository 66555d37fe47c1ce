// SPDX-License-Identifier: Apache-2.0

import Foundation
import HarnessBasics
import TestSupport
import Testing
import Verification
import VmemmapPopulate

/// Words and names in columns, by way of the tables that have them.
@Suite struct ColumnTests {
    private struct Walk: Codable {
        @Columns var entries: [ListEntry]
    }

    private static func texts(_ words: [UInt64]) -> [String] { WordColumn.texts(of: words) }

    struct Form: Sendable {
        let words: [UInt64]
        let texts: [String]
    }

    @Test(arguments: [
        Form(words: [], texts: []),
        Form(words: [0], texts: ["0x0"]),
        Form(words: [.max], texts: ["0xffffffffffffffff"]),
        Form(words: [8, 16], texts: ["0x8", "0x10"]),
        Form(words: [8, 8], texts: ["0x8 *2"]),
        Form(words: [8, 16, 24], texts: ["0x8 +0x8 *3"]),
        Form(words: [24, 16, 8, 0], texts: ["0x18 -0x8 *4"]),
        Form(words: [0, .max], texts: ["0x0", "0xffffffffffffffff"]),
        Form(words: [.max, 0, 1], texts: ["0xffffffffffffffff", "0x0", "0x1"]),
        Form(words: [.max - 2, .max - 1, .max, 0], texts: ["0xfffffffffffffffd +0x1 *3", "0x0"]),
        Form(words: [2, 1, 0, .max], texts: ["0x2 -0x1 *3", "0xffffffffffffffff"]),
        Form(words: [0, 1 << 63, 0], texts: ["0x0", "0x8000000000000000", "0x0"]),
        Form(words: [5, 5, 5, 6, 7], texts: ["0x5 *3", "0x6", "0x7"]),
        // A hashed page table's order, in which nothing comes in a row.
        Form(
            words: [0x59ee194, 0x59ed194, 0x59f0194, 0x59ef194],
            texts: ["0x59ee194", "0x59ed194", "0x59f0194", "0x59ef194"]),
        // Nodes of 4 KiB pages.
        Form(
            words: (0..<64).map { 0xc000_0000_06c0_45e8 - 24 * $0 } + (0..<170).map { 0xc000_0000_06b5_9fd8 - 24 * $0 },
            texts: ["0xc000000006c045e8 -0x18 *64", "0xc000000006b59fd8 -0x18 *170"]),
    ])
    func wordsHaveOneForm(form: Form) throws {
        #expect(Self.texts(form.words) == form.texts)
        #expect(try Self.read(form.texts) == form.words)
        #expect(try Self.read(form.words.map { Self.texts([$0]).joined() }) == form.words)
    }

    /// Reads a column, as each of a list's.
    private static func read(_ texts: [String]) throws -> [UInt64] {
        let json = String(decoding: try JSONEncoder().encode(texts), as: UTF8.self)
        let text = #"{"entries":{"node":\#(json),"list":\#(json),"phys":\#(json),"virtAddr":\#(json)}}"#
        let entries = try JSONDecoder().decode(Walk.self, from: Data(text.utf8)).entries
        #expect(entries.map(\.node) == entries.map(\.virtAddr) && entries.map(\.list) == entries.map(\.phys))
        return entries.map(\.node)
    }

    @Test(
        arguments: [
            ("0x5 +0x1 *1", [5]), ("0x5 *1", [5]), ("0x5 +0x0 *2", [5, 5]), ("0x0005 -0x0005 *2", [5, 0]),
            ("0xFF +0xA *2", [255, 265]), ("0xffffffffffffffff -0xffffffffffffffff *2", [.max, 0]),
            ("0x0 +0xffffffffffffffff *2", [0, .max]),
        ] as [(String, [UInt64])])
    func otherWaysToCutAreRead(text: String, words: [UInt64]) throws {
        #expect(try Self.read([text]) == words)
    }

    private static let isNone = "is no word '0x…', no run '0x… +0x… *N' or '0x… -0x… *N', and no '0x… *N'"
    private static let isTooLong = "makes the column longer than the 4194304 elements that it can have"
    private static let isBeyond = "goes beyond what 64 bits hold"

    @Test(arguments: [
        ("", isNone), (" ", isNone), ("0x", isNone), ("5", isNone), ("x5", isNone), ("0X5", isNone), ("0x5 ", isNone),
        (" 0x5", isNone), ("0xg", isNone), ("-0x5", isNone), ("0x10000000000000000", isNone), ("0x5 +0x1", isNone),
        ("0x5 0x1 *2", isNone), ("0x5 +1 *2", isNone), ("0x5 +0x1*2", isNone), ("0x5+0x1 *2", isNone),
        ("0x5  *2", isNone), ("0x5 *", isNone), ("0x5 *0", isNone), ("0x5 *02", isNone), ("0x5 *-2", isNone),
        ("0x5 *2 ", isNone), ("0x5 *2 *2", isNone), ("0x5 *0x2", isNone), ("0x5 +-0x1 *2", isNone),
        ("0x5 + 0x1 *2", isNone), ("0x5\u{301}", isNone), ("0x5 *２", isNone), ("0x5\u{0} *2", isNone),
        ("0x0 *4194305", isTooLong), ("0x0 +0x1 *1152921504606846976", isTooLong),
        ("0x0 *18446744073709551615", isTooLong), ("0x0 *99999999999999999999999999", isTooLong),
        ("0xffffffffffffffff +0x1 *2", isBeyond), ("0x0 -0x1 *2", isBeyond), ("0x1 +0x8000000000000000 *3", isBeyond),
        ("0x0 +0xffffffffffffffff *3", isBeyond), ("0x5 -0x3 *3", isBeyond),
    ])
    func hostileTextsAreRefused(text: String, reason: String) throws {
        let error = #expect(throws: DecodingError.self) { try Self.read(["0x1", text]) }
        guard case .dataCorrupted(let context)? = error else {
            Issue.record("\(String(describing: error))")
            return
        }
        #expect(context.debugDescription == "'\(text.prefix(60))' \(reason)")
        #expect(context.codingPath.map(\.stringValue) == ["entries", "node", "1"])
    }

    /// No text of a column is long; together they are held to the same limit.
    @Test func theLimitIsTheWholeColumns() throws {
        #expect(throws: DecodingError.self) { try Self.read(["0x0 *4194303", "0x0", "0x0"]) }
        var walk = Walk(entries: [])
        walk.entries = .init(repeating: ListEntry(node: 0, list: 0, phys: 0, virtAddr: 0), count: WordColumn.limit + 1)
        let error = #expect(throws: EncodingError.self) { try JSONEncoder().encode(walk) }
        guard case .invalidValue(_, let context)? = error else { return }
        #expect(context.debugDescription == "4194305 rows; 4194304 are the most that are written")
    }

    /// A short document may have many columns that are long.
    @Test func allColumnsTogetherHaveALimit() throws {
        let text = #"{"entries":{"node":["0x0 *3"],"list":["0x0 *3"],"phys":["0x0 *3"],"virtAddr":["0x0 *3"]}}"#
        func read(within limit: Int) throws -> Walk {
            let decoder = JSONDecoder()
            decoder.userInfo = ColumnBudget(limit: limit).userInfo
            return try decoder.decode(Walk.self, from: Data(text.utf8))
        }
        func write(_ walk: Walk, within limit: Int) throws {
            let encoder = JSONEncoder()
            encoder.userInfo = ColumnBudget(limit: limit).userInfo
            _ = try encoder.encode(walk)
        }
        let walk = try read(within: 12)
        #expect(walk.entries.count == 3)
        try write(walk, within: 12)
        let isTooLong = "makes all columns together longer than the 11 elements that they can have"
        let refusal = #expect(throws: DecodingError.self) { try read(within: 11) }
        guard case .dataCorrupted(let context)? = refusal else {
            Issue.record("\(String(describing: refusal))")
            return
        }
        #expect(context.debugDescription == "'0x0 *3' \(isTooLong)")
        #expect(context.codingPath.map(\.stringValue) == ["entries", "virtAddr", "0"])
        let error = #expect(throws: EncodingError.self) { try write(walk, within: 11) }
        guard case .invalidValue(_, let written)? = error else { return }
        #expect(written.debugDescription == "a table of 3 rows \(isTooLong)")
    }

    @Test func columnsOfATableAreEquallyLong() throws {
        let text = #"{"entries":{"node":["0x0 *3"],"list":["0x0 *3"],"phys":["0x0","0x1"],"virtAddr":["0x0 *3"]}}"#
        let error = #expect(throws: DecodingError.self) { try JSONDecoder().decode(Walk.self, from: Data(text.utf8)) }
        guard case .dataCorrupted(let context)? = error else {
            Issue.record("\(String(describing: error))")
            return
        }
        #expect(context.debugDescription == "the column 'phys' has 2 elements; they are 3, as many as 'node' has")
        for text in [
            #"{"entries":{"node":[],"list":[],"phys":[]}}"#, #"{"entries":"0x0"}"#, #"{"entries":null}"#, #"{}"#,
            #"{"entries":{"node":"0x0","list":[],"phys":[],"virtAddr":[]}}"#,
            #"{"entries":{"node":[0],"list":["0x0"],"phys":["0x0"],"virtAddr":["0x0"]}}"#,
        ] {
            #expect(throws: DecodingError.self) { try JSONDecoder().decode(Walk.self, from: Data(text.utf8)) }
        }
    }

    @Test(arguments: [0x5eed_0001, 0x5eed_0002, 0x5eed_0003] as [UInt64])
    func anyWordsComeBack(seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed)
        for _ in 0..<300 {
            var words: [UInt64] = []
            for _ in 0..<generator.next() % 8 {
                let first = generator.next() >> (generator.next() % 64)
                let step = generator.next() >> (generator.next() % 64)
                for index in 0..<generator.next() % 5 { words.append(first &+ index &* step) }
            }
            #expect(try Self.read(Self.texts(words)) == words, "seed \(seed): \(words)")
        }
    }

    // MARK: - Names

    private struct Blocks: Codable {
        @Columns var blocks: [ReportSnapshot.Block]
    }

    private static func names(_ names: [String]) throws -> (texts: [String], again: [String]) {
        struct Document: Decodable {
            struct Table: Decodable { let state: [String] }
            let blocks: Table
        }
        let json = try JSONEncoder().encode(Blocks(blocks: names.map { .init(index: 0, state: $0) }))
        return (
            try JSONDecoder().decode(Document.self, from: json).blocks.state,
            try JSONDecoder().decode(Blocks.self, from: json).blocks.map(\.state)
        )
    }

    @Test(
        arguments: [
            ([], []), (["online"], ["online"]), (["online", "online"], ["online *2"]),
            (["a", "b", "b", "b", "a"], ["a", "b *3", "a"]),
            // Any text is a name, also one that ends as a number of names does.
            (["a *2"], ["a *2 *1"]), (["a *2", "a *2"], ["a *2 *2"]), ([" *2"], [" *2 *1"]), (["*2"], ["*2"]),
            (["a *0"], ["a *0"]), (["", ""], [" *2"]), (["a*2"], ["a*2"]),
            (["the CPU is in user mode"], ["the CPU is in user mode"]),
            (["a *x"], ["a *x"]), (["\u{1F41D}", "\u{1F41D}"], ["\u{1F41D} *2"]),
        ] as [([String], [String])])
    func namesHaveOneForm(names: [String], texts: [String]) throws {
        let result = try Self.names(names)
        #expect(result.texts == texts)
        #expect(result.again == names)
    }

    @Test(arguments: ["online *4194305", "online *1152921504606846976", "online *99999999999999999999999999"])
    func tooManyNamesAreRefused(text: String) throws {
        let json = #"{"blocks":{"index":[],"state":["\#(text)"]}}"#
        let error = #expect(throws: DecodingError.self) { try JSONDecoder().decode(Blocks.self, from: Data(json.utf8)) }
        guard case .dataCorrupted(let context)? = error else { return }
        #expect(context.debugDescription == "'\(text)' \(Self.isTooLong)")
        #expect(context.codingPath.map(\.stringValue) == ["blocks", "state", "0"])
    }

    @Test func aNameThatIsNoneIsRefused() throws {
        struct Sections: Codable { @Columns var sections: [PresentSection] }
        let json = #"{"sections":{"number":["0x0 +0x1 *2"],"vmemmapBase":["0x0 *2"],"state":["online","on"]}}"#
        let error = #expect(throws: DecodingError.self) {
            try JSONDecoder().decode(Sections.self, from: Data(json.utf8))
        }
        guard case .dataCorrupted(let context)? = error else { return }
        #expect(context.debugDescription == "row 1 has a name that is none: 'on'")
    }
}
