// SPDX-License-Identifier: Apache-2.0

import GuestMemory
import HarnessBasics
import TestSupport
import Testing

/// The bytes of an ELF header in either byte order, each field of which can be set.
private struct SampleHeader {
    var order = ByteOrder.little
    /// `e_type`, `e_machine`, and so on, by offset: ``ELFHeader`` reads these.
    var fields: [(offset: Int, byteCount: Int, value: UInt64)] = [
        (16, 2, 4), (18, 2, 21), (32, 8, 64), (40, 8, 0x1000), (52, 2, 64), (54, 2, 56), (56, 2, 3), (58, 2, 64),
        (60, 2, 5),
    ]

    func with(_ offset: Int, _ byteCount: Int, _ value: UInt64) -> SampleHeader {
        var copy = self
        copy.fields.append((offset, byteCount, value))
        return copy
    }

    var bytes: [UInt8] {
        var bytes: [UInt8] =
            [0x7f, 0x45, 0x4c, 0x46, 2, order == .little ? 1 : 2, 1] + [UInt8](repeating: 0, count: 57)
        for (offset, byteCount, value) in fields { bytes.put(value, byteCount, at: offset, order) }
        return bytes
    }
}

extension [UInt8] {
    fileprivate mutating func put(_ value: UInt64, _ byteCount: Int, at offset: Int, _ order: ByteOrder) {
        for index in 0..<byteCount {
            self[offset + (order == .little ? index : byteCount - 1 - index)] =
                UInt8(truncatingIfNeeded: value >> UInt64(8 * index))
        }
    }
}

struct ELFHeaderTests {
    @Test(arguments: [ByteOrder.little, .big]) func isReadInEitherByteOrder(order: ByteOrder) throws {
        let header = try ELFHeader(SampleHeader(order: order).bytes)
        #expect(header.order == order)
        #expect(header.identity.isPPC64 && header.identity.is64Bit)
        #expect(header.identity.type == 4)
        #expect(header.identity.machine == 21)
        #expect(header.programHeaders.offset == 64)
        #expect(header.programHeaders.count == 3)
        #expect(header.programHeaders.byteCount == 3 * 56)
        #expect(header.sectionHeaders.offset == 0x1000)
        #expect(header.sectionHeaders.count == 5)
        #expect(header.sectionHeaders.byteCount == 5 * 64)
        // What stands behind the header is not its own.
        #expect(try ELFHeader(SampleHeader(order: order).bytes + [1, 2, 3]) == header)
    }

    /// A field, its value, and what is said of it; nil where the value is a header's.
    @Test(
        arguments: [
            (0, 1, 0x7e, .notELF), (3, 1, 0x47, .notELF), (4, 1, 0, .not64Bit), (4, 1, 1, .not64Bit),
            (4, 1, 3, .not64Bit), (5, 1, 0, .byteOrder(0)), (5, 1, 3, .byteOrder(3)), (5, 1, 255, .byteOrder(255)),
            // Program headers: where, how large, how many.
            (32, 8, 0, nil), (32, 8, .max - 3 * 56, nil), (32, 8, .max - 3 * 56 + 1, .tableWraps(offset: .max - 167)),
            (32, 8, .max, .tableWraps(offset: .max)), (54, 2, 0, .programHeaderSize(0)),
            (54, 2, 55, .programHeaderSize(55)), (54, 2, 57, .programHeaderSize(57)),
            (54, 2, 0xffff, .programHeaderSize(0xffff)), (56, 2, 0, nil), (56, 2, 0xfffe, nil),
            (56, 2, 0xffff, .tooManyProgramHeaders),
            // Section headers.
            (40, 8, 0, nil), (40, 8, .max - 5 * 64, nil), (40, 8, .max - 5 * 64 + 1, .tableWraps(offset: .max - 319)),
            (40, 8, .max, .tableWraps(offset: .max)), (58, 2, 0, .sectionHeaderSize(0)),
            (58, 2, 63, .sectionHeaderSize(63)), (58, 2, 0xffff, .sectionHeaderSize(0xffff)), (60, 2, 0, nil),
            (60, 2, 0xffff, nil),
            // What no reader here looks at.
            (24, 8, .max, nil), (48, 4, 0xffff_ffff, nil), (52, 2, 0xffff, nil), (62, 2, 0xffff, nil),
        ] as [(Int, Int, UInt64, ELFProblem?)])
    func everyFieldAtItsLimits(offset: Int, byteCount: Int, value: UInt64, problem: ELFProblem?) throws {
        for order in [ByteOrder.little, .big] {
            let bytes = SampleHeader(order: order).with(offset, byteCount, value).bytes
            guard let problem else {
                _ = try ELFHeader(bytes)
                continue
            }
            #expect(throws: problem) { try ELFHeader(bytes) }
        }
    }

