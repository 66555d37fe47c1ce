// SPDX-License-Identifier: Apache-2.0

import HarnessBasics
import Testing

@testable import OfflineCommands

@Suite struct TerminalTests {
    @Test(arguments: [
        ("", []),
        ("one", ["one"]),
        ("one two three", ["one two", "  three"]),
        ("onetwothree", ["onetwoth", "  ree"]),
        ("a onetwothree b", ["a", "  onetwo", "  three", "  b"]),
        ("  a   b  ", ["a b"]),
    ])
    func textIsWrapped(text: String, lines: [String]) {
        #expect(Terminal.wrapped(text, width: 8, indent: "  ") == lines)
    }

    @Test func controlCharactersAreNone() {
        #expect(Terminal.printable("a\u{1b}[31m\tb\r\nü\u{7f}\u{9b}") == "a?[31m?b?\nü??")
    }

    /// Standard input of a test is no terminal, whatever the environment says.
    @Test func whatIsNoTerminalIsPlain() {
        #expect(!Terminal.isColored(-1, environment: ["TERM": "xterm"]))
        #expect(!Terminal.isCapable(-1, environment: ["TERM": "xterm"]))
    }
}
