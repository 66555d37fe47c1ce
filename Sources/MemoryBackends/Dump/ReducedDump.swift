// SPDX-License-Identifier: Apache-2.0

import GuestMemory
public import KernelState
public import SystemPackage
import VmemmapPopulate

/// A dump with nothing in it but the pages that were read of another one: small enough to be sent to somebody, and with little
/// else of that memory.
public enum ReducedDump {
    private static let pageByteCount: UInt64 = 4096

    /// Writes an ELF core dump with the pages that were read of a dump since ``DumpMemory/recordReads()``, and its note.
    ///
    /// - Parameters:
    ///   - dump: the dump.
    ///   - note: its note.
    ///   - target: a new file, empty before.
    /// - Throws: `Errno`, or ``ReducedDumpProblem``.
    public static func write(_ dump: DumpMemory, note: KernelNote, to target: FileDescriptor) throws {
        var pages = MemoryRanges()
        for page in dump.readPages.sorted() { pages.insert(page * pageByteCount..<(page + 1) * pageByteCount) }
        let pieces = pages.ranges.flatMap { dump.held(in: $0) }
        // The last number of 16 bits has another meaning (PN_XNUM), and the note is one.
        guard pieces.count < 0xfffe else { throw ReducedDumpProblem.tooManyPieces(pieces.count) }
        let header = header(pieces, noteByteCount: note.info.elfNote(note.order).count, order: note.order)
        try target.writeAll(header + note.info.elfNote(note.order))
        for piece in pieces {
            let bytes = dump.bytes(at: piece.lowerBound, byteCount: piece.count)
            guard bytes.count == piece.count else { throw ReducedDumpProblem.changed }
            try target.writeAll(bytes)
        }
    }

    /// The ELF header and the program headers: the note's, and each piece's (elf.h).
    private static func header(_ pieces: [Range<UInt64>], noteByteCount: Int, order: ByteOrder) -> [UInt8] {
        var bytes: [UInt8] = [0x7f, 0x45, 0x4c, 0x46, 2, order == .little ? 1 : 2, 1]
        bytes += [UInt8](repeating: 0, count: 9)
        func put(_ number: UInt64, _ byteCount: Int) { bytes += order.bytes(of: number, byteCount: byteCount) }
        put(4, 2)  // ET_CORE
        put(ELFIdentity.ppc64Machine, 2)
        put(1, 4)  // EV_CURRENT
        put(0, 8)
        put(UInt64(ELFHeader.byteCount), 8)
        put(0, 8)
        put(order == .little ? 2 : 1, 4)  // the ABI of the kernel's programs
        put(UInt64(ELFHeader.byteCount), 2)
        put(UInt64(ELFProgramHeader.byteCount), 2)
        put(UInt64(pieces.count) + 1, 2)
        put(0, 6)
        var offset = UInt64(ELFHeader.byteCount + (pieces.count + 1) * ELFProgramHeader.byteCount)
        func putProgramHeader(_ type: UInt64, _ virtAddr: UInt64, _ physAddr: UInt64, _ byteCount: UInt64) {
            put(type, 4)
            put(0, 4)
            for number in [offset, virtAddr, physAddr, byteCount, byteCount, 0] { put(number, 8) }
            offset += byteCount
        }
        putProgramHeader(ELFProgramHeader.noteType, 0, 0, UInt64(noteByteCount))
        for piece in pieces {
            putProgramHeader(
                ELFProgramHeader.loadType, LinearMap.base + piece.lowerBound, piece.lowerBound, UInt64(piece.count))
        }
        return bytes
    }
}

/// Why a dump is not reduced.
public enum ReducedDumpProblem: Error, Equatable, Sendable, CustomStringConvertible {
    /// An ELF file of this kind has not so many pieces.
    case tooManyPieces(Int)
    /// It does not read as it did.
    case changed

    /// What a person reads.
    public var description: String {
        switch self {
        case .tooManyPieces(let count): "what was read are \(count) pieces of memory; a dump has fewer than 65534"
        case .changed: "the dump has changed while it was read"
        }
    }
}

extension Vmcoreinfo {
    /// The ELF note of this text (`Elf64_Nhdr`), padded as notes are.
    fileprivate func elfNote(_ order: ByteOrder) -> [UInt8] {
        let header = [11, UInt64(text.count), 0].flatMap { order.bytes(of: $0, byteCount: 4) }
        return header + Self.noteName + text + [UInt8](repeating: 0, count: (4 - text.count % 4) % 4)
    }
}

extension ByteOrder {
    fileprivate func bytes(of number: UInt64, byteCount: Int) -> [UInt8] {
        let little = (0..<byteCount).map { UInt8(truncatingIfNeeded: number >> (UInt64($0) * 8)) }
        return self == .little ? little : little.reversed()
    }
}
