// SPDX-License-Identifier: Apache-2.0

import AgentProtocol
import HarnessBasics

/// What the guest has written to the control channel, sorted; a guest may write anything, and that fills no memory.
struct AgentInbox {
    /// The requests that were sent and not answered yet.
    private var awaited: Set<UInt64> = []
    private var answers: [UInt64: ControlLine] = [:]
    private var announcements: [ControlLine] = []
    private var assembler = LineAssembler(maximumByteCount: ControlLine.maximumByteCount)
    private var brokenLineCount = 0
    /// The newest line that was nonsense, made printable.
    private var lastNonsense: String?
    /// Everything that was no answer to a request.
    private var unaskedByteCount = 0

    /// How many announcements are kept for whoever takes them.
    private static let announcementLimit = 64
    /// How much a guest may say that nobody asked for; an agent says a line or two.
    static let unaskedByteLimit = 256 << 10

    /// How many lines were too long, no lines of the protocol, or answers to requests that nobody made.
    var nonsenseCount: Int { brokenLineCount + assembler.droppedLineCount }

    /// Whether the guest has said more than it may; what it says from then on is not looked at.
    var isFlooded: Bool { unaskedByteCount > Self.unaskedByteLimit }

    /// What was wrong with the lines, for an error; nil when nothing was.
    var complaint: String? {
        guard nonsenseCount > 0 else { return nil }
        let lines = nonsenseCount == 1 ? "1 line" : "\(nonsenseCount) lines"
        let last =
            lastNonsense.map { ", the last is '\($0)'" } ?? ", each longer than \(ControlLine.maximumByteCount) bytes"
        return "\(lines) on the control channel made no sense\(last)"
    }

    /// Makes an answer to this request expected.
    mutating func expect(_ identifier: UInt64) {
        awaited.insert(identifier)
    }

    /// The answer to a request, once it is there.
    mutating func takeAnswer(to identifier: UInt64) -> ControlLine? {
        answers.removeValue(forKey: identifier)
    }

    /// The oldest line that the agent sent of its own accord.
    mutating func takeAnnouncement() -> ControlLine? {
        announcements.isEmpty ? nil : announcements.removeFirst()
    }

    /// Sorts what has arrived.
    mutating func take(_ chunk: [UInt8]) {
        guard !isFlooded else { return }
        unaskedByteCount += chunk.count
        for bytes in assembler.append(chunk[...]) where !bytes.isEmpty {
            guard let line = ControlLine(parsing: bytes[...]) else {
                noteNonsense(bytes)
                continue
            }
            if line.identifier == 0 {
                if announcements.count < Self.announcementLimit { announcements.append(line) }
            } else if awaited.remove(line.identifier) != nil {
                answers[line.identifier] = line
                unaskedByteCount -= bytes.count + 1
            } else {
                noteNonsense(bytes)
            }
        }
    }

    private mutating func noteNonsense(_ bytes: [UInt8]) {
        brokenLineCount += 1
        lastNonsense = bytes.prefix(80).printable
    }
}
