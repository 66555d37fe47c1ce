// SPDX-License-Identifier: Apache-2.0

import GuestMemory
import Testing
import VmemmapPopulate

private let gibibyte: UInt64 = 1 << 30
private let block: UInt64 = 256 << 20

private func layout(
    _ rules: PopulateRules, page: UInt64 = 65536, vmemmapPage: UInt64? = nil
) throws -> EmulatedLayout {
    try EmulatedLayout(rules: rules, pageByteCount: page, vmemmapPageByteCount: vmemmapPage)
}

/// What an operation on an emulator threw, nil when nothing.
private func failing(_ body: () throws(HotplugError) -> Void) -> HotplugError? {
    do throws(HotplugError) {
        try body()
        return nil
    } catch { return error }
}

private func walk(_ emulator: borrowing VmemmapEmulator) -> ListWalk {
    ListWalk(
        head: emulator.list.state.head, in: emulator.list.store, pageByteCount: emulator.layout.geometry.pageByteCount,
        limit: 1 << 20)
}

/// Windows on the list, newest first, counted from the start of the vmemmap.
private func windows(_ emulator: borrowing VmemmapEmulator) -> [UInt64] {
    let geometry = emulator.layout.geometry
    return walk(emulator).entries.map { ($0.virtAddr - geometry.vmemmapBase) / geometry.vmemmapPageByteCount }
}

struct VmemmapEmulatorTests {
    /// The kernel before and after it is used: the list that exit leaves is whole.
    @Test func exitLeavesAReadableList() throws {
        var emulator = try VmemmapEmulator(layout: layout(.hash), bootMemory: [0..<gibibyte])
        try emulator.plug(gibibyte..<2 * gibibyte)
        let list = emulator.exit()
        let walk = ListWalk(head: list.state.head, in: list.store, pageByteCount: 65536, limit: 100)
        #expect(walk.end == .terminated)
        #expect(walk.entries.count == 32)
    }

    /// Since 2010 nothing was removed: the replug's entries come on top of stale ones for the same windows.
    @Test func theOriginalNeverRemoves() throws {
        var emulator = try VmemmapEmulator(layout: layout(.original), bootMemory: [0..<gibibyte])
        let dimm = gibibyte..<gibibyte + block
        try emulator.plug(dimm)
        try emulator.unplug(dimm)
        #expect(windows(emulator) == (0..<20).reversed())
        #expect(emulator.list.state.freedCount == 0)
        try emulator.plug(dimm)
        #expect(windows(emulator) == [19, 18, 17, 16] + (0..<20).reversed())
    }

    /// Requests at boot with 64K pages: block, node page, mapping, block, mapping, …
    @Test func theOriginalLosesABlockWithoutANode() throws {
        let emulator = try VmemmapEmulator(layout: layout(.original), bootMemory: [0..<gibibyte], failingRequest: 2)
        #expect(emulator.bootFailure == nil)
        #expect(windows(emulator) == (1..<16).reversed())
        #expect(emulator.list.store.backingByteCount == 16 << 16)
    }

    /// A block that fails at boot costs its section; the next section in its window gets another.
    @Test func theOriginalGoesOnAfterAFailedSection() throws {
        let emulator = try VmemmapEmulator(layout: layout(.original), bootMemory: [0..<gibibyte], failingRequest: 1)
        #expect(emulator.bootFailure == .outOfMemory)
        #expect(windows(emulator) == (0..<16).reversed())
        #expect(emulator.list.store.validByteCount == gibibyte - 16 << 20)
    }

    /// Today boot gives up the rest, and undoes nothing: a node whose mapping failed stays.
    @Test func bootUndoesNothing() throws {
        let emulator = try VmemmapEmulator(layout: layout(.hash), bootMemory: [0..<gibibyte], failingRequest: 5)
        #expect(emulator.bootFailure == .mappingFailed(virtAddr: 0xc00c_0000_0001_0000))
        #expect(windows(emulator) == [1, 0])
        #expect(emulator.list.store.validByteCount == 64 << 20)
    }

