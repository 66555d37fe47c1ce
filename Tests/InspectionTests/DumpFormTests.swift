// SPDX-License-Identifier: Apache-2.0

import Foundation
import GuestMemory
import Inspection
import MemoryBackends
import RunRecord
import SystemPackage
import TestSupport
import Testing

@testable import OfflineCommands

/// Forms in which the same memory comes: with more program headers than an ELF header can say, in makedumpfile's flattened
/// format, and compressed.
@Suite struct DumpFormTests {
    private let folder: TemporaryFolder

    init() throws { folder = try TemporaryFolder() }

    private func inspection(_ bytes: [UInt8]) throws -> Inspection {
        try Inspection(of: DumpMemory(FilePath(folder.write(bytes, to: "dump"))))
    }

    // MARK: - PN_XNUM

    /// A fixture with so many program headers, its own the last, and the count in the first section header.
    private static func extended(_ dump: [UInt8], count: UInt64, said: UInt64? = nil, type: UInt8 = 0) throws -> [UInt8]
    {
        let header = try ELFHeader(dump)
        func number(_ number: UInt64, _ byteCount: Int) -> [UInt8] {
            let bytes = bigEndian(number, byteCount: byteCount)
            return header.order == .little ? bytes.reversed() : bytes
        }
        var bytes = dump
        let own = dump[Int(header.programHeaders.offset)...].prefix(header.programHeaders.byteCount)
        let section = UInt64(dump.count)
        for (offset, field) in [
            (32, number(section + 64, 8)), (40, number(section, 8)), (56, number(0xffff, 2)), (58, number(64, 2)),
            (60, number(1, 2)),
        ] { bytes.replaceSubrange(offset..<offset + field.count, with: field) }
        bytes += [UInt8](repeating: 0, count: 4) + number(UInt64(type), 4) + [UInt8](repeating: 0, count: 36)
        bytes += number(said ?? count, 4) + [UInt8](repeating: 0, count: 16)
        bytes += [UInt8](repeating: 0, count: (Int(count) - header.programHeaders.count) * ELFProgramHeader.byteCount)
        return bytes + own
    }

    @Test(arguments: [65535, 65536, 70_000] as [UInt64]) func manyProgramHeadersAreRead(count: UInt64) throws {
        let dump = try Fixture.bytes("6.1-hash-64k/dump.elf")
        #expect(try inspection(Self.extended(dump, count: count)).snapshot == inspection(dump).snapshot)
    }

    @Test func manyProgramHeadersAreReadInBigEndian() throws {
        let dump = SampleKernel(order: .big).bytes
        #expect(try inspection(Self.extended(dump, count: 65535)).snapshot == inspection(dump).snapshot)
    }

    /// A count that is none, one that the file has not got, and one that no dump has.
    @Test(
        arguments: [
            (0, 0, "programHeaderCount(0)"), (65534, 0, "programHeaderCount(65534)"),
            (65535, 1, "programHeaderCount(65535)"),
            (70_001, 0, "before its program headers do"), (1 << 20, 0, "before its program headers do"),
            (1 << 20 + 1, 0, "tooManyProgramHeaders"), (0xffff_ffff, 0, "tooManyProgramHeaders"),
        ] as [(UInt64, UInt8, String)])
    func countsThatCannotBeAreRefused(said: UInt64, type: UInt8, words: String) throws {
        let bytes = try Self.extended(Fixture.bytes("6.1-hash-64k/dump.elf"), count: 70_000, said: said, type: type)
        let error = try #require(throws: DumpFileProblem.self) { try inspection(bytes) }
        #expect("\(error)".contains(words), "\(error)")
    }

    /// A section header at every place that there is none.
    @Test(arguments: [0, 1 << 40, .max, .max - 63] as [UInt64]) func aCountThatIsNowhereIsRefused(offset: UInt64) throws
    {
        var bytes = try Self.extended(Fixture.bytes("6.1-hash-64k/dump.elf"), count: 65535)
        bytes.replaceSubrange(40..<48, with: bigEndian(offset, byteCount: 8).reversed())
        #expect(throws: DumpFileProblem.self) { try inspection(bytes) }
    }

    // MARK: - Flattened

