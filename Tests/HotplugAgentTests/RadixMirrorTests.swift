// SPDX-License-Identifier: Apache-2.0

import AgentProtocol
import GuestMemory
import TestGuests
import TestSupport
import Testing
import VmemmapPopulate

@testable import HotplugAgent

private let base = FakeKernelMemory.vmemmapBase
private let block: UInt64 = 2 << 20

/// A kernel whose page allocator fails at random, and whose altmaps end at random, and which notes what it was asked.
private struct RecordingKernel: RadixEnvironment {
    let pageByteCount: UInt64
    let rule: RadixStart
    var random: SystemRandomNumberGenerator
    var valid = MemoryRanges()
    var altmap: UInt64 = 0
    var requests: [PopulateCall.Allocation] = []
    private var nextPhys: UInt64 = 1 << 30

    init(pageByteCount: UInt64, rule: RadixStart) {
        self.pageByteCount = pageByteCount
        self.rule = rule
        random = SystemRandomNumberGenerator()
    }

    private mutating func request(_ byteCount: UInt64, altmap: UInt64, fails: Bool) -> UInt64? {
        nextPhys += block
        requests.append(.init(byteCount: byteCount, altmap: altmap, pointer: fails ? 0 : LinearMap.base + nextPhys))
        return fails ? nil : nextPhys
    }

    mutating func allocateBlock(pmd: UInt64, from address: UInt64, geometry: MemoryMapGeometry) -> UInt64? {
        if address != pmd, altmap != 0 || rule == .pageAligned { return nil }
        if altmap != 0, Bool.random(using: &random) { return nil }
        return request(block, altmap: altmap, fails: Int.random(in: 0..<3, using: &random) == 0)
    }

    mutating func allocatePage(for address: UInt64, geometry: MemoryMapGeometry) -> UInt64? {
        if altmap != 0, Bool.random(using: &random),
            let page = request(pageByteCount, altmap: altmap, fails: Bool.random(using: &random))
        {
            return page
        }
        return request(pageByteCount, altmap: 0, fails: false)
    }

    mutating func allocateTable() -> Bool { true }
    mutating func release(_ backing: RadixTables.Backing) {}
    func holdsValidMemory(_ addresses: ClosedRange<UInt64>) -> Bool { valid.intersects(addresses) }
}

struct RadixMirrorTests {
    private func geometry(_ pageByteCount: UInt64) -> MemoryMapGeometry {
        MemoryMapGeometry(
            vmemmapBase: base, vmemmapPageShift: 12, pageByteCount: pageByteCount, structPageByteCount: 64)
    }

    private func leaves(in region: SharedRegion, _ mirror: borrowing Mirror) throws -> [RadixTables.Backing] {
        let walk = ListWalk(
            head: mirror.state.head, in: region, pageByteCount: region.layout.pageByteCount,
            limit: Int(region.layout.nodeCapacity))
        #expect(walk.end == .terminated)
        return try walk.entries.map { node in
            let slot = try #require(region.layout.slot(ofNodeAt: node.node))
            let origin = try #require(EntryOrigin(word: try region.word(at: region.layout.originsOffset + slot * 8)))
            return RadixTables.Backing(
                virtAddr: node.virtAddr, byteCount: origin.byteCount, phys: node.phys)
        }.sorted { $0.virtAddr < $1.virtAddr }
    }

