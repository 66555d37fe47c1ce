// SPDX-License-Identifier: Apache-2.0

import GuestMemory
import TestSupport
import Testing
import VmemmapPopulate

/// A guest whose memory is plugged section by section, as the kernel does it.
private struct Guest: ~Copyable {
    let geometry: MemoryMapGeometry
    var list: VmemmapList<FakeKernel>

    init(_ geometry: MemoryMapGeometry, bootByteCount: UInt64 = 1 << 30) {
        self.geometry = geometry
        list = VmemmapList(store: FakeKernel(pageByteCount: geometry.pageByteCount))
        list.store.makeValid(0..<bootByteCount)
    }

    var kernel: FakeKernel {
        get { list.store }
        set { list.store = newValue }
    }

    /// Populates the memory map of each 16 MiB section, and makes the section valid after that.
    mutating func plug(_ range: Range<UInt64>) throws -> (calls: Int, added: Int) {
        var result = (calls: 0, added: 0)
        for section in stride(from: range.lowerBound, to: range.upperBound, by: 16 << 20) {
            let start = geometry.virtAddr(describing: PhysicalAddress(section))
            let end = geometry.virtAddr(describing: PhysicalAddress(section + 16 << 20))
            result.calls += 1
            result.added += try list.vmemmapPopulate(
                start: start, end: end, node: 0, geometry: geometry)
            kernel.makeValid(section..<(section + 16 << 20))
        }
        return result
    }

    func walk() -> ListWalk {
        ListWalk(head: list.state.head, in: list.store, pageByteCount: geometry.pageByteCount, limit: 100_000)
    }
}

private let vmemmap: UInt64 = 0xc00c_0000_0000_0000

private func geometry(page: UInt64 = 65536, shift: UInt64) -> MemoryMapGeometry {
    MemoryMapGeometry(vmemmapBase: vmemmap, vmemmapPageShift: shift, pageByteCount: page, structPageByteCount: 64)
}

struct PopulateTests {
    struct Plug: Sendable {
        let page: UInt64
        let shift: UInt64
        let address: UInt64
        let added: Int
    }

    /// One LMB of 256 MiB beside 1 GiB of boot memory.
    @Test(arguments: [
        // 64 KiB pages on hash with 64 KiB blocks: 64 MiB a block.
        Plug(page: 65536, shift: 16, address: 1 << 30, added: 4),
        // 2 MiB blocks (radix): 2 GiB a block.
        Plug(page: 65536, shift: 21, address: 1 << 30, added: 0),
        Plug(page: 65536, shift: 21, address: 2 << 30, added: 1),
        // 16 MiB blocks: 16 GiB a block.
        Plug(page: 65536, shift: 24, address: 1 << 30, added: 0),
        Plug(page: 65536, shift: 24, address: 16 << 30, added: 1),
        // 4 KiB pages.
        Plug(page: 4096, shift: 12, address: 1 << 30, added: 1024),
        Plug(page: 4096, shift: 21, address: 1 << 30, added: 2),
        Plug(page: 4096, shift: 24, address: 1 << 30, added: 1),
    ])
    func entriesOfOneBlockOfMemory(plug: Plug) throws {
        var guest = Guest(geometry(page: plug.page, shift: plug.shift))
        let result = try guest.plug(plug.address..<(plug.address + 256 << 20))
        #expect(result.calls == 16)
        #expect(result.added == plug.added)
        #expect(guest.list.state.liveCount == UInt64(plug.added))
        #expect(guest.kernel.allocated.count == plug.added)
        #expect(guest.kernel.allocated.allSatisfy { $0.byteCount == 1 << plug.shift })
        #expect(guest.kernel.freed.isEmpty)
        #expect(guest.kernel.mapped.count == plug.added)
    }

