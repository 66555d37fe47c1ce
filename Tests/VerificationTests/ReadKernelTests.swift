// SPDX-License-Identifier: Apache-2.0

import GuestMemory
import KernelState
import TestSupport
import Testing
import Verification
import VmemmapPopulate

/// What a kernel's memory says, in the terms of a snapshot.
struct ReadKernelTests {
    private static let base: UInt64 = 0xc00c_0000_0000_0000

    @Test(
        arguments: [
            (.little, "0", MemoryMap(base: base, pageShift: 16), .hash),
            (.big, "1", MemoryMap(base: base, pageShift: 21), .radix),
            (.big, nil, MemoryMap(base: nil, pageShift: nil), .unknown),
        ] as [(ByteOrder, String?, MemoryMap, MMU)])
    func factsAreTheKernelsConstants(order: ByteOrder, radix: String?, memoryMap: MemoryMap, mmu: MMU) throws {
        var sample = SampleVmcoreinfo()
        if let radix { sample = sample.adding("NUMBER(RADIX_MMU)", radix) }
        let note = KernelNote(info: sample.parsed, order: order, addresses: [])
        let kernel = try Kernel(note: note) { _ in SymbolLookup(addresses: [], reason: []) }
        #expect(
            KernelFacts(kernel, memoryMap)
                == KernelFacts(
                    release: "6.1.0-37-powerpc64le", isBigEndian: order == .big, pageByteCount: 65536,
                    sectionSizeBits: 24, structPageByteCount: 64, vmemmapPageShift: memoryMap.pageShift,
                    vmemmapBase: memoryMap.base ?? 0, mmu: mmu))
    }

    @Test func sectionsKeepTheirNumbers() {
        #expect(
            PresentSection(
                MemorySection(number: 7, vmemmapBase: Self.base, flags: [.present, .early]), subsections: 0xff)
                == PresentSection(number: 7, vmemmapBase: Self.base, isOnline: false, flags: 9, subsections: 0xff))
    }

    private static let node = ListEntry(node: 0xc000_0000_0040_0018, list: 0, phys: 0x243_0000, virtAddr: base)

    private func state(_ nodes: [ListEntry], pageShift: UInt64?, tables: RadixWalk?) -> KernelState {
        KernelState(
            sections: [], memoryMap: MemoryMap(base: Self.base, pageShift: pageShift),
            list: ListWalk(head: nodes.first?.node ?? 0, entries: nodes, end: .terminated, endLink: 0), tables: tables)
    }

    /// Where there is a list it is the account, and else the page tables are.
    @Test func windowsAreTheListsOrTheTables() {
        var sample = SampleRadixTables(pageByteCount: 65536)
        let place = sample.map(Self.base, to: 0x600_0000, byteCount: 2 << 20)
        let tables = RadixWalk(
            root: sample.root, range: Self.base..<Self.base + 2 << 20, pageByteCount: 65536, in: sample)
        let leaf = BackedWindow(place: place, virtAddr: Self.base, phys: 0x600_0000, byteCount: 2 << 20)
        func entry(_ byteCount: UInt64) -> BackedWindow {
            BackedWindow(place: Self.node.node, virtAddr: Self.base, phys: 0x243_0000, byteCount: byteCount)
        }
        #expect(state([], pageShift: 12, tables: tables).windows == [leaf])
        #expect(state([], pageShift: 16, tables: nil).windows == [])
        #expect(state([Self.node], pageShift: 16, tables: nil).windows == [entry(65536)])
        #expect(state([Self.node], pageShift: 21, tables: tables).windows == [entry(2 << 20)])
        #expect(state([Self.node], pageShift: nil, tables: tables).windows == [entry(0)])
    }
}