    /// Sections come and go at random, with and without altmaps, and the page allocator fails at random: told only what
    /// was asked for and what came, the mirror has every leaf of the tables, at its address and of its size.
    @Test(arguments: [4096, 65536] as [UInt64], RadixStart.allCases)
    func followsTheTables(pageByteCount: UInt64, rule: RadixStart) throws {
        let sectionByteCount: UInt64 = 16 << 20
        let geometry = geometry(pageByteCount)
        let mapByteCount = sectionByteCount / pageByteCount * 64
        for _ in 0..<8 {
            try withRegion(regionByteCount: 8 << 20, pageByteCount: pageByteCount) { region, _ in
                var mirror = Mirror(region: region)
                var tables = RadixTables([], pageByteCount: pageByteCount)
                var kernel = RecordingKernel(pageByteCount: pageByteCount, rule: rule)
                _ = try mirror.rebuild(
                    from: [RadixWalk.Leaf](), pageByteCount: pageByteCount, valid: MemoryRanges(), newcomers: .seeded,
                    microseconds: 0)
                var present: Set<UInt64> = []
                for _ in 0..<60 {
                    let section = UInt64.random(in: 0..<300)
                    let memory = section * sectionByteCount..<(section + 1) * sectionByteCount
                    let (start, end) = (base + section * mapByteCount, base + (section + 1) * mapByteCount)
                    if present.remove(section) != nil {
                        kernel.valid.remove(memory)
                        try tables.free(start: start, end: end, geometry: geometry, kernel: &kernel)
                        mirror.mark(memory, isValid: false)
                        try mirror.freeTables(start: start, end: end, geometry: geometry, microseconds: 1)
                    } else {
                        present.insert(section)
                        kernel.requests = []
                        kernel.altmap = Bool.random() ? 0xc000_0000_1234_5678 : 0
                        try tables.populate(
                            start: start, end: end, rule: rule, hasAltmap: kernel.altmap != 0, geometry: geometry,
                            kernel: &kernel)
                        kernel.valid.insert(memory)
                        let call = PopulateCall(
                            microseconds: 1, start: start, end: end, node: 0, altmap: kernel.altmap,
                            allocations: kernel.requests)
                        #expect(try mirror.populateTables(call, geometry: geometry, microseconds: 1))
                        mirror.mark(memory, isValid: true)
                    }
                    #expect(try leaves(in: region, mirror) == tables.backings(pageByteCount: pageByteCount))
                }
            }
        }
    }

    /// What the rule would not have asked for, or more or less of it, is not explained: the mirror has to be healed.
    @Test(
        arguments: [
            ([], 0), ([(4096, 1 << 30)], 0), ([(block, 1 << 30), (4096, 1 << 30)], 0),
            ([(block, 0), (4096, 1 << 30)], 0), ([(block, 1 << 51)], 0), ([(0, 1 << 30)], 0),
            ([(block, 0)], 12), ([(block, 1 << 30)], 12),
        ] as [([(UInt64, UInt64)], UInt64)])
    func whatDoesNotComeOut(requests: [(byteCount: UInt64, phys: UInt64)], errno: UInt64) throws {
        try withRegion(pageByteCount: 4096) { region, _ in
            var mirror = Mirror(region: region)
            _ = try mirror.rebuild(
                from: [RadixWalk.Leaf](), pageByteCount: 4096, valid: MemoryRanges(), newcomers: .seeded,
                microseconds: 0)
            let call = PopulateCall(
                microseconds: 1, start: base, end: base + 0x4_0000, node: 0, altmap: 0,
                allocations: requests.map {
                    .init(byteCount: $0.byteCount, altmap: 0, pointer: $0.phys == 0 ? 0 : LinearMap.base + $0.phys)
                }, errno: errno)
            #expect(try !mirror.populateTables(call, geometry: geometry(4096), microseconds: 1))
        }
    }
}

/// An agent on a radix guest without a list.
struct RadixSessionTests {
    /// 1 GiB of 64 KiB pages, with its memory map in one block.
    private func guest() -> (guest: FakeGuest, tables: SampleRadixTables) {
        let guest = FakeGuest()
        guest.files["/proc/cpuinfo"] = Array("MMU\t\t: Radix\n".utf8)
        guest.memory.store(FakeKernelMemory.bytes(of: 0, count: 4), at: FakeKernelMemory.vmemmapPageSizeIndex)
        guest.memory.store(FakeKernelMemory.bytes(of: 12, count: 4), at: FakeKernelMemory.pageSizeDefinitions)
        guest.trace = FakeTrace()
        var tables = SampleRadixTables(pageByteCount: 65536)
        tables.map(base, to: 0x3600_0000, byteCount: block)
        guest.show(tables)
        return (guest, tables)
    }

    private func entries(_ running: RunningAgent) throws -> [[UInt64]] {
        try running.mirror().map { [$0.virtAddr - base, $0.phys] }
    }