    /// `PN_XNUM`: the first section header has the count, `sh_info`.
    @Test(
        arguments: [
            (0, 0xffff, nil), (0, 70_000, nil), (0, 1 << 20, nil), (0, 1 << 20 + 1, .tooManyProgramHeaders),
            (0, 0xffff_ffff, .tooManyProgramHeaders), (0, 0xfffe, .programHeaderCount(0xfffe)),
            (0, 0, .programHeaderCount(0)), (2, 70_000, .programHeaderCount(70_000)),
        ] as [(UInt64, UInt64, ELFProblem?)])
    func theFirstSectionCountsProgramHeaders(type: UInt64, count: UInt64, problem: ELFProblem?) throws {
        for order in [ByteOrder.little, .big] {
            let bytes = SampleHeader(order: order).with(56, 2, 0xffff).bytes
            #expect(try ELFHeader.offsetOfProgramHeaderCount(bytes) == 0x1000)
            var section = [UInt8](repeating: 0, count: 64)
            section.put(type, 4, at: 4, order)
            section.put(count, 4, at: 44, order)
            if let problem {
                #expect(throws: problem) { try ELFHeader(bytes, firstSection: section) }
            } else {
                let header = try ELFHeader(bytes, firstSection: section)
                #expect(header.programHeaders.count == Int(count))
                #expect(header.programHeaders.byteCount == Int(count) * 56)
            }
            // Where it is not asked for it does not count.
            let few = SampleHeader(order: order).bytes
            #expect(try ELFHeader.offsetOfProgramHeaderCount(few) == nil)
            #expect(try ELFHeader(few, firstSection: section) == ELFHeader(few))
            #expect(throws: ELFProblem.tooManyProgramHeaders) {
                try ELFHeader(bytes, firstSection: Array(section.prefix(63)))
            }
        }
    }

    /// The size of what is not there does not count.
    @Test func emptyTablesHaveNoSize() throws {
        let header = try ELFHeader(SampleHeader().with(54, 2, 0).with(56, 2, 0).with(58, 2, 0).with(60, 2, 0).bytes)
        #expect(header.programHeaders.count == 0 && header.programHeaders.byteCount == 0)
        #expect(header.sectionHeaders.count == 0 && header.sectionHeaders.byteCount == 0)
        #expect(header.programHeaders(in: [UInt8](repeating: 1, count: 1000)) == [])
        #expect(header.sectionHeaders(in: [UInt8](repeating: 1, count: 1000)) == [])
    }

    @Test func whatIsTooShort() throws {
        let bytes = SampleHeader().bytes
        for count in 0..<ELFHeader.byteCount {
            let problem: ELFProblem = count < ELFIdentity.byteCount ? .notELF : .not64Bit
            #expect(throws: problem) { try ELFHeader(Array(bytes.prefix(count))) }
        }
        #expect(throws: ELFProblem.notELF) { try ELFIdentity(Array(bytes.prefix(19))) }
        #expect(try ELFIdentity(Array(bytes.prefix(20))) == ELFHeader(bytes).identity)
    }

    /// A 32-bit file, and another machine's, have an identity all the same.
    @Test(arguments: [ByteOrder.little, .big]) func identitiesOfOthers(order: ByteOrder) throws {
        let short = try ELFIdentity(SampleHeader(order: order).with(4, 1, 1).bytes)
        #expect(!short.is64Bit && short.machine == 21 && !short.isPPC64)
        let other = try ELFIdentity(SampleHeader(order: order).with(18, 2, 62).bytes)
        #expect(other.is64Bit && other.machine == 62 && !other.isPPC64)
    }

    @Test(arguments: [ByteOrder.little, .big]) func programHeadersAreRead(order: ByteOrder) throws {
        let header = try ELFHeader(SampleHeader(order: order).with(56, 2, 2).bytes)
        var table = [UInt8](repeating: 0, count: 2 * 56)
        let fields: [(Int, Int)] = [(0, 4), (4, 4), (8, 8), (16, 8), (24, 8), (32, 8), (40, 8), (48, 8)]
        for (index, (offset, byteCount)) in fields.enumerated() {
            table.put(UInt64(index) + 1, byteCount, at: 56 + offset, order)
        }
        let headers = header.programHeaders(in: table)
        try #require(headers.count == 2)
        #expect(headers[0].type == 0 && !headers[0].isAddressable)
        #expect(headers[1].type == ELFProgramHeader.loadType)
        #expect(headers[1].fileOffset == 3)
        #expect(headers[1].virtAddr == 4)
        #expect(headers[1].physAddr == 5)
        #expect(headers[1].fileByteCount == 6)
        #expect(headers[1].memoryByteCount == 7)
        // As many as there are bytes of, and no more than the header says.
        #expect(header.programHeaders(in: Array(table.prefix(111))).count == 1)
        #expect(header.programHeaders(in: []).isEmpty)
        #expect(header.programHeaders(in: table + table).count == 2)
    }

    @Test(arguments: [ByteOrder.little, .big]) func sectionHeadersAreRead(order: ByteOrder) throws {
        let header = try ELFHeader(SampleHeader(order: order).with(60, 2, 2).bytes)
        var table = [UInt8](repeating: 0, count: 2 * 64)
        let fields: [(Int, Int)] = [
            (0, 4), (4, 4), (8, 8), (16, 8), (24, 8), (32, 8), (40, 4), (44, 4), (48, 8), (56, 8),
        ]
        for (index, (offset, byteCount)) in fields.enumerated() {
            table.put(UInt64(index) + 1, byteCount, at: 64 + offset, order)
        }
        let headers = header.sectionHeaders(in: table)
        try #require(headers.count == 2)
        #expect(headers[1].type == ELFSectionHeader.symbolTableType)
        #expect(headers[1].fileOffset == 5)
        #expect(headers[1].fileByteCount == 6)
        #expect(headers[1].link == 7)
        #expect(header.sectionHeaders(in: Array(table.prefix(127))).count == 1)
        #expect(header.sectionHeaders(in: []).isEmpty)
        #expect(header.sectionHeaders(in: table + table).count == 2)
    }

    private func piece(offset: UInt64, virtAddr: UInt64, byteCount: UInt64) throws -> ELFProgramHeader {
        var table = [UInt8](repeating: 0, count: 56)
        for (place, value) in [(8, offset), (16, virtAddr), (32, byteCount)] { table.put(value, 8, at: place, .little) }
        return try ELFHeader(SampleHeader().with(56, 2, 1).bytes).programHeaders(in: table)[0]
    }

    @Test(
        arguments: [
            (0, 0, 0, false), (0, 0, 1, true), (0, 0, .max, true), (.max, 0, 1, true), (.max, 0, 2, false),
            (0, .max, 1, true), (0, .max, 2, false), (.max - 0xfff, .max - 0xfff, 0x1000, true),
            (.max - 0xfff, 0, 0x1001, false), (0, .max - 0xfff, 0x1001, false), (1, 1, .max, true), (2, 0, .max, false),
            (0, 2, .max, false),
        ] as [(UInt64, UInt64, UInt64, Bool)])
    func piecesAtTheEndOfAllNumbers(offset: UInt64, virtAddr: UInt64, byteCount: UInt64, isAddressable: Bool) throws {
        #expect(
            try piece(offset: offset, virtAddr: virtAddr, byteCount: byteCount).isAddressable == isAddressable)
    }

    @Test(
        arguments: [
            (0x2000, 1, 0x100), (0x2000, 0x1000, 0x100), (0x2000, 0x1001, nil), (0x2fff, 1, 0x10ff), (0x2fff, 2, nil),
            (0x3000, 1, nil), (0x3000, 0, nil), (0x1fff, 1, nil), (0, 1, nil), (.max, 1, nil), (0x2000, .max, nil),
        ] as [(UInt64, UInt64, UInt64?)])
    func whereTheFileHoldsAnAddress(address: UInt64, byteCount: UInt64, offset: UInt64?) throws {
        let piece = try piece(offset: 0x100, virtAddr: 0x2000, byteCount: 0x1000)
        #expect(piece.fileOffset(ofVirtAddr: address, byteCount: byteCount) == offset)
        let last = try self.piece(offset: .max - 0xfff, virtAddr: .max - 0xfff, byteCount: 0x1000)
        #expect(last.fileOffset(ofVirtAddr: .max, byteCount: 1) == .max)
        #expect(last.fileOffset(ofVirtAddr: .max, byteCount: 2) == nil)
    }

    /// Whatever bytes stand there, they are a header or a problem.
    @Test func anyBytesEnd() throws {
        var generator = SeededGenerator(seed: 0xe1f)
        var readCount = 0
        for round in 0..<2000 {
            var bytes = SampleHeader(order: round % 2 == 0 ? .little : .big).bytes
            for _ in 0...round % 4 {
                bytes[Int.random(in: 4..<bytes.count, using: &generator)] = UInt8.random(in: 0...255, using: &generator)
            }
            guard let header = try? ELFHeader(bytes) else { continue }
            readCount += 1
            #expect(header.programHeaders.count < 0xffff && header.sectionHeaders.count <= 0xffff)
            for piece in header.programHeaders(in: bytes + bytes) where piece.isAddressable {
                #expect(
                    piece.fileOffset(ofVirtAddr: piece.virtAddr, byteCount: piece.fileByteCount) == piece.fileOffset)
            }
        }
        #expect(readCount > 200)
    }
}
