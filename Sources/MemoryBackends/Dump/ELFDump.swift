// SPDX-License-Identifier: Apache-2.0

import GuestMemory
import HarnessBasics
import SystemPackage

/// An ELF core dump of a ppc64 machine: kdump's /proc/vmcore, or what QEMU writes of a guest (`dump-guest-memory`, `virsh
/// dump --memory-only`). Its PT_LOADs are taken by their physical addresses.
final class ELFDump: DumpContent {
    /// A piece of memory, and where the file has it.
    private struct Load {
        let memory: Range<UInt64>
        let fileOffset: UInt64
    }

    private let descriptor: FileDescriptor
    private let loads: [Load]
    let format = "ELF core dump"
    let lack: String?
    let note: (info: Vmcoreinfo, order: ByteOrder)?

    /// The most that is read of notes: a machine has a note for each processor, and VMCOREINFO.
    private static let noteByteLimit: UInt64 = 16 << 20

    /// Takes a file whose beginning is that of an ELF file. It is read at any time, and stays the caller's to close.
    init(_ descriptor: FileDescriptor, byteCount fileByteCount: UInt64) throws {
        self.descriptor = descriptor
        let beginning = try descriptor.dumpBytes(at: 0, byteCount: ELFHeader.byteCount)
        let header: ELFHeader
        do throws(ELFProblem) {
            // QEMU's dump of a guest with many pieces of memory has more of them than the header can say.
            let place = try ELFHeader.offsetOfProgramHeaderCount(beginning)
            let section = place.flatMap { try? descriptor.dumpBytes(at: $0, byteCount: ELFSectionHeader.byteCount) }
            header = try ELFHeader(beginning, firstSection: section ?? [])
        } catch {
            throw DumpFileProblem.elf(error)
        }
        guard header.identity.isPPC64, header.identity.type == 4 else {
            throw DumpFileProblem.otherELF(type: header.identity.type, machine: header.identity.machine)
        }
        guard header.programHeaders.offset + UInt64(header.programHeaders.byteCount) <= fileByteCount else {
            throw DumpFileProblem.endsInHeaders(byteCount: fileByteCount)
        }
        let table = try descriptor.dumpBytes(
            at: header.programHeaders.offset, byteCount: header.programHeaders.byteCount)
        guard table.count == header.programHeaders.byteCount else {
            throw DumpFileProblem.endsInHeaders(byteCount: fileByteCount)
        }
        let segments = header.programHeaders(in: table)
        var (heldByteCount, missingByteCount): (UInt64, UInt64) = (0, 0)
        var loads: [Load] = []
        for segment in segments where segment.type == ELFProgramHeader.loadType && segment.fileByteCount > 0 {
            let (end, overflows) = segment.physAddr.addingReportingOverflow(segment.fileByteCount)
            guard !overflows, end <= LinearMap.byteCount else {
                throw DumpFileProblem.load(physAddr: segment.physAddr, byteCount: segment.fileByteCount)
            }
            let there =
                fileByteCount > segment.fileOffset
                ? min(segment.fileByteCount, fileByteCount - segment.fileOffset) : 0
            // More than all that there can be is as much as that.
            missingByteCount = min(missingByteCount + (segment.fileByteCount - there), LinearMap.byteCount)
            heldByteCount += there
            // Each byte of a file is of one place in memory: what is read of a small file is little.
            guard heldByteCount <= fileByteCount else { throw DumpFileProblem.repeats }
            if there > 0 {
                loads.append(
                    Load(memory: segment.physAddr..<segment.physAddr + there, fileOffset: segment.fileOffset))
            }
        }
        guard !loads.isEmpty || missingByteCount > 0 else { throw DumpFileProblem.noMemory }
        lack =
            missingByteCount == 0
            ? nil
            : "the file ends at byte \(fileByteCount), and \(missingByteCount) bytes of its PT_LOADs stand behind that"
        self.loads = Self.disjoint(loads)
        note = try Self.note(in: descriptor, segments.filter { $0.type == ELFProgramHeader.noteType }, header.order)
    }

    /// Ascending, without what one that begins lower has too: of memory that several have, one is read.
    private static func disjoint(_ loads: [Load]) -> [Load] {
        var result: [Load] = []
        for load in loads.sorted(by: { $0.memory.lowerBound < $1.memory.lowerBound }) {
            let start = max(load.memory.lowerBound, result.last?.memory.upperBound ?? 0)
            guard start < load.memory.upperBound else { continue }
            result.append(
                Load(
                    memory: start..<load.memory.upperBound,
                    fileOffset: load.fileOffset + (start - load.memory.lowerBound)))
        }
        return result
    }

    /// The VMCOREINFO note in segments with notes.
    private static func note(
        in descriptor: FileDescriptor, _ segments: [ELFProgramHeader], _ order: ByteOrder
    ) throws -> (info: Vmcoreinfo, order: ByteOrder)? {
        var rest = noteByteLimit
        for segment in segments {
            let content = try descriptor.dumpBytes(
                at: segment.fileOffset, byteCount: Int(min(segment.fileByteCount, rest)))
            if let note = note(in: content, order: order) { return note }
            rest -= UInt64(content.count)
        }
        return nil
    }

    /// The VMCOREINFO note among notes.
    private static func note(in content: [UInt8], order: ByteOrder) -> (info: Vmcoreinfo, order: ByteOrder)? {
        var start = 0
        while start + Vmcoreinfo.noteHeaderByteCount <= content.count {
            let beginning = Array(content[start...].prefix(Vmcoreinfo.noteBeginningByteCount))
            if let byteCount = Vmcoreinfo.noteByteCount(beginning: beginning, order: order),
                let info = Vmcoreinfo(note: Array(content[start...].prefix(byteCount)), order: order)
            {
                return (info, order)
            }
            func size(_ offset: Int) -> Int {
                (Int(order.number(in: content, at: start + offset, byteCount: 4)) + 3) & ~3
            }
            start += Vmcoreinfo.noteHeaderByteCount + size(0) + size(4)
        }
        return nil
    }

    var byteCount: UInt64 { loads.reduce(0) { $0 + ($1.memory.upperBound - $1.memory.lowerBound) } }

    private func load(at address: UInt64) -> Load? {
        var (low, high) = (0, loads.count)
        while low < high {
            let middle = (low + high) / 2
            if loads[middle].memory.lowerBound <= address { low = middle + 1 } else { high = middle }
        }
        guard low > 0, loads[low - 1].memory.contains(address) else { return nil }
        return loads[low - 1]
    }

    func piece(at address: UInt64) -> Range<UInt64>? {
        load(at: address)?.memory.block(at: address)
    }

    func bytes(of piece: Range<UInt64>) throws -> [UInt8] {
        guard let load = load(at: piece.lowerBound) else { return [] }
        return try descriptor.dumpBytes(
            at: load.fileOffset + (piece.lowerBound - load.memory.lowerBound), byteCount: piece.count)
    }

    func dataExtents() throws -> [Range<UInt64>] {
        try loads.flatMap { load in
            let start = load.fileOffset
            let end = start + (load.memory.upperBound - load.memory.lowerBound)
            return try descriptor.dataExtents(of: start..<end).map {
                load.memory.lowerBound + ($0.lowerBound - start)..<load.memory.lowerBound + ($0.upperBound - start)
            }
        }
    }
}