    /// What boot gives up is the rest of the node, over its holes; another node's memory, and the same one's behind that, is
    /// not touched by it.
    @Test(
        arguments: [
            ([], []), ([0, 0, 0], []), ([0, 1, 1], [1, 2]), ([0, 0, 1], [2]), ([0, 1, 0], [1, 2]), ([3, 3], [2]),
        ] as [([Int], [UInt64])])
    func aFailureAtBootCostsTheRestOfItsNode(nodes: [Int], whole: [UInt64]) throws {
        let emulator = try VmemmapEmulator(
            layout: layout(.hash), bootMemory: (0..<3).map { 2 * $0 * gibibyte..<(2 * $0 + 1) * gibibyte },
            bootNodes: nodes, failingRequest: 5)
        #expect(emulator.bootFailure == .mappingFailed(virtAddr: 0xc00c_0000_0001_0000))
        var expected: [UInt64] = [0, 1]
        for range in whole { expected += Array(range * 32..<range * 32 + 16) }
        #expect(windows(emulator) == expected.reversed())
        #expect(emulator.list.store.validByteCount == 64 << 20 + UInt64(whole.count) * gibibyte)
    }

    /// The first block gets no node: today it is given back.
    @Test func aBlockWithoutANodeIsGivenBack() throws {
        let emulator = try VmemmapEmulator(layout: layout(.hash), bootMemory: [0..<gibibyte], failingRequest: 2)
        #expect(emulator.bootFailure == .outOfMemory)
        #expect(emulator.list.state == VmemmapListState())
        #expect(emulator.list.store.backingByteCount == 0)
        #expect(emulator.list.store.validByteCount == 0)
    }

    /// A fault in a plug, at any request: the failed section is undone, and the blocks before it are removed. What
    /// stays are the sections before it in its own block, whose windows are then exactly those on the list.
    @Test(arguments: [(1, 0), (2, 0), (3, 1), (4, 1), (5, 2), (6, 2), (8, 3), (9, 0), (13, 2)] as [(UInt64, UInt64)])
    func faultsInAPlug(request: UInt64, kept: UInt64) throws {
        var emulator = try VmemmapEmulator(layout: layout(.hash), bootMemory: [0..<gibibyte])
        // Boot took 16 blocks, 16 mappings and one node page.
        #expect(emulator.list.store.requestCount == 33)
        var copy = try VmemmapEmulator(
            layout: layout(.hash), bootMemory: [0..<gibibyte], failingRequest: 33 + request)
        let error = failing { () throws(HotplugError) in try copy.plug(gibibyte..<2 * gibibyte) }
        #expect(error != nil)
        let first: UInt64 = request <= 8 ? 16 : 20
        #expect(windows(copy) == (first..<first + kept).reversed() + (0..<16).reversed())
        #expect(copy.list.store.backingByteCount == (16 + kept) << 16)
        // A second try runs into the sections that stayed.
        let again = failing { () throws(HotplugError) in try copy.plug(gibibyte..<2 * gibibyte) }
        #expect((again == nil) == (kept == 0))
        try emulator.plug(gibibyte..<2 * gibibyte)
    }

    /// Told how many blocks a call had put on the list when it failed, the emulator ends up where one does that meets the
    /// failure itself, whatever it was: no block, no page for a node, or no mapping.
    @Test(
        arguments: [
            // Windows smaller than a page have a whole page each.
            (.hash, 4096, 4096, 64), (.hash, 65536, 65536, 1), (.hash, 65536, 4096, 4), (.radixList, 4096, 4096, 64),
        ] as [(PopulateRules, UInt64, UInt64, UInt64)])
    func aFailureThatIsToldIsAsOneThatIsMet(
        rules: PopulateRules, page: UInt64, vmemmapPage: UInt64, windowCount: UInt64
    ) throws {
        let layout = try layout(rules, page: page, vmemmapPage: vmemmapPage)
        let section = gibibyte..<gibibyte + 16 << 20
        let bootMemory = [0..<gibibyte / 4]
        let bootRequestCount = try VmemmapEmulator(layout: layout, bootMemory: bootMemory).list.store.requestCount
        func places(_ emulator: borrowing VmemmapEmulator) -> [[UInt64]] {
            walk(emulator).entries.map { [$0.node, $0.virtAddr] }
        }
        var linkedCounts: Set<UInt64> = []
        for request in 1... as PartialRangeFrom<UInt64> {
            var met = try VmemmapEmulator(
                layout: layout, bootMemory: bootMemory, failingRequest: bootRequestCount + request)
            guard failing({ () throws(HotplugError) in try met.addMemory(section) }) != nil else { break }
            // Nothing was freed before.
            let linkedCount = met.list.state.freedCount
            linkedCounts.insert(linkedCount)
            var told = try VmemmapEmulator(layout: layout, bootMemory: bootMemory)
            try told.failToAdd(section, linkedCount: linkedCount)
            #expect(told.list.state == met.list.state)
            #expect(told.list.store.validByteCount == gibibyte / 4)
            #expect(places(told) == places(met))
            // The nodes that were undone come back last freed first, and behind them fresh ones.
            try met.addMemory(section)
            try told.addMemory(section)
            #expect(told.list.state == met.list.state)
            #expect(places(told) == places(met))
        }
        #expect(linkedCounts == Set(0...windowCount))
    }

