// SPDX-License-Identifier: Apache-2.0

import AgentProtocol
import HarnessBasics

/// What the agent answers when a tool has written a dump.
struct DumpAnswer {
    /// What is left out: pages of zeros, caches, users' pages and free ones (makedumpfile(8), `-d`).
    static let level: UInt64 = 31

    let byteCount: UInt64
    let wordsByteCount: UInt64
    let isCutOff: Bool
    let end: ProgramEnd

    /// Reads an answer; throws an infrastructure error that names what it lacks.
    init(_ line: ControlLine) throws {
        func number(_ name: StaticString) throws -> UInt64 {
            guard let number = line.number(name), number < 1 << 40 else {
                throw HarnessError.infrastructure("the agent has answered 'dump' without a valid '\(name)'")
            }
            return number
        }
        byteCount = try number("bytes")
        wordsByteCount = try number("words")
        isCutOff = try number("cut") != 0
        guard let end = ProgramEnd(line) else {
            throw HarnessError.infrastructure("the agent has answered 'dump' without one 'exit', 'signal' or 'timeout'")
        }
        self.end = end
    }
}
