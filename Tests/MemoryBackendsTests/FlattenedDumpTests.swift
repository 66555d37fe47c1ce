// SPDX-License-Identifier: Apache-2.0

import MemoryBackends
import SystemPackage
import TestSupport
import Testing

/// makedumpfile's flattened format; what real ones write goes through it in real guests.
@Suite struct FlattenedDumpTests {
    private let folder: TemporaryFolder

    init() throws { folder = try TemporaryFolder() }

    private typealias Sample = SampleFlattenedDump

    /// What comes of a stream that stands behind 16 other bytes: the file, or what is wrong.
    private func rearranged(_ stream: [UInt8]) throws -> (size: UInt64, file: [UInt8]) {
        let source = FilePath(try folder.write([UInt8](repeating: 0xff, count: 16) + stream, to: "stream"))
        let target = FilePath(try folder.write([], to: "file"))
        let (from, into) = (try FileDescriptor.open(source, .readOnly), try FileDescriptor.open(target, .readWrite))
        return try from.closeAfter {
            try into.closeAfter {
                let range = 16..<16 + UInt64(stream.count)
                let size = try FlattenedDump.rearrange(from, range, into: into, limit: 1 << 20)
                #expect(try FlattenedDump.rearrange(from, range, into: nil, limit: 1 << 20) == size)
                return (size, try into.bytes(at: 0, byteCount: 2 << 20))
            }
        }
    }

    /// Pieces come in any order, may lie over each other, and leave zeros between them.
    @Test func piecesGoWhereTheyBelong() throws {
        let stream =
            Sample.header() + Sample.piece(18, [7, 8]) + Sample.piece(0, Sample.signature + [1, 2, 3])
            + Sample.piece(9, [9]) + Sample.piece(40, []) + Sample.end + [1, 2]
        let (size, file) = try rearranged(stream)
        #expect(size == 40)
        #expect(file == Sample.signature + [1, 9, 3, 0, 0, 0, 0, 0, 0, 0, 7, 8])
    }

    @Test func largePiecesAreCopiedWhole() throws {
        let bytes = (0..<(1 << 20) - 8).map { UInt8(truncatingIfNeeded: $0 / 3) }
        let file = try rearranged(Sample.header() + Sample.start + Sample.piece(8, bytes) + Sample.end).file
        #expect(file.dropFirst(8).elementsEqual(bytes))
    }

    /// They are read many at once, and none is cut where a buffer ends.
    @Test func manySmallPiecesAreCopiedWhole() throws {
        let bytes = (0..<70_000).map { UInt8(truncatingIfNeeded: $0) }
        let pieces = bytes.enumerated().flatMap { Sample.piece(8 + UInt64($0), [$1]) }
        let (size, file) = try rearranged(Sample.header() + Sample.start + pieces + Sample.end)
        #expect(size == 70_008)
        #expect(file.dropFirst(8).elementsEqual(bytes))
    }

    @Test func whoeverDoesNotWaitIsNotKeptWaiting() throws {
        let source = FilePath(try folder.write(Sample.stream, to: "stream"))
        let descriptor = try FileDescriptor.open(source, .readOnly)
        #expect(throws: CancellationError.self) {
            try descriptor.closeAfter {
                _ = try FlattenedDump.rearrange(
                    descriptor, 0..<UInt64(Sample.stream.count), into: nil, limit: 1 << 20, isCancelled: { true })
            }
        }
    }

    private static let damaged: [(stream: [UInt8], problem: FlattenedDumpProblem)] = [
        ([], .ends(at: 0)), (Array(Sample.header().dropLast()), .ends(at: 0)), (Sample.header(2), .header),
        (Sample.header(1, 2), .header),
        (Sample.header(name: "makedumpfilf"), .header), ([UInt8](repeating: 0, count: 4096), .header),
        (Sample.header(), .ends(at: 4096)), (Sample.header() + Sample.end.dropLast(), .ends(at: 4096)),
        (Sample.header() + Sample.piece(0, [1]), .ends(at: 4113)),
        (Sample.header() + Sample.piece(0, [1, 2]).dropLast(), .ends(at: 4112)),
        (Sample.header() + Sample.piece(1 << 20, [1]) + Sample.end, .place(at: 4096, 1 << 20, 1, limit: 1 << 20)),
        (Sample.header() + Sample.piece(.max, [1]) + Sample.end, .place(at: 4096, .max, 1, limit: 1 << 20)),
        (
            Sample.header() + bigEndian(1, .max, byteCount: 8) + Sample.end,
            .place(at: 4096, 1, .max, limit: 1 << 20)
        ),
        (Sample.header() + bigEndian(0, 1 << 20, byteCount: 8), .ends(at: 4112)),
        // Nothing, a dump of another kind, and one that is written over.
        (Sample.header() + Sample.end, .file),
        (Sample.header() + Sample.piece(0, Array("DISKDUMP".utf8)) + Sample.end, .file),
        (Sample.header() + Sample.start + Sample.piece(0, [0]) + Sample.end, .file),
    ]

    @Test(arguments: damaged) func damageIsNamed(stream: [UInt8], problem: FlattenedDumpProblem) throws {
        #expect(throws: problem) { try rearranged(stream) }
        #expect(!problem.description.isEmpty)
    }
}