    /// The addresses that a 6.1 guest with 64 KiB blocks shows for its first plugged LMB.
    @Test func windowsAndOrderOfTheFirstPlug() throws {
        var guest = Guest(geometry(shift: 16))
        _ = try guest.plug(1 << 30..<(1 << 30 + 256 << 20))
        let walk = guest.walk()
        #expect(walk.end == .terminated)
        #expect(
            walk.entries.map(\.virtAddr) == [
                0xc00c_0000_0013_0000, 0xc00c_0000_0012_0000, 0xc00c_0000_0011_0000, 0xc00c_0000_0010_0000,
            ])
        for node in walk.entries {
            #expect(guest.kernel.mapped[node.virtAddr] == PhysicalAddress(node.phys))
        }
    }

    /// Populated windows are skipped by validity of what they describe, whatever the list holds.
    @Test func theSecondPlugInAWindowAddsNothing() throws {
        var guest = Guest(geometry(shift: 21))
        #expect(try guest.plug(2 << 30..<(2 << 30 + 256 << 20)).added == 1)
        #expect(try guest.plug((2 << 30 + 256 << 20)..<4 << 30).added == 0)
        #expect(try guest.plug(4 << 30..<8 << 30).added == 2)
        #expect(guest.list.state.liveCount == 3)
    }

    @Test func startIsAlignedDownAndEndIsNot() throws {
        let geometry = geometry(shift: 16)
        var list = VmemmapList(store: FakeKernel())
        let start = vmemmap + 0x10_0000
        let added = try list.vmemmapPopulate(
            start: start + 0x8000, end: start + 0x1_0040, node: 3, geometry: geometry)
        #expect(added == 2)
        #expect(Set(list.store.mapped.keys) == [start, start + 0x1_0000])
        #expect(list.store.nodesAsked == [3])

        // An end on a window's border opens no further window.
        let exact = try list.vmemmapPopulate(
            start: start + 0x10_0000, end: start + 0x11_0000, node: 3, geometry: geometry)
        #expect(exact == 1)
    }

    @Test func noBlock() throws {
        var guest = Guest(geometry(shift: 16))
        guest.kernel.blocksLeft = 2
        let error = throwing {
            try guest.list.vmemmapPopulate(
                start: vmemmap + 0x10_0000, end: vmemmap + 0x14_0000, node: 0, geometry: guest.geometry)
        }
        #expect(error == .outOfMemory)
        // What was added before stays: undoing it is the caller's affair.
        #expect(guest.walk().entries.map(\.virtAddr) == [vmemmap + 0x11_0000, vmemmap + 0x10_0000])
        #expect(guest.kernel.freed.isEmpty)
    }

    @Test func noNodeGivesTheBlockBack() throws {
        var guest = Guest(geometry(shift: 16))
        guest.kernel.nodes.pageLimit = 0
        let error = throwing {
            try guest.list.vmemmapPopulate(
                start: vmemmap + 0x10_0000, end: vmemmap + 0x14_0000, node: 0, geometry: guest.geometry)
        }
        #expect(error == .outOfMemory)
        #expect(guest.kernel.allocated.count == 1)
        #expect(guest.kernel.freed == guest.kernel.allocated)
        #expect(guest.kernel.mapped.isEmpty)
        #expect(guest.list.state == VmemmapListState())
    }

    @Test func aRefusedMappingLeavesItsNodeLinked() throws {
        var guest = Guest(geometry(shift: 16))
        guest.kernel.refusedWindow = vmemmap + 0x11_0000
        let error = throwing {
            try guest.list.vmemmapPopulate(
                start: vmemmap + 0x10_0000, end: vmemmap + 0x14_0000, node: 0, geometry: guest.geometry)
        }
        #expect(error == .mappingFailed(virtAddr: vmemmap + 0x11_0000))
        let walk = guest.walk()
        #expect(walk.entries.map(\.virtAddr) == [vmemmap + 0x11_0000, vmemmap + 0x10_0000])
        #expect(walk.entries.map(\.phys) == guest.kernel.allocated.reversed().map(\.address.rawValue))
        #expect(guest.kernel.freed.isEmpty)
        #expect(Set(guest.kernel.mapped.keys) == [vmemmap + 0x10_0000])
    }

    @Test(
        arguments: [
            (vmemmap, vmemmap), (vmemmap + 64, vmemmap), (vmemmap - 64, vmemmap + 64), (0, 64), (vmemmap, .max),
            (UInt64.max - 128, .max - 64),
        ] as [(UInt64, UInt64)])
    func badRanges(start: UInt64, end: UInt64) {
        var list = VmemmapList(store: FakeKernel())
        let error = throwing {
            try list.vmemmapPopulate(
                start: start, end: end, node: 0, geometry: geometry(shift: 16))
        }
        #expect(error == .badRange(start: start, end: end))
        #expect(list.state == VmemmapListState())
        #expect(list.store.allocated.isEmpty)
    }

    /// The last pages that 64 bits can address: arithmetic on them must not run over.
    @Test(arguments: [16, 21, 24] as [UInt64])
    func theLastDescribableWindow(shift: UInt64) throws {
        let geometry = geometry(shift: shift)
        var list = VmemmapList(store: FakeKernel())
        let end = vmemmap + (UInt64.max / 65536 + 1) * 64
        let added = try list.vmemmapPopulate(
            start: end - 64, end: end, node: 0, geometry: geometry)
        #expect(added == 1)
    }

    /// A base that is not aligned to the vmemmap's pages: the first window begins below it.
    @Test func aWindowThatBeginsBelowTheBase() throws {
        let geometry = MemoryMapGeometry(
            vmemmapBase: vmemmap + 0x8000, vmemmapPageShift: 16, pageByteCount: 65536, structPageByteCount: 64)
        var list = VmemmapList(store: FakeKernel())
        let range = (start: vmemmap + 0x8000, end: vmemmap + 0x9000)
        let added = try list.vmemmapPopulate(
            start: range.start, end: range.end, node: 0, geometry: geometry)
        #expect(added == 1)
        #expect(Set(list.store.mapped.keys) == [vmemmap])
        list.store.makeValid(0..<16 << 20)
        let again = try list.vmemmapPopulate(
            start: range.start, end: range.end, node: 0, geometry: geometry)
        #expect(again == 0)
    }
}