    /// A section's call that asked for these.
    private func call(
        _ guest: FakeGuest, section: UInt64, requests: [(byteCount: UInt64, phys: UInt64)], altmap: UInt64 = 0
    ) {
        let start = base + section * 0x4000
        guest.trace.hit(
            "qh_populate: (radix__vmemmap_populate+0x8/0x40) start=0x\(guest.hex(start)) "
                + "end=0x\(guest.hex(start + 0x4000)) node=0x0 altmap=0x\(guest.hex(altmap))", at: guest.clock)
        for request in requests {
            guest.trace.hit(
                "qh_allocate: (vmemmap_alloc_block_buf+0x8/0x40) bytes=0x\(guest.hex(request.byteCount)) "
                    + "altmap=0x\(guest.hex(altmap))", at: guest.clock)
            guest.trace.hit(FakeTrace.allocated(LinearMap.base + request.phys), at: guest.clock)
        }
        guest.trace.hit(FakeTrace.populated(0), at: guest.clock)
    }

    /// An entry that changes while the tables are walked.
    @Test func tablesThatChangeUnderTheWalk() throws {
        let (guest, tables) = guest()
        // Opened by then: VMCOREINFO, the list's head, and the tables once.
        guest.beforeKcore[4] = { guest in
            var tables = tables
            tables.map(base, to: 0x2000_0000, byteCount: block)
            guest.show(tables)
        }
        #expect(try entries(try RunningAgent.ready(guest)) == [[0, 0x2000_0000]])
    }

    @Test func seededFromTheTablesAndObserved() throws {
        let (guest, _) = guest()
        let running = try RunningAgent.ready(guest)
        #expect(try running.header(.eventSource) == EventSource.kprobes.rawValue)
        #expect(
            Set(guest.trace.probes.values) == [
                "radix__vmemmap_populate", "vmemmap_alloc_block_buf", "vmemmap_free",
            ])
        #expect(try entries(running) == [[0, 0x3600_0000]])
        #expect(try running.mirror()[0].provenance == .seeded)