    /// A snapshot can tell of any number of blocks; a section has one window here.
    @Test(arguments: [0, 1, 64, .max] as [UInt64]) func aFailureCanTellOfAnyNumber(linkedCount: UInt64) throws {
        var emulator = try VmemmapEmulator(layout: layout(.hash), bootMemory: [0..<gibibyte])
        try emulator.failToAdd(2 * gibibyte..<2 * gibibyte + 16 << 20, linkedCount: linkedCount)
        #expect(windows(emulator) == (0..<16).reversed())
        #expect(emulator.list.state.freedCount == min(linkedCount, 1))
        let populated: Range<UInt64> = 0..<16 << 20
        #expect(
            failing { () throws(HotplugError) in try emulator.failToAdd(populated, linkedCount: linkedCount) }
                == .overlaps(populated))
    }

    @Test func aFailureChangesNoTables() throws {
        var emulator = try VmemmapEmulator(layout: layout(.radixTables), bootMemory: [0..<gibibyte])
        let before = emulator.tableBacking()
        try emulator.failToAdd(gibibyte..<gibibyte + 16 << 20, linkedCount: 1)
        #expect(emulator.tableBacking() == before)
    }

    /// Windows that reach over memory that stays are not given back.
    @Test func aWindowStaysWhileAnythingInItIsValid() throws {
        var emulator = try VmemmapEmulator(
            layout: layout(.radixList), bootMemory: [0..<gibibyte])
        try emulator.plug(2 * gibibyte..<4 * gibibyte)
        #expect(windows(emulator) == [1, 0])
        try emulator.unplug(2 * gibibyte..<4 * gibibyte - block)
        #expect(windows(emulator) == [1, 0])
        try emulator.unplug(4 * gibibyte - block..<4 * gibibyte)
        #expect(windows(emulator) == [0])
    }

    @Test func blocksSmallerThanAPage() throws {
        var emulator = try VmemmapEmulator(
            layout: layout(.hash, vmemmapPage: 4096), bootMemory: [0..<gibibyte])
        #expect(emulator.list.store.backingByteCount == 256 * 4096)
        // At run time each takes a whole page, and gives it back.
        try emulator.plug(gibibyte..<2 * gibibyte)
        #expect(emulator.list.store.backingByteCount == 256 * 4096 + 256 * 65536)
        try emulator.unplug(gibibyte..<2 * gibibyte)
        #expect(emulator.list.store.backingByteCount == 256 * 4096)
        // Those of boot are parts of reserved pages and stay.
        try emulator.unplug(gibibyte - block..<gibibyte)
        #expect(emulator.list.state.liveCount == 192)
        #expect(emulator.list.store.backingByteCount == 256 * 4096)
    }

    @Test func bootMemoryCanGo() throws {
        var emulator = try VmemmapEmulator(layout: layout(.hash), bootMemory: [0..<gibibyte])
        try emulator.unplug(gibibyte - block..<gibibyte)
        #expect(windows(emulator) == (0..<12).reversed())
        #expect(emulator.list.store.backingByteCount == 12 << 16)
        #expect(failing { () throws(HotplugError) in try emulator.unplug(0..<block) } == .busy(0..<block))
    }

    @Test func layoutsThatCannotBe() throws {
        #expect(throws: EmulatedLayout.Impossible.pageSize(16384)) { try layout(.hash, page: 16384) }
        #expect(throws: EmulatedLayout.Impossible.vmemmapPageSize(2 << 20, possible: [4096, 16 << 20])) {
            try layout(.hash, page: 4096, vmemmapPage: 2 << 20)
        }
        let hash4K = try layout(.hash, page: 4096)
        #expect(
            failing { () throws(HotplugError) in _ = try VmemmapEmulator(layout: hash4K, bootMemory: [0..<64 << 40]) }
                == .outOfReach(0..<64 << 40, end: 61 << 40))
        let large = try layout(.hash, vmemmapPage: 16 << 20)
        #expect(
            failing { () throws(HotplugError) in _ = try VmemmapEmulator(layout: large, bootMemory: [0..<512 << 20]) }
                == .tooSmallForVmemmapPages(0..<512 << 20))
    }
}

