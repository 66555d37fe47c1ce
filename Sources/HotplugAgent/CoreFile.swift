// SPDX-License-Identifier: Apache-2.0

import GuestMemory
import VmemmapPopulate

/// A kernel's memory as an ELF core file that the running kernel makes: its own, or that of the kernel which died before.
///
/// To be opened freshly for each look: the program headers of /proc/kcore are made anew after a memory hot-plug. Reads go
/// through a buffer of 64 KiB, since list nodes stand side by side; the buffer lives as long as this object, which is one
/// walk.
final class CoreFile<System: AgentSystem>: WordMemory, PhysicalMemory {
    /// Whose memory it is.
    enum Subject {
        /// The running kernel's: /proc/kcore (fs/proc/kcore.c), which also holds what is outside of the linear map.
        case running
        /// The dead kernel's: /proc/vmcore (fs/proc/vmcore.c). Its PT_LOADs were written by kexec, and are taken by their
        /// physical addresses, which is what a dump is about.
        case dead

        var path: StaticString {
            switch self {
            case .running: "/proc/kcore"
            case .dead: "/proc/vmcore"
            }
        }
    }

    /// A piece of memory that the file holds.
    private struct Piece {
        /// Its first effective address.
        let start: UInt64
        let segment: ELFProgramHeader

        var byteCount: UInt64 { segment.fileByteCount }

        /// Where the file holds so many bytes from an address on; nil where this piece does not hold all of them.
        func offset(of address: UInt64, byteCount: UInt64) -> UInt64? {
            guard address >= start else { return nil }
            let (virtAddr, overflows) = segment.virtAddr.addingReportingOverflow(address - start)
            return overflows ? nil : segment.fileOffset(ofVirtAddr: virtAddr, byteCount: byteCount)
        }
    }

    private let system: System
    private let descriptor: Int
    /// The pieces of memory that it holds (PT_LOAD).
    private var pieces: [Piece] = []
    /// Where its notes stand (PT_NOTE).
    private var notes: [ELFProgramHeader] = []
    private var buffer: [UInt8] = []
    private var bufferAddress: UInt64 = 0

    private static var bufferByteCount: UInt64 { 65536 }
    /// The most notes that are looked at: a guest has at most 16 processors, with one each, and there is VMCOREINFO.
    private static var noteByteLimit: UInt64 { 1 << 20 }

    /// Opens the file and reads its headers; nil when it is not there or is no ELF file of this kind.
    init?(_ subject: Subject, system: System) {
        guard let descriptor = system.open(subject.path, .read) else { return nil }
        self.system = system
        self.descriptor = descriptor
        guard let beginning = read(at: 0, byteCount: ELFHeader.byteCount), let header = try? ELFHeader(beginning),
            header.order == .native,
            let table = read(at: header.programHeaders.offset, byteCount: header.programHeaders.byteCount)
        else { return nil }
        for segment in header.programHeaders(in: table) where segment.isAddressable {
            switch segment.type {
            case ELFProgramHeader.loadType:
                if let start = Self.start(of: segment, subject) {
                    pieces.append(Piece(start: start, segment: segment))
                }
            case ELFProgramHeader.noteType: notes.append(segment)
            default: break
            }
        }
    }

    deinit { system.close(descriptor) }

    private static func start(of segment: ELFProgramHeader, _ subject: Subject) -> UInt64? {
        switch subject {
        case .running: return segment.virtAddr
        case .dead:
            guard segment.physAddr < LinearMap.byteCount,
                segment.fileByteCount <= LinearMap.byteCount - segment.physAddr
            else { return nil }
            return LinearMap.base + segment.physAddr
        }
    }

    // MARK: - What it holds

    /// How many pieces of memory it holds, and their bytes in all.
    var extent: (pieceCount: UInt64, byteCount: UInt64) {
        (UInt64(pieces.count), pieces.reduce(0) { $0 &+ $1.byteCount })
    }

    /// The physical memory that it holds.
    var memory: MemoryRanges {
        var memory = MemoryRanges()
        for piece in pieces where piece.start >= LinearMap.base && piece.start - LinearMap.base < LinearMap.byteCount {
            let start = piece.start - LinearMap.base
            memory.insert(start..<start &+ min(piece.byteCount, LinearMap.byteCount - start))
        }
        return memory
    }

    /// The VMCOREINFO note among its notes; nil when there is none, or it is damaged.
    var vmcoreinfo: Vmcoreinfo? {
        for segment in notes {
            let byteCount = Int(min(segment.fileByteCount, Self.noteByteLimit))
            guard let content = read(at: segment.fileOffset, byteCount: byteCount) else { continue }
            var start = 0
            while start + Vmcoreinfo.noteHeaderByteCount <= content.count {
                let beginning = Array(content[start...].prefix(Vmcoreinfo.noteBeginningByteCount))
                if Vmcoreinfo.noteByteCount(beginning: beginning, order: .native) != nil {
                    return Vmcoreinfo(note: Array(content[start...]), order: .native)
                }
                func size(_ offset: Int) -> Int {
                    let size = Int(ByteOrder.native.number(in: content, at: start + offset, byteCount: 4))
                    return (size + 3) & ~3
                }
                start += Vmcoreinfo.noteHeaderByteCount + size(0) + size(4)
            }
        }
        return nil
    }

    // MARK: - Words

    /// The word at an effective address.
    func word(at address: UInt64) throws(MemoryAccessError) -> UInt64 {
        guard address % 8 == 0 else { throw .misaligned(address) }
        if buffer.count < 8 || address < bufferAddress || address - bufferAddress > UInt64(buffer.count) - 8 {
            try fill(at: address)
        }
        return ByteOrder.native.number(in: buffer, at: Int(address - bufferAddress), byteCount: 8)
    }

    /// The linear map's word for a physical address.
    func storedWord(at address: PhysicalAddress) throws(MemoryAccessError) -> UInt64 {
        guard address.rawValue < LinearMap.byteCount else { throw .unmapped(address.rawValue) }
        return try word(at: LinearMap.base + address.rawValue)
    }

    /// `byteCount` bytes at an effective address, or nil when not all of them are there.
    func bytes(at address: UInt64, byteCount: Int) -> [UInt8]? {
        for piece in pieces {
            guard let offset = piece.offset(of: address, byteCount: UInt64(byteCount)) else { continue }
            return read(at: offset, byteCount: byteCount)
        }
        return nil
    }

    private func fill(at address: UInt64) throws(MemoryAccessError) {
        guard let piece = pieces.first(where: { $0.offset(of: address, byteCount: 8) != nil }) else {
            throw .unmapped(address)
        }
        let start = max(address.alignedDown(to: Self.bufferByteCount), piece.start)
        let skipped = start - piece.start
        let byteCount = Int(min(Self.bufferByteCount, piece.byteCount - skipped))
        guard let content = read(at: piece.segment.fileOffset + skipped, byteCount: byteCount) else {
            throw .unmapped(address)
        }
        bufferAddress = start
        buffer = content
    }

    private func read(at offset: UInt64, byteCount: Int) -> [UInt8]? {
        var content: [UInt8] = []
        while content.count < byteCount {
            let result = system.read(
                descriptor, at: offset &+ UInt64(content.count), byteCount: byteCount - content.count)
            guard case .bytes(let more) = result else { return nil }
            content += more
        }
        return content
    }
}
