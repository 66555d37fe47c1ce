// SPDX-License-Identifier: Apache-2.0

import GuestMemory
import KernelState
import TestSupport

/// The memory of a kernel whose note is ``SampleVmcoreinfo``: 64 sections of 16 MiB, 64 KiB vmemmap pages, and a list of
/// three nodes.
struct SampleMemory: PhysicalMemory {
    static let listHead: UInt64 = 0x20_0000
    static let pageSizeIndex: UInt64 = 0x20_0008
    static let pageSize: UInt64 = 0x20_1000 + 2 * 96
    static let sectionRoots: UInt64 = 0x30_0000
    static let sections: UInt64 = 0x50_0000
    static let nodes: [UInt64] = [0x40_0000, 0x40_0018, 0x40_0030]
    static let vmemmapBase: UInt64 = 0xc00c_0000_0000_0000
    static let windowByteCount: UInt64 = 65536

    let order: ByteOrder
    /// The end of its RAM.
    var byteCount: UInt64 = 1 << 30
    /// Its words that are not 0, as numbers.
    var words: [UInt64: UInt64] = [:]
    /// The page tables of a radix kernel.
    var tables = SampleRadixTables(pageByteCount: 65536)

    init(order: ByteOrder = .little) {
        self.order = order
        words[Self.sectionRoots] = LinearMap.base + Self.sections
        for index in 0..<UInt64(64) { words[Self.sections + index * 32] = Self.vmemmapBase | 7 }
        // The word at 8 holds mmu_vmemmap_psize in its second half.
        words[Self.pageSizeIndex] = halfWords(0, 2)
        words[Self.pageSize] = halfWords(16, 0)
        words[Self.listHead] = LinearMap.base + Self.nodes[2]
        for (index, node) in Self.nodes.enumerated() {
            words[node] = index == 0 ? 0 : LinearMap.base + Self.nodes[index - 1]
            words[node + 8] = 0x243_0000 + UInt64(index) * Self.windowByteCount
            words[node + 16] = Self.vmemmapBase + UInt64(index) * Self.windowByteCount
        }
    }

    /// The word whose first four bytes are one number and whose last four are another.
    func halfWords(_ first: UInt64, _ second: UInt64) -> UInt64 {
        order == .little ? second << 32 | first : first << 32 | second
    }

    func storedWord(at address: PhysicalAddress) throws(MemoryAccessError) -> UInt64 {
        guard address.rawValue % 8 == 0 else { throw .misaligned(address.rawValue) }
        guard address.rawValue < byteCount else { throw .unmapped(address.rawValue) }
        if tables.words[address.rawValue] != nil { return try tables.storedWord(at: address) }
        return order.value(ofStored: words[address.rawValue] ?? 0)
    }

    /// The kernel's view of it.
    var kernelMemory: KernelMemory<SampleMemory> { KernelMemory(self, order: order) }
}

extension KernelNote {
    /// The note of a sample.
    init(_ sample: SampleVmcoreinfo, order: ByteOrder = .little) {
        self.init(info: sample.parsed, order: order, addresses: [PhysicalAddress(0x10_0000)])
    }
}

extension Kernel {
    /// A kernel whose note lacks no symbol; `radix` is what it says of its MMU.
    init(radix: String?, order: ByteOrder = .little) throws {
        var sample = SampleVmcoreinfo()
        if let radix { sample = sample.adding("NUMBER(RADIX_MMU)", radix) }
        try self.init(note: KernelNote(sample, order: order)) { _ in SymbolLookup(addresses: [], reason: []) }
    }
}