struct RadixTablesTests {
    private func backing(_ emulator: borrowing VmemmapEmulator) -> [[UInt64]] {
        emulator.tableBacking().map { [$0.virtAddr - 0xc00c_0000_0000_0000, $0.byteCount] }
    }

    /// 64K pages: 2 MiB of memory map describe 2 GiB, so the first plug beside 1 GiB finds its block there.
    @Test func blocksFor64K() throws {
        var emulator = try VmemmapEmulator(layout: layout(.radixTables), bootMemory: [0..<gibibyte])
        #expect(backing(emulator) == [[0, 2 << 20]])
        try emulator.plug(gibibyte..<2 * gibibyte)
        #expect(backing(emulator) == [[0, 2 << 20]])
        #expect(emulator.list.state == VmemmapListState())
    }

    private func layoutOfTables(_ rule: RadixStart, page: UInt64 = 65536) throws -> EmulatedLayout {
        try EmulatedLayout(rules: .radixTables, pageByteCount: page, radixStart: rule)
    }

    /// The first section lies in the middle of an empty PMD: base pages, as 6.12.95 does it, or a block, as 6.6 did and 6.17
    /// does again.
    @Test(arguments: RadixStart.allCases) func aStartInTheMiddle(rule: RadixStart) throws {
        let layout = try layoutOfTables(rule)
        let hasBlocksFromMiddle = rule != .pageAligned
        var emulator = try VmemmapEmulator(layout: layout, bootMemory: [0..<gibibyte])
        try emulator.plug(3 * gibibyte..<4 * gibibyte)
        let pages: [[UInt64]] = (0..<16).map { [3 << 20 + $0 << 16, 65536] }
        #expect(backing(emulator) == [[0, 2 << 20]] + (hasBlocksFromMiddle ? [[2 << 20, 2 << 20]] : pages))
        // What lies before it finds a table there, or the block.
        try emulator.plug(2 * gibibyte..<3 * gibibyte)
        #expect(emulator.tableCounts == (hasBlocksFromMiddle ? (2, 0) : (1, 32)))
        try emulator.unplug(3 * gibibyte..<4 * gibibyte)
        try emulator.unplug(2 * gibibyte..<3 * gibibyte)
        #expect(backing(emulator) == [[0, 2 << 20]])
    }

