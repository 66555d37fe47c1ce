// SPDX-License-Identifier: Apache-2.0

import GuestMemory
import TestSupport
import Testing
import VmemmapPopulate

struct VmemmapBackingTests {
    /// `struct vmemmap_backing`, as dump tools have read it since 2010.
    @Test func layoutInMemory() {
        #expect(MemoryLayout<VmemmapBacking>.size == 24)
        #expect(MemoryLayout<VmemmapBacking>.stride == 24)
        #expect(MemoryLayout<VmemmapBacking>.offset(of: \.list) == 0)
        #expect(MemoryLayout<VmemmapBacking>.offset(of: \.phys) == 8)
        #expect(MemoryLayout<VmemmapBacking>.offset(of: \.virtAddr) == 16)
        #expect(VmemmapBacking.byteCount == 24)
        #expect(VmemmapBacking.listOffset == 0)
        #expect(VmemmapBacking.physOffset == 8)
        #expect(VmemmapBacking.virtAddrOffset == 16)
    }
}

struct VmemmapListTests {
    @Test func emptyList() {
        let list = VmemmapList(store: PlainNodeStore(pageByteCount: 65536))
        #expect(list.state == VmemmapListState())
        #expect(list.store.pages.isEmpty)
    }

    @Test(arguments: [(65536, 2730), (4096, 170)] as [(UInt64, Int)])
    func nodesFillAPageAtAscendingAddresses(pageByteCount: UInt64, nodesPerPage: Int) throws {
        var list = VmemmapList(store: PlainNodeStore(pageByteCount: pageByteCount))
        for index in 0..<nodesPerPage {
            let node = try list.populate(phys: UInt64(index) << 16, virtAddr: UInt64(index) << 20)
            try #require(node == PlainNodeStore.firstPage + UInt64(index) * 24)
            try #require(list.state.head == node)
            try #require(list.state.nodesLeft == UInt64(nodesPerPage - 1 - index))
        }
        #expect(list.store.pages.count == 1)
        let next = try list.populate(phys: 1, virtAddr: 2)
        #expect(list.store.pages.count == 2)
        #expect(next == list.store.pages[1])
        #expect(list.state.liveCount == UInt64(nodesPerPage + 1))
    }

    @Test func headIsTheNewestAndLinksLeadToOlder() throws {
        var list = VmemmapList(store: PlainNodeStore(pageByteCount: 4096))
        var nodes: [UInt64] = []
        for index: UInt64 in 0..<400 {
            nodes.append(try list.populate(phys: index << 16, virtAddr: 0xc00c_0000_0000_0000 + index << 16))
        }
        let walk = ListWalk(head: list.state.head, in: list.store, pageByteCount: 4096, limit: 1000)
        #expect(walk.end == .terminated)
        #expect(walk.entries.map(\.node) == nodes.reversed())
        #expect(walk.entries.map(\.list) == nodes.reversed().dropFirst() + [0])
        #expect(walk.entries.map(\.phys) == (0..<400).reversed().map { $0 << 16 })
    }

    /// Each state is published once, after its node is whole (the store checks that).
    @Test func everyNodeIsPublished() throws {
        var list = VmemmapList(store: PlainNodeStore(pageByteCount: 4096))
        let first = try list.populate(phys: 1 << 16, virtAddr: 1 << 20)
        let second = try list.populate(phys: 2 << 16, virtAddr: 2 << 20)
        #expect(list.store.published.map(\.head) == [first, second])
        #expect(list.store.published.map(\.liveCount) == [1, 2])
        #expect(list.store.published.map(\.nodesLeft) == [169, 168])
        #expect(list.store.published.last == list.state)
    }

    @Test(arguments: [0, 1, 2])
    func noPageForANode(pageLimit: Int) throws {
        var list = VmemmapList(store: PlainNodeStore(pageByteCount: 4096, pageLimit: pageLimit))
        for index in 0..<(170 * pageLimit) {
            try list.populate(phys: UInt64(index), virtAddr: UInt64(index) << 12)
        }
        let before = list.state
        for _ in 0..<2 {
            #expect(throwing { try list.populate(phys: 1, virtAddr: 2) } == .outOfMemory)
            #expect(list.state == before)
        }
        #expect(list.store.published.count == 170 * pageLimit)
        let walk = ListWalk(head: list.state.head, in: list.store, pageByteCount: 4096, limit: 1000)
        #expect(walk.entries.count == 170 * pageLimit)
        #expect(walk.end == .terminated)
        // Once there is a page again the list goes on.
        list.store.pageLimit += 1
        try list.populate(phys: 1, virtAddr: 2)
        #expect(list.state.liveCount == before.liveCount + 1)
    }

    @Test func aStoreThatCannotBeWritten() throws {
        var list = VmemmapList(store: PlainNodeStore(pageByteCount: 4096))
        try list.populate(phys: 1, virtAddr: 2)
        let before = list.state
        list.store.firstRefusedAddress = PlainNodeStore.firstPage + 24
        let error = throwing { try list.populate(phys: 1, virtAddr: 2) }
        #expect(error == .storage(.unmapped(PlainNodeStore.firstPage + 24 + 8)))
        #expect(list.state.head == before.head)
        #expect(list.state.liveCount == before.liveCount)
    }
}

/// The error of a closure, nil when there is none: a list cannot be captured by an `#expect(throws:)`.
func throwing(_ body: () throws -> some Any) -> PopulateError? {
    do {
        _ = try body()
        return nil
    } catch {
        return error as? PopulateError
    }
}
