// SPDX-License-Identifier: Apache-2.0

import Foundation
import GuestMemory
import Inspection
import MemoryBackends
import SystemPackage
import TestSupport
import Testing

/// Memory of a guest that runs.
@Suite struct LiveMemoryTests {
    private let folder: TemporaryFolder

    init() throws { folder = try TemporaryFolder() }

    private static let mebibyte: UInt64 = 1 << 20

    /// A word for each address.
    private static func word(_ address: UInt64) -> UInt64 { address &* 0x9e37_79b9_7f4a_7c15 }

    private static func bytes(of range: Range<UInt64>) -> [UInt8] {
        stride(from: range.lowerBound, to: range.upperBound, by: 8).flatMap { address in
            withUnsafeBytes(of: word(address)) { Array($0) }
        }
    }

    /// What the hypervisor was asked for.
    private final class Asked {
        var ranges: [Range<UInt64>] = []
    }

    private func memory(peekByteCount: Int, _ asked: Asked) throws -> DumpMemory {
        let (first, second) = (0..<Self.mebibyte, 2 * Self.mebibyte..<5 * Self.mebibyte)
        nonisolated(unsafe) let asked = asked
        return try DumpMemory(
            [
                MemoryPiece(
                    range: second,
                    source: .hypervisor { address, byteCount in
                        asked.ranges.append(address..<address + UInt64(byteCount))
                        return Self.bytes(of: address..<address + UInt64(byteCount))
                    }),
                MemoryPiece(
                    range: first, source: .file(FilePath(try folder.write(Self.bytes(of: first), to: "first")))),
            ], peekByteCount: peekByteCount)
    }

    @Test func isReadPieceByPiece() throws {
        let asked = Asked()
        let memory = try memory(peekByteCount: 1 << 20, asked)
        #expect(memory.format == "guest's memory files, in part through its hypervisor")
        #expect(memory.byteCount == 4 * Self.mebibyte)
        for address in stride(from: 0, to: 6 * Self.mebibyte, by: 4096) {
            let isHeld = address < Self.mebibyte || 2 * Self.mebibyte..<5 * Self.mebibyte ~= address
            #expect(memory.holds(PhysicalAddress(address)) == isHeld)
            #expect((try? memory.storedWord(at: PhysicalAddress(address))) == (isHeld ? Self.word(address) : nil))
        }
        // Each byte once, no more of them than allowed, and none that are not there.
        #expect(asked.ranges == [2, 3, 4].map { $0 * Self.mebibyte..<($0 + 1) * Self.mebibyte })
    }

    @Test func theHypervisorIsAskedForNothingBehindAPiece() throws {
        let asked = Asked()
        let memory = try memory(peekByteCount: 4 << 20, asked)
        #expect(try memory.storedWord(at: PhysicalAddress(4 * Self.mebibyte)) == Self.word(4 * Self.mebibyte))
        #expect(try memory.storedWord(at: PhysicalAddress(2 * Self.mebibyte)) == Self.word(2 * Self.mebibyte))
        #expect(asked.ranges == [4 * Self.mebibyte..<5 * Self.mebibyte, 2 * Self.mebibyte..<5 * Self.mebibyte])
    }

    private static let impossible: [Range<UInt64>] = [
        0..<UInt64.max, 0x7_ffff_ffff_fff8..<0x8_0000_0000_0008, 0xffff_ffff_ffff_f000..<UInt64.max,
    ]

    @Test(arguments: impossible) func memoryEndsSomewhere(range: Range<UInt64>) {
        let piece = MemoryPiece(range: range, source: .hypervisor { _, _ in [] })
        #expect(
            throws: DumpFileProblem.load(
                physAddr: range.lowerBound, byteCount: range.upperBound - range.lowerBound)
        ) { try DumpMemory([piece], peekByteCount: 4096) }
    }

    @Test func nothingIsReadOnceCancelled() throws {
        var isCancelled = false
        let range = 0..<Self.mebibyte
        let memory = try DumpMemory(
            [MemoryPiece(range: range, source: .file(FilePath(try folder.write(Self.bytes(of: range), to: "all"))))],
            peekByteCount: 4096, isCancelled: { isCancelled })
        #expect(try memory.storedWord(at: PhysicalAddress(0)) == Self.word(0))
        isCancelled = true
        #expect(throws: MemoryAccessError.unmapped(0x80000)) { try memory.storedWord(at: PhysicalAddress(0x80000)) }
    }

    // MARK: - Readings that agree

    private struct Failure: Error, CustomStringConvertible {
        let description: String
    }

    /// Readings one after the other: a fixture's name, or an error's words in capitals.
    private static func settled(_ readings: [String]) async throws -> (Inspection, readingCount: Int) {
        var rest = readings[...]
        let inspection = try await Inspection.settled {
            let reading = rest.popFirst() ?? "END"
            if reading == "CANCEL" { throw CancellationError() }
            if reading.allSatisfy(\.isUppercase) { throw Failure(description: reading) }
            return try Inspection(of: DumpMemory(FilePath(Fixture.file(reading + "/dump.elf").path)))
        }
        return (inspection, readings.count - rest.count)
    }

    private static let (one, other) = ("6.1-hash-64k", "6.1-radix-64k")

    @Test(arguments: [
        ([one, one], 2), ([one, other, other], 3), ([one, "A", one, one], 4), (["A", "B", "A", one, one], 5),
        ([one, other, one, other, other], 5),
    ]) func twoInARowAgree(readings: [String], readingCount: Int) async throws {
        let (inspection, count) = try await Self.settled(readings)
        #expect(count == readingCount)
        let last = try #require(readings.dropFirst(count - 1).first)
        #expect(
            try inspection.snapshot
                == Inspection(of: DumpMemory(FilePath(Fixture.file(last + "/dump.elf").path))).snapshot)
    }

    @Test func aGuestThatNeverStandsStillIsTorn() async throws {
        let readings = (0..<2 * Inspection.readingLimit).map { $0.isMultiple(of: 2) ? Self.one : Self.other }
        let error = try await #require(throws: InspectionProblem.self) { try await Self.settled(readings) }
        #expect("\(error)".hasPrefix("torn: the kernel's memory map was another in each of 16 readings;"))
    }

    @Test func anErrorCountsWhenItComesTwice() async throws {
        let error = try await #require(throws: Failure.self) { try await Self.settled([Self.one, "A", "B", "B", "C"]) }
        #expect("\(error)" == "B")
        await #expect(throws: CancellationError.self) {
            try await Self.settled([Self.one, "CANCEL", Self.one, Self.one])
        }
    }
}
