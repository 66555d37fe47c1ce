// SPDX-License-Identifier: Apache-2.0

import AgentProtocol
import Testing

@testable import Guests

/// What a guest may write to the control channel, which is anything.
@Suite struct AgentInboxTests {
    private func inbox(_ text: String) -> AgentInbox {
        var inbox = AgentInbox()
        inbox.take(Array(text.utf8))
        return inbox
    }

    @Test func givesEachAnswerOnce() {
        var inbox = AgentInbox()
        inbox.expect(1)
        inbox.expect(2)
        for piece in ["2 o", "k a=1\n1", " error reason=x\r\n"] { inbox.take(Array(piece.utf8)) }
        #expect(inbox.takeAnswer(to: 1)?.has(verb: "error") == true)
        #expect(inbox.takeAnswer(to: 2)?.number("a") == 1)
        #expect(inbox.takeAnswer(to: 2) == nil)
        #expect(inbox.complaint == nil)
    }

    @Test func givesAnnouncementsInOrder() {
        var inbox = inbox("0 hello a=1\n0 trouble b=2\n")
        #expect(inbox.takeAnnouncement()?.has(verb: "hello") == true)
        #expect(inbox.takeAnnouncement()?.has(verb: "trouble") == true)
        #expect(inbox.takeAnnouncement() == nil)
    }

    @Test(arguments: [
        ("1 ok\n", "1 line on the control channel made no sense, the last is '1 ok'"),
        (
            "18446744073709551615 ok\n",
            "1 line on the control channel made no sense, the last is '18446744073709551615 ok'"
        ),
        ("18446744073709551616 ok\nx\n", "2 lines on the control channel made no sense, the last is 'x'"),
        ("\u{1b}[2J\u{0}\n", "1 line on the control channel made no sense, the last is '?[2J?'"),
        (
            String(repeating: "x", count: 2048) + "\n",
            "1 line on the control channel made no sense, each longer than 2048 bytes"
        ),
        (
            String(repeating: "x", count: 2047) + "\n",
            "1 line on the control channel made no sense, the last is '\(String(repeating: "x", count: 80))'"
        ),
    ])
    func countsWhatMakesNoSense(text: String, complaint: String) {
        #expect(inbox(text).complaint == complaint)
    }

    @Test func anAnswerToAnAnsweredRequestMakesNoSense() {
        var inbox = AgentInbox()
        inbox.expect(1)
        inbox.take(Array("1 ok\n1 error\n".utf8))
        #expect(inbox.takeAnswer(to: 1)?.has(verb: "ok") == true)
        #expect(inbox.nonsenseCount == 1)
    }

    /// Neither lines, nor no lines, nor announcements that nobody takes fill memory.
    @Test(arguments: ["0 trouble\n", "nonsense\n", "\n", "never a line ", "7 ok\n"])
    func chatterIsCutOff(text: String) {
        var inbox = AgentInbox()
        let chunk = Array(String(repeating: text, count: 100).utf8)
        var byteCount = 0
        while byteCount + chunk.count <= AgentInbox.unaskedByteLimit {
            inbox.take(chunk)
            byteCount += chunk.count
            #expect(!inbox.isFlooded)
        }
        inbox.take(chunk)
        #expect(inbox.isFlooded)
        let nonsenseCount = inbox.nonsenseCount
        inbox.take(chunk)
        #expect(inbox.nonsenseCount == nonsenseCount)
        var announcementCount = 0
        while inbox.takeAnnouncement() != nil { announcementCount += 1 }
        #expect(announcementCount <= 64)
    }

    /// Answers are no chatter, however many there are.
    @Test func answersAreNotCutOff() {
        var inbox = AgentInbox()
        let answer = " ok a=" + String(repeating: "1", count: 1000) + "\n"
        for identifier: UInt64 in 1...1000 {
            inbox.expect(identifier)
            inbox.take(Array("\(identifier)\(answer)".utf8))
            #expect(inbox.takeAnswer(to: identifier) != nil)
        }
        #expect(!inbox.isFlooded)
    }
}