    /// With 64 KiB pages a section has 16 KiB of memory map, a memory block four base pages, and 2 GiB a PMD entry. Boot
    /// takes one block; the block that the plug at 3 GiB asks for fails, so that it takes a table and base pages: from its own
    /// start, or from 2 GiB on. What lies before it nobody takes back.
    @Test(arguments: [(RadixStart.asGiven, 16), (.blockAligned, 0)] as [(RadixStart, UInt64)])
    func withoutABlock(rule: RadixStart, firstPage: UInt64) throws {
        var emulator = try VmemmapEmulator(
            layout: layoutOfTables(rule), bootMemory: [0..<gibibyte], failingRequest: 2)
        #expect(emulator.list.store.requestCount == 1)
        let leaks = rule == .blockAligned
        let first = 3 * gibibyte..<3 * gibibyte + block
        let second = 3 * gibibyte + 2 * block..<3 * gibibyte + 3 * block
        try emulator.plug(first)
        #expect(pages(emulator) == Array(firstPage..<20))
        // The next memory block finds the table, and what is there of its pages.
        try emulator.plug(second)
        #expect(pages(emulator) == Array(firstPage..<20) + Array(leaks ? 20..<28 : 24..<28))
        try emulator.unplug(first)
        #expect(pages(emulator) == Array(leaks ? 0..<16 : 24..<24) + Array(leaks ? 20..<28 : 24..<28))
        try emulator.unplug(second)
        let left: [UInt64] = leaks ? Array(0..<16) + Array(20..<24) : []
        #expect(pages(emulator) == left)
        #expect(emulator.list.store.backingByteCount == 2 << 20 + UInt64(left.count) << 16)
        // Memory that comes there finds them, and takes them back when it goes; the table goes with the last.
        try emulator.plug(2 * gibibyte..<4 * gibibyte)
        #expect(emulator.tableCounts == (leaks ? (1, 32) : (2, 0)))
        try emulator.unplug(2 * gibibyte..<4 * gibibyte)
        #expect(backing(emulator) == [[0, 2 << 20]])
    }

    /// The base pages of the second PMD entry's part, by their numbers in it.
    private func pages(_ emulator: borrowing VmemmapEmulator) -> [UInt64] {
        backing(emulator).filter { $0[1] == 65536 }.map { ($0[0] - 2 << 20) >> 16 }
    }

    /// With an altmap the rules do the same: base pages from the start, which all go.
    @Test(arguments: RadixStart.allCases) func anAltmapBeginsAtItsStart(rule: RadixStart) throws {
        var emulator = try VmemmapEmulator(layout: layoutOfTables(rule), bootMemory: [0..<gibibyte])
        let dimm = 3 * gibibyte..<3 * gibibyte + block
        try emulator.plug(dimm, memmapOnMemory: true)
        #expect(pages(emulator) == Array(16..<20))
        #expect(emulator.tableBacking().suffix(4).allSatisfy { dimm.contains($0.phys) })
        // Memory without one finds the table there: under the last rule it fills it from its start.
        try emulator.plug(3 * gibibyte + 2 * block..<3 * gibibyte + 3 * block)
        #expect(emulator.tableCounts == (blocks: 1, pages: rule == .blockAligned ? 28 : 8))
        try emulator.unplug(3 * gibibyte + 2 * block..<3 * gibibyte + 3 * block)
        #expect(emulator.tableCounts == (blocks: 1, pages: rule == .blockAligned ? 24 : 4))
        try emulator.unplug(dimm)
        #expect(emulator.tableCounts == (blocks: 1, pages: rule == .blockAligned ? 20 : 0))
    }

    /// With 4 KiB pages a memory block has two PMD entries to itself: a populate never begins in the middle of an empty one,
    /// and without a block the pages of the sections before are there.
    @Test(arguments: RadixStart.allCases) func memoryBlocksOf4KBeginAtAPMD(rule: RadixStart) throws {
        var emulator = try VmemmapEmulator(
            layout: layoutOfTables(rule, page: 4096), bootMemory: [0..<gibibyte], failingRequest: 9)
        let dimm = 3 * gibibyte + block..<3 * gibibyte + 2 * block
        try emulator.plug(dimm)
        #expect(emulator.tableCounts == (blocks: 9, pages: 512))
        try emulator.unplug(dimm)
        #expect(emulator.tableCounts == (blocks: 8, pages: 0))
    }

    /// The rule's arithmetic ends where addresses do.
    @Test(arguments: [0xffff_ffff_ffe0_0000, 0xffff_ffff_fff0_0000, .max - 4095] as [UInt64])
    func refusesAMapAtTheEndOfAddresses(base: UInt64) throws {
        let layout = try EmulatedLayout(rules: .radixTables, pageByteCount: 65536, vmemmapBase: base)
        let emulator = try VmemmapEmulator(layout: layout, bootMemory: [0..<gibibyte])
        #expect(emulator.bootFailure != nil)
        #expect(emulator.tableCounts == (0, 0))
    }

