// SPDX-License-Identifier: Apache-2.0

import Foundation
import GuestMemory
import HarnessBasics
import Libvirt
import MemoryBackends
import Plans
import Synchronization
import SystemPackage
import TestGuests

/// The memory of a stand-in machine: boot RAM and DIMMs, each a sparse file in a folder, which the kernel in it and the
/// host map both, as they map QEMU's.
final class StandInMemory: FakeRAM, PhysicalMemory, Sendable {
    /// A DIMM that is plugged in.
    struct DIMM: Equatable {
        let device: MemoryDevice
        let slot: Int
        let range: Range<UInt64>
    }

    private struct State {
        var ram: GuestRAM
        var dimms: [DIMM] = []
    }

    let bootByteCount: UInt64
    private let maximumByteCount: UInt64
    private let folder: FilePath
    private let state: Mutex<State>

    /// A machine with nothing but boot RAM, which it can grow beyond up to a maximum.
    init(in folder: FilePath, bootByteCount: UInt64, maximumByteCount: UInt64) throws {
        self.bootByteCount = bootByteCount
        self.maximumByteCount = maximumByteCount
        self.folder = folder
        state = Mutex(State(ram: GuestRAM([try Self.region("boot", in: folder, base: 0, byteCount: bootByteCount)])))
    }

    /// Where a piece of memory lies: `boot`, or a DIMM's alias.
    func file(of name: String) -> FilePath { folder.appending("\(name).ram") }

    /// What is plugged in.
    var dimms: [DIMM] { state.withLock { $0.dimms } }

    /// The end of the highest memory.
    var endAddress: UInt64 { state.withLock { $0.ram.endAddress.rawValue } }

    // MARK: - DIMMs

    /// Puts a DIMM where it is to go, or into the first place that is large enough.
    func plug(_ device: MemoryDevice) throws -> Range<UInt64> {
        try state.withLock { state in
            var space = DeviceMemory(bootMemory: bootByteCount, maximumMemory: maximumByteCount)
            for dimm in state.dimms { space.take(dimm.range) }
            guard
                let range = device.address?.base.map({ $0..<$0 + device.byteCount })
                    ?? space.place(for: device.byteCount)
            else { throw HarnessError.infrastructure("the stand-in machine has no room for \(device.alias)") }
            let region = try Self.region(
                device.alias, in: folder, base: range.lowerBound, byteCount: device.byteCount)
            state.ram = GuestRAM(state.ram.regions + [region])
            let taken = Set(state.dimms.map(\.slot))
            state.dimms.append(DIMM(device: device, slot: (0...).first { !taken.contains($0) } ?? 0, range: range))
            return range
        }
    }

    /// Takes a DIMM away, with its file: whoever has mapped it still may read on.
    func unplug(_ alias: String) throws {
        state.withLock { state in
            state.ram = GuestRAM(state.ram.regions.filter { $0.name != alias })
            state.dimms.removeAll { $0.device.alias == alias }
        }
        try FileManager.default.removeItem(atPath: file(of: alias).string)
    }

    private static func region(
        _ name: String, in folder: FilePath, base: UInt64, byteCount: UInt64
    ) throws -> GuestRAM.Region {
        let path = folder.appending("\(name).ram")
        let descriptor = try FileDescriptor.open(
            path, .readWrite, options: [.create, .exclusiveCreate], permissions: [.ownerReadWrite])
        try descriptor.closeAfter { try descriptor.resize(to: Int64(byteCount)) }
        return GuestRAM.Region(
            name: name, base: PhysicalAddress(base),
            file: try MappedFile(path, byteCount: byteCount, isWritable: true))
    }

    // MARK: - What the kernel in it does

    func storedWord(at address: PhysicalAddress) throws(MemoryAccessError) -> UInt64 {
        let ram = state.withLock { $0.ram }
        return try ram.storedWord(at: address)
    }

    /// Stores a word in the machine's own byte order.
    func store(_ word: UInt64, at address: UInt64) throws(MemoryAccessError) {
        guard let region = region(at: address) else { throw .unmapped(address) }
        try region.file.words.store(word, at: address - region.base.rawValue)
    }

    /// The bytes as they stand in memory; none where there is no memory. `address` is a multiple of 8.
    func bytes(at address: UInt64, byteCount: Int) -> [UInt8] {
        guard let region = region(at: address) else { return [] }
        let count = min(UInt64(byteCount), region.range.upperBound - address)
        let start = address - region.base.rawValue
        let words = stride(from: start, to: start + count, by: 8).compactMap { try? region.file.words.load(at: $0) }
        return words.withUnsafeBytes { Array($0.prefix(Int(count))) }
    }

    /// Stores bytes, a word at a time, as a kernel stores its variables.
    func store(_ bytes: [UInt8], at address: UInt64) {
        let start = address / 8 * 8
        let end = (address + UInt64(bytes.count) + 7) / 8 * 8
        // The bytes around them stay.
        var words = self.bytes(at: start, byteCount: Int(end - start))
        words.replaceSubrange(Int(address - start)..<Int(address - start) + bytes.count, with: bytes)
        for offset in stride(from: 0, to: words.count, by: 8) {
            var word: UInt64 = 0
            withUnsafeMutableBytes(of: &word) { $0.copyBytes(from: words[offset..<offset + 8]) }
            do throws(MemoryAccessError) {
                try store(word, at: start + UInt64(offset))
            } catch {
                preconditionFailure("the stand-in's kernel stores outside memory: \(error)")
            }
        }
    }

    private func region(at address: UInt64) -> GuestRAM.Region? {
        state.withLock { $0.ram.regions.first { $0.range.contains(address) } }
    }
}
