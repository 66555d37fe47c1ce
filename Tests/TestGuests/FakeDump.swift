// SPDX-License-Identifier: Apache-2.0

import GuestMemory

/// A dead kernel's memory as /proc/vmcore has it: headers of its own, and what its pieces hold from the memory itself.
package struct FakeDump {
    /// The notes, one after another, as PT_NOTE holds them.
    package var notes: [UInt8]
    /// The pieces of memory, by physical address.
    package var loads: [Range<UInt64>]
    /// The file's first bytes.
    package var magic: [UInt8] = [0x7f, 0x45, 0x4c, 0x46, 2, ByteOrder.native == .little ? 1 : 2]

    private static let notesOffset: UInt64 = 0x1000
    /// Where physical address 0 would be in the file.
    private static let dataOffset: UInt64 = 0x10_0000

    /// A dump with these notes and pieces.
    package init(notes: [UInt8], loads: [Range<UInt64>]) {
        self.notes = notes
        self.loads = loads
    }

    private var header: [UInt8] {
        var header = [UInt8](repeating: 0, count: 64 + (loads.count + 1) * 56)
        func put(_ value: UInt64, _ count: Int, at offset: Int) {
            header.replaceSubrange(
                offset..<(offset + count), with: FakeKernelMemory.bytes(of: value, count: count))
        }
        header.replaceSubrange(0..<magic.count, with: magic)
        put(64, 8, at: 32)
        put(56, 2, at: 54)
        put(UInt64(loads.count) + 1, 2, at: 56)
        put(4, 4, at: 64)
        put(Self.notesOffset, 8, at: 64 + 8)
        put(UInt64(notes.count), 8, at: 64 + 32)
        for (index, load) in loads.enumerated() {
            let entry = 64 + (index + 1) * 56
            put(1, 4, at: entry)
            put(Self.dataOffset + load.lowerBound, 8, at: entry + 8)
            // kexec may say anything there: what counts is the physical address.
            put(0x1234_0000 + UInt64(index) << 40, 8, at: entry + 16)
            put(load.lowerBound, 8, at: entry + 24)
            put(UInt64(load.count), 8, at: entry + 32)
            put(UInt64(load.count), 8, at: entry + 40)
        }
        return header
    }

    /// A read of the file.
    func read(_ memory: FakeKernelMemory, at offset: UInt64, byteCount: Int) -> [UInt8] {
        if offset >= Self.dataOffset {
            return memory.physical(at: offset - Self.dataOffset, byteCount: byteCount)
        }
        if offset >= Self.notesOffset {
            let start = Int(offset - Self.notesOffset)
            return start < notes.count ? Array(notes[start...].prefix(byteCount)) : []
        }
        let header = header
        return offset < header.count ? Array(header[Int(offset)...].prefix(byteCount)) : []
    }
}
