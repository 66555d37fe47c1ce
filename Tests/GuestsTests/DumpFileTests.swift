// SPDX-License-Identifier: Apache-2.0

import AgentProtocol
import Foundation
import GuestMemory
import RunRecord
import SystemPackage
import TestSupport
import Testing

@testable import Guests

/// The file through which dumps leave a guest, written by a guest that does as it likes.
@Suite struct DumpFileTests {
    private let path = FilePath(FileManager.default.temporaryDirectory.path + "/qh-dump-\(UUID().uuidString)")
    private static let byteCount: UInt64 = 128 << 10

    private static func answer(_ fields: String) throws -> DumpAnswer {
        try DumpAnswer(try #require(ControlLine(parsing: Array("1 ok \(fields)".utf8)[...])))
    }

    /// What comes of an answer, the file holding these bytes at these offsets.
    private func result(_ fields: String, _ content: [(UInt64, [UInt8])] = []) throws -> DumpResult {
        let descriptor = try FileDescriptor.open(
            path, .readWrite, options: [.create, .exclusiveCreate], permissions: [.ownerReadWrite])
        defer { try? FileManager.default.removeItem(atPath: path.string) }
        let file = try descriptor.closeAfter {
            try descriptor.resize(to: Int64(Self.byteCount))
            let file = try DumpFile(path, byteCount: Self.byteCount)
            var word: [UInt8] = [0, 0, 0, 0, 0, 0, 0, 0]
            _ = try word.withUnsafeMutableBytes { try descriptor.read(fromAbsoluteOffset: 0, into: $0) }
            #expect(word == Array("QHDUMP01".utf8))
            for (offset, bytes) in content { _ = try descriptor.writeAll(toAbsoluteOffset: Int64(offset), bytes) }
            return file
        }
        return try file.result(try Self.answer(fields), package: "makedumpfile 1 x", limit: 1 << 30) { false }
    }

    private static let stream = SampleFlattenedDump.stream

    @Test func whatIsThereIsRead() throws {
        let words = Array("all\u{1b}[0m\nwell\n".utf8)
        let result = try result(
            "bytes=\(Self.stream.count) words=\(words.count) cut=0 exit=0",
            [(DumpArea.dumpOffset, Self.stream), (DumpArea.wordsOffset, words)])
        #expect(result.ending == .complete)
        #expect(result.fileByteCount == 11)
        #expect(result.words == "all?[0m\nwell")
        #expect(result.problem == nil)
    }

    @Test(arguments: [
        // More than there is room for, nothing, more words than there are, and no end.
        (
            "bytes=0xffffffffff words=0 cut=0 exit=0",
            "the agent tells of 1099511627775 bytes, and there is room for 65536"
        ),
        ("bytes=0x10001 words=0 cut=0 exit=0", "the agent tells of 65537 bytes, and there is room for 65536"),
        ("bytes=0 words=0 cut=0 exit=0", "it ends at byte 0, before its end mark"),
        ("bytes=0x10000 words=0xfffffffff cut=0 exit=0", "it does not begin as makedumpfile's flattened format does"),
        ("bytes=\(stream.count - 1) words=0 cut=0 exit=0", "it ends at byte 4138, before its end mark"),
    ])
    func whatIsNoDumpIsSaid(fields: String, problem: String) throws {
        let isStream = fields.hasPrefix("bytes=\(Self.stream.count - 1) ")
        let result = try result(fields, isStream ? [(DumpArea.dumpOffset, Self.stream)] : [])
        #expect(result.ending == .failed)
        #expect(result.problem == problem)
        #expect(result.fileByteCount == nil)
    }

    @Test(arguments: [
        "", "bytes=1 words=1 cut=0", "bytes=1 words=1 cut=0 exit=0 signal=9", "bytes=1 words=1 cut=0 timeout=0",
        "bytes=1 words=1 cut=0 signal=9 timeout=1", "words=1 cut=0 exit=0",
        "bytes=0x10000000000 words=1 cut=0 exit=0", "bytes=1 cut=0 exit=0", "bytes=1 words=1 exit=0",
    ])
    func anAnswerThatIsNotValidIsAnError(fields: String) {
        #expect(throws: (any Error).self) { try Self.answer(fields) }
    }
}
