// SPDX-License-Identifier: Apache-2.0

import GuestMemory
import SystemPackage
import TestSupport
import Testing

@testable import MemoryBackends

@Suite struct GuestRAMTests {
    private let folder: TemporaryFolder

    init() throws { folder = try TemporaryFolder() }

    /// A region whose words are numbered from `first`.
    private func region(_ name: String, base: UInt64, byteCount: Int, first: UInt8) throws -> GuestRAM.Region {
        let bytes = (0..<byteCount).map { $0 % 8 == 0 ? first + UInt8($0 / 8 % 64) : 0 }
        let path = try folder.write(bytes, to: name)
        return GuestRAM.Region(
            name: name, base: PhysicalAddress(base), file: try MappedFile(FilePath(path), byteCount: UInt64(byteCount)))
    }

    private func memory() throws -> GuestRAM {
        GuestRAM([
            try region("ua-dimm2", base: 0x3000, byteCount: 0x1000, first: 128),
            try region("boot", base: 0, byteCount: 0x1000, first: 0),
            try region("ua-dimm1", base: 0x1000, byteCount: 0x1000, first: 64),
        ])
    }

    private func value(_ memory: GuestRAM, _ address: UInt64) throws -> UInt64 {
        ByteOrder.little.value(ofStored: try memory.storedWord(at: PhysicalAddress(address)))
    }

    @Test func isSortedAndCounted() throws {
        let memory = try memory()
        #expect(memory.regions.map(\.name) == ["boot", "ua-dimm1", "ua-dimm2"])
        #expect(memory.byteCount == 0x3000)
        #expect(memory.endAddress == PhysicalAddress(0x4000))
        #expect(GuestRAM([]).byteCount == 0)
        #expect(GuestRAM([]).endAddress == PhysicalAddress(0))
    }

    @Test(arguments: [(0, 0), (0xff8, 63), (0x1000, 64), (0x1ff8, 127), (0x3000, 128), (0x3008, 129)])
    func readsTheRegionThatHoldsTheAddress(address: UInt64, value: UInt64) throws {
        #expect(try self.value(try memory(), address) == value)
    }

    @Test(arguments: [0x2000, 0x2ff8, 0x4000, 1 << 63, .max - 7] as [UInt64])
    func readsNothingInAHole(address: UInt64) throws {
        let memory = try memory()
        #expect(throws: MemoryAccessError.unmapped(address)) {
            try memory.storedWord(at: PhysicalAddress(address))
        }
        #expect(throws: MemoryAccessError.self) { try GuestRAM([]).storedWord(at: PhysicalAddress(address)) }
    }

    @Test func readsAlignedWordsOnly() throws {
        let memory = try memory()
        #expect(throws: MemoryAccessError.misaligned(4)) { try memory.storedWord(at: PhysicalAddress(0x1004)) }
    }

    /// Words in a row are those that are read one by one, or none: where one is missing, or where regions meet.
    @Test(
        arguments: [0, 0xfe8, 0xff0, 0xff8, 0x1000, 0x1fe8, 0x1ff0, 0x2000, 0x2ff0, 0x3ff8, 0x1004, .max - 7]
            as [UInt64])
    func readsWordsInARow(address: UInt64) throws {
        let memory = try memory()
        let each = (0..<3).map { try? memory.storedWord(at: PhysicalAddress(address &+ $0 * 8)) }
        let words: [3 of UInt64]? = memory.storedWords(at: PhysicalAddress(address))
        let isInOneRegion = [0, 0xfe8, 0x1000, 0x1fe8].contains(address)
        #expect((words != nil) == isInOneRegion)
        if let words { #expect([words[0], words[1], words[2]] == each) }
        for order in [ByteOrder.little, .big] {
            let kernel = KernelMemory(memory, order: order)
            let words: [3 of UInt64]? = kernel.words(at: LinearMap.base &+ address)
            #expect((words != nil) == isInOneRegion)
            if let words { #expect([words[0], words[1], words[2]] == each.map { $0.map(order.value) }) }
        }
    }

    @Test func copiesBytesAcrossRegions() throws {
        let memory = try memory()
        let bytes = try memory.bytes(at: PhysicalAddress(0xff8), byteCount: 17)
        #expect(bytes == [63, 0, 0, 0, 0, 0, 0, 0, 64, 0, 0, 0, 0, 0, 0, 0, 65])
        #expect(try memory.bytes(at: PhysicalAddress(0xff8), byteCount: 0) == [])
        #expect(throws: MemoryAccessError.unmapped(0x2000)) {
            try memory.bytes(at: PhysicalAddress(0x1ff8), byteCount: 9)
        }
    }
}
