// SPDX-License-Identifier: Apache-2.0

import GuestMemory
import SystemPackage

/// A raw image of RAM: one piece of memory, as it stands (QEMU's `pmemsave`, a memory file).
final class RawDump: DumpContent {
    private let descriptor: FileDescriptor
    private let memory: Range<UInt64>
    let format = "raw memory image"
    var lack: String? { nil }
    var note: (info: Vmcoreinfo, order: ByteOrder)? { nil }

    /// Takes a file that holds the memory from a physical address on.
    init(_ descriptor: FileDescriptor, byteCount: UInt64, base: UInt64) throws {
        let (end, overflows) = base.addingReportingOverflow(byteCount)
        guard byteCount > 0, !overflows, end <= LinearMap.byteCount else {
            throw DumpFileProblem.load(physAddr: base, byteCount: byteCount)
        }
        self.descriptor = descriptor
        memory = base..<end
    }

    var byteCount: UInt64 { memory.upperBound - memory.lowerBound }

    func piece(at address: UInt64) -> Range<UInt64>? {
        memory.contains(address) ? memory.block(at: address) : nil
    }

    func bytes(of piece: Range<UInt64>) throws -> [UInt8] {
        try descriptor.dumpBytes(at: piece.lowerBound - memory.lowerBound, byteCount: piece.count)
    }

    func dataExtents() throws -> [Range<UInt64>] {
        try descriptor.dataExtents(of: 0..<byteCount).map {
            memory.lowerBound + $0.lowerBound..<memory.lowerBound + $0.upperBound
        }
    }
}
