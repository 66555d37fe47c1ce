// SPDX-License-Identifier: Apache-2.0

import GuestMemory

/// The kernel's memory through a freshly opened /proc/kcore (fs/proc/kcore.c).
///
/// Freshly opened, because the file's program headers are made anew after a memory hot-plug. Reads go through a buffer
/// of 64 KiB, since list nodes stand side by side; the buffer lives as long as this object, which is one walk.
final class Kcore<System: AgentSystem>: WordMemory, PhysicalMemory {
    private let system: System
    private let descriptor: Int
    /// The pieces of memory that it holds.
    private var segments: [ELFProgramHeader] = []
    private var buffer: [UInt8] = []
    private var bufferAddress: UInt64 = 0

    private static var bufferByteCount: UInt64 { 65536 }

    /// Opens the file and reads its segments; nil when it is not there or is no ELF file of this kind.
    init?(system: System) {
        guard let descriptor = system.open("/proc/kcore", .read) else { return nil }
        self.system = system
        self.descriptor = descriptor
        guard let beginning = read(at: 0, byteCount: ELFHeader.byteCount), let header = try? ELFHeader(beginning),
            header.order == .native,
            let table = read(at: header.programHeaders.offset, byteCount: header.programHeaders.byteCount)
        else { return nil }
        segments = header.programHeaders(in: table).filter { $0.type == ELFProgramHeader.loadType && $0.isAddressable }
    }

    deinit { system.close(descriptor) }

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
        for segment in segments {
            guard let offset = segment.fileOffset(ofVirtAddr: address, byteCount: UInt64(byteCount)) else { continue }
            return read(at: offset, byteCount: byteCount)
        }
        return nil
    }

    private func fill(at address: UInt64) throws(MemoryAccessError) {
        guard let segment = segments.first(where: { $0.fileOffset(ofVirtAddr: address, byteCount: 8) != nil }) else {
            throw .unmapped(address)
        }
        let start = max(address.alignedDown(to: Self.bufferByteCount), segment.virtAddr)
        let skipped = start - segment.virtAddr
        let byteCount = Int(min(Self.bufferByteCount, segment.fileByteCount - skipped))
        guard let content = read(at: segment.fileOffset + skipped, byteCount: byteCount) else {
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
