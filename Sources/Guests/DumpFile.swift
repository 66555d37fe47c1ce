// SPDX-License-Identifier: Apache-2.0

import AgentProtocol
import Foundation
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

    /// What a tool has left there. Its dump as a file may have so many bytes.
    func result(
        _ answer: DumpAnswer, package: String, limit: UInt64, isCancelled: @escaping () -> Bool
    ) throws -> DumpResult {
        let descriptor = try FileDescriptor.open(path, .readOnly, options: [.noFollow])
        return try descriptor.closeAfter {
            let wordsByteCount = Int(min(answer.wordsByteCount, DumpArea.wordsByteCount))
            let words = try descriptor.bytes(at: DumpArea.wordsOffset, byteCount: wordsByteCount)
            var fileByteCount: UInt64?
            var problem: String?
            let room = byteCount - DumpArea.dumpOffset
            if answer.byteCount > room {
                problem = "the agent tells of \(answer.byteCount) bytes, and there is room for \(room)"
            } else {
                do {
                    fileByteCount = try FlattenedDump.rearrange(
                        descriptor, Self.stream(answer.byteCount), into: nil, limit: limit, isCancelled: isCancelled)
                } catch let error as FlattenedDumpProblem {
                    problem = error.description
                }
            }
            return DumpResult(
                package: package, end: answer.end, byteCount: answer.byteCount, isCutOff: answer.isCutOff,
                fileByteCount: fileByteCount, problem: problem,
                words: words.split(separator: 0x0a).map(\.printable).joined(separator: "\n"))
        }
    }

    /// Copies a dump that is there into a file that is new and for this user only: it holds whatever a kernel has had in its
    /// memory. The file is gone again when this throws.
    func copy(_ dump: DumpResult, to target: FilePath, limit: UInt64, isCancelled: @escaping () -> Bool) throws {
        let source = try FileDescriptor.open(path, .readOnly, options: [.noFollow])
        try source.closeAfter {
            let descriptor = try FileDescriptor.open(
                target, .writeOnly, options: [.create, .exclusiveCreate], permissions: [.ownerReadWrite])
            do {
                try descriptor.closeAfter {
                    let byteCount = try FlattenedDump.rearrange(
                        source, Self.stream(dump.byteCount), into: descriptor, limit: limit, isCancelled: isCancelled)
                    guard byteCount == dump.fileByteCount else {
                        throw HarnessError.infrastructure("the guest has changed the dump while it was copied")
                    }
                }
            } catch {
                try? FileManager.default.removeItem(atPath: target.string)
                throw error
            }
        }
    }

    private static func stream(_ byteCount: UInt64) -> Range<UInt64> {
        DumpArea.dumpOffset..<DumpArea.dumpOffset + byteCount
    }
}