    /// The same file in pieces, the last one first, and the first one twice.
    private static func flattened(_ file: [UInt8], pieceByteCount: Int = 5000) -> [UInt8] {
        let starts = Array(stride(from: 0, to: file.count, by: pieceByteCount))
        let pieces = ([0] + starts.reversed()).flatMap {
            SampleFlattenedDump.piece(UInt64($0), Array(file[$0...].prefix(pieceByteCount)))
        }
        return SampleFlattenedDump.header() + pieces + SampleFlattenedDump.end
    }

    @Test(arguments: ["6.1-hash-64k", "6.1-radix-64k", "6.12-hash-4k"])
    func aFlattenedDumpIsTheSame(name: String) throws {
        let dump = try Fixture.bytes(name + "/dump.elf")
        let inspection = try inspection(Self.flattened(dump))
        #expect(inspection.snapshot == (try self.inspection(dump)).snapshot)
        #expect(inspection.source == "ELF core dump")
        #expect(try Set(folder.names()) == ["dump"])
    }

    @Test func aFlattenedDumpThatIsNoneIsRefused() throws {
        let dump = try Fixture.bytes("6.1-hash-64k/dump.elf")
        let whole = Self.flattened(dump)
        let cases: [([UInt8], String)] = [
            (Array(whole.dropLast(16)), "before its end mark"), (Array(whole.prefix(5000)), "it ends at byte"),
            (Array(whole.prefix(16)), "it ends at byte 0"), (SampleFlattenedDump.header(2), "it does not begin"),
            (SampleFlattenedDump.header() + SampleFlattenedDump.end, "does not begin as a dump"),
            // A file of pieces of a file of pieces.
            (Self.flattened(whole), "does not begin as a dump"),
            (
                SampleFlattenedDump.header() + SampleFlattenedDump.piece(1 << 62, [1]) + SampleFlattenedDump.end,
                "goes to 4611686018427387904"
            ),
        ]
        for (bytes, words) in cases {
            let error = try #require(throws: DumpFileProblem.self) { try inspection(bytes) }
            #expect("\(error)".contains("flattened format does, but ") && "\(error)".contains(words), "\(error)")
        }
        // Its beginning alone, and no more.
        #expect(throws: DumpFileProblem.unknown) { try inspection(Array("makedumpfile".utf8)) }
    }

    // MARK: - Compressed

    /// Pages in each way in which makedumpfile writes them, flattened and not, of both byte orders.
    @Test(arguments: SampleCompressedDump.Compression.allCases, [ByteOrder.little, .big])
    func compressedDumpsAreTheSame(compression: SampleCompressedDump.Compression, order: ByteOrder) throws {
        var kernel = SampleKernel(order: order)
        kernel.note = kernel.note.adding("OFFSET(page._refcount)", "52")
        kernel.put(9, 4, page: 1030, offset: 52)
        let expected = try inspection(kernel.bytes)
        #expect(expected.outcome == .passed)
        let bytes = kernel.compressed(compression).bytes
        for form in [bytes, Self.flattened(bytes, pieceByteCount: 100_000)] {
            let dump = try DumpMemory(FilePath(folder.write(form, to: "compressed")))
            let inspection = try Inspection(of: dump, frames: [1030])
            #expect(inspection.source == "diskdump")
            #expect(inspection.snapshot == expected.snapshot)
            #expect(inspection.pages[0].contents?.refcount == 9)
        }
    }

    /// A dump whose own note is none has none: this memory holds no other.
    @Test func aCompressedDumpsNoteIsChecked() throws {
        var kernel = SampleKernel()
        kernel.note.lines.swapAt(0, 1)
        let path = FilePath(try folder.write(kernel.compressed(.zlib).bytes, to: "dump"))
        #expect(throws: NoteSearchError.self) { try Inspection(of: DumpMemory(path)) }
    }

    /// A page of the memory map that makedumpfile has left out.
    @Test func aCompressedDumpMayLackAStructPage() throws {
        var kernel = SampleKernel()
        kernel.lacking = [SampleKernel.blocks + 65536]
        let dump = try DumpMemory(FilePath(folder.write(kernel.compressed(.zlib).bytes, to: "dump")))
        let pages = try Inspection(of: dump, frames: [1023, 1024]).pages
        #expect(pages[0].contents != nil && pages[1].location?.backing != nil && pages[1].contents == nil)
    }
}
