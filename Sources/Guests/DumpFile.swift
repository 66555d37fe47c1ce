// SPDX-License-Identifier: Apache-2.0

import AgentProtocol
import GuestMemory
import HarnessBasics
import MemoryBackends
import RunRecord
import SystemPackage

/// The file through which dumps leave a guest, seen from the host. The guest may write it at any moment, so what is read of
/// it is copied and then parsed.
struct DumpFile: Sendable {
    private let path: FilePath
    private let byteCount: UInt64

    /// Takes a file over that is there, all zeros, and writes the word that the agent knows it by.
    init(_ path: FilePath, byteCount: UInt64) throws {
        (self.path, self.byteCount) = (path, byteCount)
        let descriptor = try FileDescriptor.open(path, .writeOnly, options: [.noFollow])
        try descriptor.closeAfter {
            let word = (0..<8).map { UInt8(truncatingIfNeeded: DumpArea.magic >> ($0 * 8)) }
            _ = try descriptor.writeAll(toAbsoluteOffset: 0, word)
        }
    }

    /// What a tool has left there, its dump put into a file where there is one, which may become so large.
    func result(
        _ answer: DumpAnswer, package: String, into target: FileDescriptor?, limit: UInt64
    ) throws -> DumpResult {
        let descriptor = try FileDescriptor.open(path, .readOnly, options: [.noFollow])
        return try descriptor.closeAfter {
            let wordsByteCount = Int(min(answer.wordsByteCount, DumpArea.wordsByteCount))
            let words = try descriptor.bytes(at: DumpArea.wordsOffset, byteCount: wordsByteCount)
            let end = DumpArea.dumpOffset + answer.byteCount
            var fileByteCount: UInt64?
            var problem: String?
            if end > byteCount {
                let room = byteCount - DumpArea.dumpOffset
                problem = "the agent tells of \(answer.byteCount) bytes, and there is room for \(room)"
            } else {
                do {
                    fileByteCount = try FlattenedDump.rearrange(
                        descriptor, DumpArea.dumpOffset..<end, into: target, limit: limit)
                } catch let error as FlattenedDumpProblem {
                    problem = error.description
                }
            }
            return DumpResult(
                package: package, exitStatus: answer.exitStatus, signal: answer.signal, byteCount: answer.byteCount,
                isCutOff: answer.isCutOff, fileByteCount: fileByteCount, problem: problem,
                words: words.split(separator: 0x0a).map(\.printable).joined(separator: "\n"))
        }
    }
}

/// What the agent answers when a tool has written a dump.
struct DumpAnswer {
    /// What is left out: pages of zeros, caches, users' pages and free ones (makedumpfile(8), `-d`).
    static let level: UInt64 = 31

    let byteCount: UInt64
    let wordsByteCount: UInt64
    let isCutOff: Bool
    let exitStatus: UInt64?
    let signal: UInt64?

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
        (exitStatus, signal) = (line.number("exit"), line.number("signal"))
        guard (exitStatus == nil) != (signal == nil) else {
            throw HarnessError.infrastructure("the agent has answered 'dump' without one 'exit' or 'signal'")
        }
    }
}