        // 2 GiB and on: the first section gets a block, the next finds it.
        call(guest, section: 128, requests: [(block, 0x2000_0000)])
        call(guest, section: 129, requests: [])
        // Memory that carries its own memory map has base pages, one for four sections.
        call(guest, section: 256, requests: [(65536, 0x1_0000_0000)], altmap: 0xc000_0000_0123_4560)
        call(guest, section: 257, requests: [], altmap: 0xc000_0000_0123_4560)
        let answer = try running.sync()
        #expect(answer.number("heals") == 0)
        #expect(
            try entries(running) == [
                [256 * 0x4000, 0x1_0000_0000], [128 * 0x4000, 0x2000_0000], [0, 0x3600_0000],
            ])
        #expect(try running.mirror().map(\.byteCount) == [65536, block, block])
        #expect(
            try running.events().contains(
                .populateCalled(
                    start: base + 256 * 0x4000, end: base + 257 * 0x4000, node: 0, altmap: 0xc000_0000_0123_4560)))

        // A window goes with its last section.
        for section: UInt64 in [256, 128, 257, 129] {
            let start = base + section * 0x4000
            guest.trace.hit(
                "qh_free: (vmemmap_free+0x8/0x40) start=0x\(guest.hex(start)) end=0x\(guest.hex(start + 0x4000))",
                at: guest.clock)
        }
        #expect(try running.sync().number("heals") == 0)
        #expect(try entries(running) == [[0, 0x3600_0000]])
        let freed = try running.events().compactMap { event -> UInt64? in
            guard case .blockFreed(let virtAddr, _) = event else { return nil }
            return virtAddr
        }
        #expect(freed == [base + 256 * 0x4000, base + 128 * 0x4000])
    }

    @Test(arguments: ["CPU:0 [LOST 4 EVENTS]", "garbage"])
    func lossesAreHealedFromTheTables(line: String) throws {
        var (guest, tables) = guest()
        let running = try RunningAgent.ready(guest)
        guest.trace.line(line)
        tables.map(base + block, to: 0x2000_0000, byteCount: block)
        tables.map(base + 2 * block, to: 0x2300_0000, byteCount: 65536)
        guest.show(tables)
        let answer = try running.sync()
        #expect(answer.number("heals") == 1)
        #expect(
            try entries(running) == [[2 * block, 0x2300_0000], [block, 0x2000_0000], [0, 0x3600_0000]])
        #expect(try running.mirror().map(\.provenance) == [.healed, .healed, .seeded])
        #expect(try running.mirror().map(\.byteCount) == [65536, block, block])
    }

    /// What the rule does not explain is healed as well, and so is a block outside any call.
    @Test func theUnexplainedIsHealed() throws {
        var (guest, tables) = guest()
        let running = try RunningAgent.ready(guest)
        call(guest, section: 128, requests: [(65536, 0x2000_0000)])
        tables.map(base + block, to: 0x2000_0000, byteCount: block)
        guest.show(tables)
        #expect(try running.sync().number("heals") == 1)
        #expect(try entries(running) == [[block, 0x2000_0000], [0, 0x3600_0000]])
        guest.trace.hit(FakeTrace.allocated(LinearMap.base + 0x2400_0000), at: guest.clock)
        let answer = try running.sync()
        #expect(answer.number("heals") == 2)
        #expect(answer.number("losses") == 1)
    }

    /// Ranges that are no section's memory map reach neither the rule nor the mirror.
    @Test(
        arguments: [
            (0, 1), (base - 1, base + 1), (base, base), (base + 1, base), (base, base + 0x4001), (.max - 1, .max),
            (base + 1 << 52, base + 1 << 52 + 0x4000),
        ] as [(UInt64, UInt64)])
    func hostileRanges(start: UInt64, end: UInt64) throws {
        let (guest, _) = guest()
        let running = try RunningAgent.ready(guest)
        guest.trace.hit(
            "qh_populate: (f) start=0x\(guest.hex(start)) end=0x\(guest.hex(end)) node=0x0 altmap=0x0", at: 1)
        guest.trace.hit(FakeTrace.populated(0), at: 1)
        guest.trace.hit("qh_free: (f) start=0x\(guest.hex(start)) end=0x\(guest.hex(end))", at: 1)
        #expect(try running.sync().number("heals") == 1)
        #expect(try entries(running) == [[0, 0x3600_0000]])
    }

    @Test(arguments: ["c000000002741000", nil]) func withoutARoot(value: String?) throws {
        let key = "SYMBOL(swapper_pg_dir)"
        let sample = SampleVmcoreinfo()
        let guest = FakeGuest(
            vmcoreinfo: value.map { sample.replacing(key, with: $0) } ?? sample.removing(key))
        guest.files["/proc/cpuinfo"] = Array("MMU\t\t: Radix\n".utf8)
        guest.memory.store(FakeKernelMemory.bytes(of: 0, count: 4), at: FakeKernelMemory.vmemmapPageSizeIndex)
        guest.memory.store(FakeKernelMemory.bytes(of: 12, count: 4), at: FakeKernelMemory.pageSizeDefinitions)
        guest.trace = FakeTrace()
        _ = RunningAgent(guest)
        let trouble = try #require(guest.takeLines().first ?? nil)
        #expect(trouble.text("missing").map { String(decoding: $0, as: UTF8.self) } == key)
    }

    /// Dynamic debug's messages carry no addresses here.
    @Test func withoutKprobesSnapshotsRemain() throws {
        let (guest, _) = guest()
        guest.trace.refused = ["radix__vmemmap_populate": 2]
        let running = try RunningAgent.ready(guest)
        let tried = try running.ask("hello").text("tried").map { String(decoding: $0, as: UTF8.self) }
        #expect(tried == "kprobe-events:radix__vmemmap_populate/2,dynamic-debug:block-addresses,snapshots")
        #expect(try running.sync().number("heals") == 1)
        #expect(try entries(running) == [[0, 0x3600_0000]])
    }
}

extension FakeGuest {
    /// Puts page tables into memory.
    fileprivate func show(_ tables: SampleRadixTables) {
        for (address, word) in tables.words {
            memory.store(ByteOrder.big.value(ofStored: word), at: LinearMap.base + address)
        }
    }
}
