// SPDX-License-Identifier: Apache-2.0

import GuestMemory
import TestSupport
import Testing
import VmemmapPopulate

/// `struct vmemmap_backing` in the versions of the patch of 2010, for their sizes.
private enum PatchVersion {
    struct ListHead { let next: UInt64, prev: UInt64 }
    struct HashListNode { let next: UInt64, pprev: UInt64 }
    struct First { let list: ListHead, phys: UInt64, virtAddr: UInt64 }
    struct Second { let hlist: HashListNode, phys: UInt64, virtAddr: UInt64 }
}

struct VmemmapListFreeTests {
    @Test func bytesPerEntryInTheVersionsOfThePatch() {
        let sizes = [
            MemoryLayout<PatchVersion.First>.stride, MemoryLayout<PatchVersion.Second>.stride,
            MemoryLayout<VmemmapBacking>.stride,
        ]
        #expect(sizes == [32, 32, 24])
        #expect(sizes.map { 4096 / $0 } == [128, 128, 170])
        #expect(sizes.map { 65536 / $0 } == [2048, 2048, 2730])
    }

    private func list(count: UInt64) throws -> VmemmapList<PlainNodeStore> {
        var list = VmemmapList(store: PlainNodeStore(pageByteCount: 4096))
        for index in 0..<count { try list.populate(phys: (index + 1) << 16, virtAddr: 0x1000 + index) }
        return list
    }

    private func windows(_ list: borrowing VmemmapList<PlainNodeStore>) -> [UInt64] {
        ListWalk(head: list.state.head, in: list.store, pageByteCount: 4096, limit: 1000).entries
            .map { $0.virtAddr - 0x1000 }
    }

    @Test func theIndexTellsTheNewestEntry() throws {
        var list = VmemmapList(store: PlainNodeStore(pageByteCount: 4096), isIndexed: true)
        #expect(try list.indexedPhys(virtAddr: 0x1000) == nil)
        try list.populate(phys: 1 << 16, virtAddr: 0x1000)
        #expect(try list.indexedPhys(virtAddr: 0x1000) == 1 << 16)
        try list.populate(phys: 2 << 16, virtAddr: 0x1000)
        try list.populate(phys: 3 << 16, virtAddr: 0x2000)
        #expect(try list.indexedPhys(virtAddr: 0x1000) == 2 << 16)
        try list.free(virtAddr: 0x2000)
        #expect(try list.indexedPhys(virtAddr: 0x2000) == nil)
        #expect(try self.list(count: 1).indexedPhys(virtAddr: 0x1000) == nil)
    }

    @Test(arguments: [(0, [3, 2, 1]), (1, [3, 2, 0]), (2, [3, 1, 0]), (3, [2, 1, 0])] as [(UInt64, [UInt64])])
    func unlinks(index: UInt64, left: [UInt64]) throws {
        var list = try list(count: 4)
        #expect(try list.free(virtAddr: 0x1000 + index) == (index + 1) << 16)
        #expect(windows(list) == left)
        #expect(list.state.liveCount == 3)
        #expect(list.state.freedCount == 1)
        let node = PlainNodeStore.firstPage + index * 24
        #expect(list.state.next == node)
        // The stack's lowest link is where the next fresh node comes from, and the rest of the node stays.
        let freed = try VmemmapBacking(at: node, in: list.store)
        #expect(freed.list == PlainNodeStore.firstPage + 4 * 24)
        #expect(freed.phys == (index + 1) << 16)
        #expect(freed.virtAddr == 0x1000 + index)
    }

    @Test func notFound() throws {
        var list = try list(count: 4)
        let before = list.state
        #expect(try list.free(virtAddr: 0x999) == 0)
        #expect(list.state == before)
        #expect(list.store.published.count == 4)
        var empty = VmemmapList(store: PlainNodeStore(pageByteCount: 4096))
        #expect(try empty.free(virtAddr: 0) == 0)
    }

    @Test func lastFreedFirst() throws {
        var list = try list(count: 4)
        for index: UInt64 in [1, 3, 0, 2] { try list.free(virtAddr: 0x1000 + index) }
        #expect(list.state.head == 0)
        var order: [UInt64] = []
        for index: UInt64 in 0..<5 {
            order.append((try list.populate(phys: 1 << 16, virtAddr: index) - PlainNodeStore.firstPage) / 24)
        }
        #expect(order == [2, 0, 3, 1, 4])
        #expect(list.state.freedCount == 0)
    }

    /// A full page: the cursor stands behind its last node, goes down the stack, and comes back up unused.
    @Test func theCursorBehindAFullPage() throws {
        var list = try list(count: 170)
        #expect(list.state.nodesLeft == 0)
        try list.free(virtAddr: 0x1000)
        try list.free(virtAddr: 0x1001)
        #expect(try list.populate(phys: 1, virtAddr: 1) == PlainNodeStore.firstPage + 24)
        #expect(try list.populate(phys: 1, virtAddr: 2) == PlainNodeStore.firstPage)
        #expect(list.state.next == PlainNodeStore.firstPage + 170 * 24)
        #expect(try list.populate(phys: 1, virtAddr: 3) == list.store.pages[1])
        #expect(list.store.pages.count == 2)
    }

    /// A list that somebody damaged while it was in use: the search ends.
    @Test func aDamagedList() throws {
        var list = try list(count: 4)
        try list.store.store(PlainNodeStore.firstPage + 3 * 24, at: PlainNodeStore.firstPage)
        #expect(try list.free(virtAddr: 0x999) == 0)
        try list.store.store(0x10, at: PlainNodeStore.firstPage + 2 * 24)
        #expect(throwing { try list.free(virtAddr: 0x999) } == .storage(.unmapped(0x10 + 16)))
    }

    /// A million populates take pages, one for every 170 nodes, and ask for nothing else.
    @Test func pagesAreAllThatIsAskedFor() throws {
        var list = VmemmapList(store: CountingStore())
        for index: UInt64 in 0..<1_000_000 { try list.populate(phys: index, virtAddr: index) }
        #expect(list.store.pageCount == 5883)
        #expect(list.store.storeCount == 3_000_000)
        #expect(list.store.publishCount == 1_000_000)
    }
}

/// A store that only counts.
private struct CountingStore: NodeStore {
    let pageByteCount: UInt64 = 4096
    var pageCount: UInt64 = 0
    var storeCount = 0
    var publishCount = 0

    func word(at address: UInt64) throws(MemoryAccessError) -> UInt64 { throw .unmapped(address) }

    mutating func store(_ value: UInt64, at address: UInt64) { storeCount += 1 }

    mutating func allocatePage() -> UInt64? {
        defer { pageCount += 1 }
        return pageCount * pageByteCount
    }

    mutating func publish(_ state: VmemmapListState, newNode: UInt64?) { publishCount += 1 }
}
