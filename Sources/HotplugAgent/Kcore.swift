// SPDX-License-Identifier: Apache-2.0

import GuestMemory

/// The kernel's memory through a freshly opened /proc/kcore (fs/proc/kcore.c).
///
/// Freshly opened, because the file's program headers are made anew after a memory hot-plug. Reads go through a buffer
/// of 64 KiB, since list nodes stand side by side; the buffer lives as long as this object, which is one walk.
final class Kcore<System: AgentSystem>: WordMemory, PhysicalMemory {
    private struct Segment {
        let virtualAddress: UInt64
        let byteCount: UInt64
        let fileOffset: UInt64

        /// Whether all of it has addresses and offsets, the last ones of 64 bits among them.
        var isPossible: Bool {
            guard byteCount > 0 else { return false }
            return virtualAddress <= .max - (byteCount - 1) && fileOffset <= .max - (byteCount - 1)
        }
    }

    private let system: System
    private let descriptor: Int
    private var segments: [Segment] = []
    private var buffer: [UInt8] = []
    private var bufferAddress: UInt64 = 0

    private static var bufferByteCount: UInt64 { 65536 }
    /// `Elf64_Ehdr` and `Elf64_Phdr`.
    private static var fileHeaderByteCount: Int { 64 }
    private static var programHeaderByteCount: Int { 56 }

    /// Opens the file and reads its segments; nil when it is not there or is no ELF file of this kind.
    init?(system: System) {
        guard let descriptor = system.open("/proc/kcore", .read) else { return nil }
        self.system = system
        self.descriptor = descriptor
        guard let header = read(at: 0, byteCount: Self.fileHeaderByteCount),
            header.starts(with: [0x7f, 0x45, 0x4c, 0x46, 2]), Self.number(header, 54, 2) == 56
        else { return nil }
        let tableOffset = Self.number(header, 32, 8)
        let count = Int(Self.number(header, 56, 2))
        guard let table = read(at: tableOffset, byteCount: count * Self.programHeaderByteCount) else { return nil }
        for index in 0..<count {
            let entry = index * Self.programHeaderByteCount
            // PT_LOAD
            guard Self.number(table, entry, 4) == 1 else { continue }
            let segment = Segment(
                virtualAddress: Self.number(table, entry + 16, 8), byteCount: Self.number(table, entry + 40, 8),
                fileOffset: Self.number(table, entry + 8, 8))
            if segment.isPossible { segments.append(segment) }
        }
    }

    deinit { system.close(descriptor) }

    /// The word at an effective address.
    func word(at address: UInt64) throws(MemoryAccessError) -> UInt64 {
        guard address % 8 == 0 else { throw .misaligned(address) }
        if buffer.count < 8 || address < bufferAddress || address - bufferAddress > UInt64(buffer.count) - 8 {
            try fill(at: address)
        }
        return Self.number(buffer, Int(address - bufferAddress), 8)
    }

    /// The linear map's word for a physical address.
    func storedWord(at address: PhysicalAddress) throws(MemoryAccessError) -> UInt64 {
        guard address.rawValue < LinearMap.byteCount else { throw .unmapped(address.rawValue) }
        return try word(at: LinearMap.base + address.rawValue)
    }

    /// `byteCount` bytes at an effective address, or nil when not all of them are there.
    func bytes(at address: UInt64, byteCount: Int) -> [UInt8]? {
        guard let segment = segment(holding: address, byteCount: UInt64(byteCount)) else { return nil }
        return read(at: segment.fileOffset + (address - segment.virtualAddress), byteCount: byteCount)
    }

    private func segment(holding address: UInt64, byteCount: UInt64) -> Segment? {
        segments.first { segment in
            address >= segment.virtualAddress && address - segment.virtualAddress < segment.byteCount
                && segment.byteCount - (address - segment.virtualAddress) >= byteCount
        }
    }

    private func fill(at address: UInt64) throws(MemoryAccessError) {
        guard let segment = segment(holding: address, byteCount: 8) else { throw .unmapped(address) }
        let start = max(address.alignedDown(to: Self.bufferByteCount), segment.virtualAddress)
        let skipped = start - segment.virtualAddress
        let byteCount = Int(min(Self.bufferByteCount, segment.byteCount - skipped))
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

    private static func number(_ bytes: [UInt8], _ offset: Int, _ byteCount: Int) -> UInt64 {
        ByteOrder.native.number(in: bytes, at: offset, byteCount: byteCount)
    }
}