    @Test func blocksFor4K() throws {
        var emulator = try VmemmapEmulator(layout: layout(.radixTables, page: 4096), bootMemory: [0..<gibibyte])
        #expect(emulator.tableCounts == (blocks: 8, pages: 0))
        try emulator.plug(gibibyte..<gibibyte + block)
        #expect(emulator.tableCounts == (blocks: 10, pages: 0))
        try emulator.unplug(gibibyte..<gibibyte + block)
        #expect(emulator.tableCounts == (blocks: 8, pages: 0))
        #expect(emulator.list.store.backingByteCount == 16 << 20)
    }

    /// No block when the first section came: its PMD keeps to base pages until all of them are gone.
    @Test func aTableStaysUntilItIsEmpty() throws {
        let layout = try layout(.radixTables, page: 4096)
        // Boot asks for 8 blocks; the 9th request is the plug's block, then come its table and its pages.
        var emulator = try VmemmapEmulator(layout: layout, bootMemory: [0..<gibibyte], failingRequest: 9)
        let dimm = gibibyte..<gibibyte + block
        try emulator.plug(dimm)
        #expect(emulator.tableCounts == (blocks: 9, pages: 512))
        #expect(emulator.list.store.backingByteCount == 20 << 20)
        try emulator.unplug(dimm)
        #expect(emulator.tableCounts == (blocks: 8, pages: 0))
        try emulator.plug(dimm)
        #expect(emulator.tableCounts == (blocks: 10, pages: 0))
    }

    /// No table either: the section fails, is undone, and leaves nothing.
    @Test(arguments: [65536, 4096] as [UInt64])
    func aPageThatFailsIsUndone(page: UInt64) throws {
        let layout = try layout(.radixTables, page: page)
        let boot = [0..<2 * gibibyte]
        let before = try VmemmapEmulator(layout: layout, bootMemory: boot)
        let bootRequests = before.list.store.requestCount
        let dimm = 2 * gibibyte..<2 * gibibyte + block
        // The block fails by a fault; with memory for nothing else there is no second fault to inject, so the altmap
        // rule stands in: without an aligned start there is no block, and the table is the first request.
        var emulator = try VmemmapEmulator(layout: layout, bootMemory: boot, failingRequest: bootRequests + 1)
        let error = failing { () throws(HotplugError) in
            try emulator.addMemory(dimm.lowerBound + 16 << 20..<dimm.upperBound, memmapOnMemory: true)
        }
        #expect(error == .populate(.outOfMemory))
        #expect(emulator.tableCounts == before.tableCounts)
        #expect(emulator.list.store.backingByteCount == before.list.store.backingByteCount)
    }

    /// Memory that carries its own map: 4K blocks fit in their own memory block, the 2 GiB of a 64K block do not.
    @Test func memmapOnMemory() throws {
        let dimm = gibibyte..<gibibyte + 2 * block
        var small = try VmemmapEmulator(layout: layout(.radixTables, page: 4096), bootMemory: [0..<gibibyte])
        let used = small.list.store.backingByteCount
        try small.plug(dimm, memmapOnMemory: true)
        #expect(small.tableBacking().suffix(4).map(\.phys) == [0x4000_0000, 0x4020_0000, 0x5000_0000, 0x5020_0000])
        #expect(small.list.store.backingByteCount == used)
        try small.unplug(dimm)
        #expect(small.tableCounts == (blocks: 8, pages: 0))
        #expect(small.list.store.backingByteCount == used)

        let far = 4 * gibibyte..<4 * gibibyte + 2 * block
        var large = try VmemmapEmulator(layout: layout(.radixTables), bootMemory: [0..<gibibyte])
        try large.plug(far, memmapOnMemory: true)
        #expect(large.tableCounts == (blocks: 1, pages: 8))
        #expect(large.tableBacking().suffix(8).allSatisfy { far.contains($0.phys) && $0.byteCount == 65536 })
        // Such a block goes as a whole.
        let half = far.lowerBound..<far.lowerBound + block / 2
        #expect(
            failing { () throws(HotplugError) in try large.removeMemory(half) } == .unaligned(half, unit: block))
        try large.unplug(far)
        #expect(large.tableCounts == (blocks: 1, pages: 0))
    }
}
