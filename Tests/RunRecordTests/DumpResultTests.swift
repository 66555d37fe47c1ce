// SPDX-License-Identifier: Apache-2.0

import AgentProtocol
import Foundation
import Testing

@testable import RunRecord

@Suite struct DumpResultTests {
    /// The end of what makedumpfile 1.7.2 said of a 6.1 guest with 4 GiB.
    private static let words = """
        The kernel version is not supported.
        Original pages  : 0x000000000000e001
          Excluded pages   : 0x000000000000dce2
            Pages filled with zero  : 0x0000000000000697
          Remaining pages  : 0x000000000000031f
          (The number of pages is reduced to 1%.)
        The dumpfile is saved to STDOUT.
        makedumpfile Completed.
        """

    private static func result(
        _ end: ProgramEnd = .exited(0), isCutOff: Bool = false, fileByteCount: UInt64? = 12_482_011,
        problem: String? = nil, words: String = words, headerPageCount: UInt64? = nil
    ) -> DumpResult {
        var result = DumpResult(
            package: "makedumpfile 1:1.7.2-1 bookworm", end: end, byteCount: 12_360_551,
            isCutOff: isCutOff, fileByteCount: fileByteCount, problem: problem, words: words)
        result.headerPageCount = headerPageCount
        return result
    }

    @Test(
        arguments: [
            (result(), .complete, "wrote a dump of 12482011 bytes, 799 of 57345 pages"),
            (
                result(headerPageCount: 57345), .complete, "wrote a dump of 12482011 bytes, 799 of 57345 pages"
            ),
            (
                result(headerPageCount: 57344), .complete,
                "wrote a dump of 12482011 bytes, 799 of 57345 pages, and the header has 57344"
            ),
            (result(words: ""), .complete, "wrote a dump of 12482011 bytes"),
            (
                result(isCutOff: true, fileByteCount: nil, problem: "p"), .cutOff,
                "was cut off: its dump has more than the 12360551 bytes that there was room for"
            ),
            (result(.exited(1), fileByteCount: nil, problem: "it ends"), .failed, "failed: exit status 1; it ends"),
            // A dump that is whole is none when its tool says that it failed, and a tool can be wrong about its success.
            (result(.exited(1)), .failed, "failed: exit status 1"),
            (result(fileByteCount: nil, problem: "it ends"), .failed, "failed: exit status 0; it ends"),
            (result(.killed(signal: 9)), .failed, "failed: signal 9"),
            (result(.timedOut), .failed, "failed: its time was over"),
        ] as [(DumpResult, DumpResult.Ending, String)])
    func isJudged(result: DumpResult, ending: DumpResult.Ending, text: String) throws {
        #expect(result.ending == ending)
        #expect(result.text == text)
        #expect(result.tool == "makedumpfile 1:1.7.2-1")
        let read = try JSONDecoder().decode(DumpResult.self, from: try RunDirectory.json(result))
        #expect(read == result)
    }

    @Test(arguments: [
        "", "Original pages  : 0x1", "Original pages : x\nExcluded pages : 1\nRemaining pages : 1",
        "Original pages\nExcluded pages : 1\nRemaining pages : 1",
        "Original pages : 0x10000000000000000\nExcluded pages : 1\nRemaining pages : 1",
    ])
    func countsThatAreNotThereAreNone(words: String) {
        #expect(Self.result(words: words).pageCounts == nil)
    }

    @Test func lastWordsAreThreeLines() {
        #expect(Self.result(words: "a\nb\n\nc\nd").lastWords == "b c d")
        #expect(Self.result(words: "").lastWords == nil)
    }
}
