// SPDX-License-Identifier: Apache-2.0

import GuestMemory
import HarnessBasics
import KernelState
import TestSupport
import Testing
import VmemmapPopulate

struct KernelStateTests {
    private static let bounds = ReadingBounds(memoryEnd: PhysicalAddress(1 << 30))

    private func state(
        _ memory: SampleMemory, radix: String? = "0", within bounds: ReadingBounds = bounds
    ) throws -> KernelState {
        try KernelState(of: Kernel(radix: radix, order: memory.order), in: memory.kernelMemory, within: bounds)
    }

    @Test(arguments: [ByteOrder.little, .big]) func isReadInEitherByteOrder(order: ByteOrder) throws {
        let memory = SampleMemory(order: order)
        let state = try state(memory)
        #expect(state.sections.map(\.number) == Array(0..<64))
        #expect(state.sections.allSatisfy { $0.isOnline && $0.vmemmapBase == SampleMemory.vmemmapBase })
        #expect(state.memoryMap == MemoryMap(base: SampleMemory.vmemmapBase, pageShift: 16))
        #expect(state.list.end == .terminated)
        #expect(state.list.head == LinearMap.base + SampleMemory.nodes[2])
        #expect(state.list.entries.map { $0.node - LinearMap.base } == SampleMemory.nodes.reversed())
        #expect(state.list.entries.map(\.phys) == [0x245_0000, 0x244_0000, 0x243_0000])
        #expect(state.tables == nil)
        let kernel = try Kernel(radix: "0", order: order)
        #expect(try kernel.memoryMap(in: memory.kernelMemory) == state.memoryMap)
        #expect(kernel.memory(in: state.sections).ranges == [0..<1 << 30])
    }

    private static let freeNodes = FreeNodeAddresses(
        next: LinearMap.base + 0x20_2000, leftCount: LinearMap.base + 0x20_2008, freedCount: LinearMap.base + 0x20_200c)

    /// Of 1 GiB, three nodes are on the list, and two behind them were freed.
    private func freeNodes(
        _ memory: SampleMemory, within bounds: ReadingBounds = bounds, change: (inout SampleMemory) -> Void = { _ in }
    ) throws -> FreeNodes? {
        var memory = memory
        let nodes = [0x40_0048, 0x40_0060, 0x40_0078].map { LinearMap.base + $0 }
        memory.words[0x20_2000] = nodes[1]
        memory.words[0x20_2008] = memory.halfWords(2725, 2)
        memory.words[0x40_0060] = nodes[0]
        memory.words[0x40_0048] = nodes[2]
        change(&memory)
        var kernel = try Kernel(radix: "0", order: memory.order)
        let addresses = [Self.freeNodes.next, Self.freeNodes.leftCount, Self.freeNodes.freedCount]
        kernel.learn(
            freeNodes: SymbolLookup(addresses: Array(zip(FreeNodeAddresses.names, addresses)), reason: []))
        #expect(kernel.freeNodes == Self.freeNodes)
        return try KernelState(of: kernel, in: memory.kernelMemory, within: bounds).freeNodes
    }

    @Test(arguments: [ByteOrder.little, .big]) func freeNodesAreRead(order: ByteOrder) throws {
        let memory = SampleMemory(order: order)
        let freed = [0x40_0060, 0x40_0048].map { LinearMap.base + UInt64($0) }
        #expect(
            try freeNodes(memory)
                == FreeNodes(
                    next: freed[0], leftCount: 2725, freedCount: 2, freed: freed, unused: LinearMap.base + 0x40_0078))
        #expect(try state(memory).freeNodes == nil)
        // As many as there are is bounded, and so is where they lead.
        let short = ReadingBounds(memoryEnd: PhysicalAddress(1 << 30), freeNodeLimit: 1)
        #expect(try freeNodes(memory, within: short)?.freed == [freed[0]])
        #expect(try freeNodes(memory) { $0.words[0x20_2008] = $0.halfWords(2725, 0xffff_ffff) }?.freedCount == -1)
        #expect(try freeNodes(memory) { $0.words[0x20_2008] = $0.halfWords(2725, 0x7fff_ffff) }?.freed.count == 3)
        #expect(try freeNodes(memory) { $0.words[0x20_2000] = 1 << 50 }?.freed == [])
        let outside = FreeNodeAddresses(next: LinearMap.base + 1 << 40, leftCount: 0, freedCount: 0)
        #expect(FreeNodes(at: outside, in: memory.kernelMemory, order: order, pageByteCount: 65536, limit: 8) == nil)
    }

    /// Page tables are big-endian whatever the kernel's byte order, and are read where the kernel has them.
    @Test(arguments: [ByteOrder.little, .big]) func pageTablesAreReadOnRadix(order: ByteOrder) throws {
        var memory = SampleMemory(order: order)
        let window: UInt64 = 2 << 20
        let place = memory.tables.map(SampleMemory.vmemmapBase, to: 0x600_0000, byteCount: window)
        let leaf = RadixWalk.Leaf(
            entryAddress: PhysicalAddress(place), virtAddr: SampleMemory.vmemmapBase, phys: 0x600_0000,
            byteCount: window)
        #expect(try state(memory, radix: "1").tables?.leaves == [leaf])
        #expect(try state(memory, radix: "0").tables == nil)
        #expect(try state(memory, radix: nil).tables == nil)
        // Without a section there is no memory map to look at.
        memory.words[SampleMemory.sectionRoots] = 0
        #expect(try state(memory, radix: "1").tables == nil)
    }

    /// A word of memory, and what stands there otherwise.
    struct Change: CustomTestStringConvertible, Sendable {
        let testDescription: String
        let apply: @Sendable (inout SampleMemory) -> Void

        init(_ title: String, _ apply: @escaping @Sendable (inout SampleMemory) -> Void) {
            (testDescription, self.apply) = (title, apply)
        }
    }

    @Test(arguments: [
        Change("a section gone") { $0.words[SampleMemory.sections + 63 * 32] = 0 },
        Change("a section offline") { $0.words[SampleMemory.sections + 63 * 32]? &= ~4 },
        Change("a section more, behind the first GiB") {
            $0.words[SampleMemory.sections + 64 * 32] = SampleMemory.vmemmapBase | 7
        },
        Change("another base") { $0.words[SampleMemory.sections] = 0xf000_0000_0000_0007 },
        Change("other vmemmap pages") { $0.words[SampleMemory.pageSize] = $0.halfWords(24, 0) },
        Change("a vmemmap page size that does not exist") {
            $0.words[SampleMemory.pageSizeIndex] = $0.halfWords(0, 16)
        },
        Change("another head") { $0.words[SampleMemory.listHead] = LinearMap.base + SampleMemory.nodes[1] },
        Change("another link") { $0.words[SampleMemory.nodes[2]] = 0 },
        Change("another block") { $0.words[SampleMemory.nodes[0] + 8] = 0x900_0000 },
        Change("another window") { $0.words[SampleMemory.nodes[0] + 16] = SampleMemory.vmemmapBase + 0x100_0000 },
        Change("another leaf") { $0.tables.map(SampleMemory.vmemmapBase, to: 0x620_0000, byteCount: 2 << 20) },
        Change("a leaf more") { $0.tables.map(SampleMemory.vmemmapBase + 0x20_0000, to: 0, byteCount: 2 << 20) },
        Change("a leaf gone") { $0.tables.words = [:] },
    ])
    func anyChangeOfTheBookkeepingShows(change: Change) throws {
        var memory = SampleMemory()
        memory.tables.map(SampleMemory.vmemmapBase, to: 0x600_0000, byteCount: 2 << 20)
        let wide = ReadingBounds(memoryEnd: PhysicalAddress(4 << 30))
        let before = try state(memory, radix: "1", within: wide)
        // What is not of the bookkeeping is not looked at.
        memory.words[0x700_0000] = 1
        #expect(try state(memory, radix: "1", within: wide) == before)
        change.apply(&memory)
        #expect(try state(memory, radix: "1", within: wide) != before)
    }

    /// The part that cannot be read, with the address that was asked for and why not.
    struct Unreadable: CustomTestStringConvertible, Sendable {
        let testDescription: String
        let part: KernelReadError.Part
        let cause: MemoryAccessError
        let apply: @Sendable (inout SampleMemory) -> Void

        init(
            _ title: String, _ part: KernelReadError.Part, _ cause: MemoryAccessError,
            _ apply: @escaping @Sendable (inout SampleMemory) -> Void
        ) {
            (testDescription, self.part, self.cause, self.apply) = (title, part, cause, apply)
        }
    }

    @Test(arguments: [
        Unreadable("no memory at mem_section", .sectionTable, .unmapped(0xc000_0000_0030_0000)) {
            $0.byteCount = 0x30_0000
        },
        Unreadable("a root behind memory", .sectionTable, .unmapped(0xc000_0000_4000_0000)) {
            $0.words[SampleMemory.sectionRoots] = 0xc000_0000_4000_0000
        },
        Unreadable("a root outside the linear map", .sectionTable, .unmapped(0xc008_0000_0000_0000)) {
            $0.words[SampleMemory.sectionRoots] = 0xc008_0000_0000_0000
        },
        Unreadable("a root at the end of addresses", .sectionTable, .unmapped(.max - 7)) {
            $0.words[SampleMemory.sectionRoots] = .max - 7
        },
        Unreadable("a root off its alignment", .sectionTable, .misaligned(0xc000_0000_0031_0004)) {
            $0.words[SampleMemory.sectionRoots] = 0xc000_0000_0031_0004
        },
    ])
    func whatCannotBeReadIsNamed(unreadable: Unreadable) throws {
        var memory = SampleMemory()
        unreadable.apply(&memory)
        let error = try #require(throws: KernelReadError.self) { try state(memory) }
        #expect(error.part == unreadable.part)
        #expect(error.cause == unreadable.cause)
    }

    /// No sections are read here, so that the other variables are what lies outside.
    @Test func variablesOutsideMemoryAreNamed() throws {
        var memory = SampleMemory()
        memory.byteCount = SampleMemory.listHead
        let kernel = try Kernel(radix: "0")
        let view = memory.kernelMemory
        let head = try #require(throws: KernelReadError.self) { try kernel.list(in: view, within: Self.bounds) }
        #expect(head.part == .listHead && head.cause == .unmapped(0xc000_0000_0020_0000))
        memory = SampleMemory()
        var sample = SampleVmcoreinfo()
        sample = sample.replacing("SYMBOL(mmu_psize_defs)", with: "c000000040000000")
        let moved = try Kernel(note: KernelNote(sample)) { _ in SymbolLookup(addresses: [], reason: []) }
        let pages = try #require(throws: KernelReadError.self) { try moved.memoryMap(in: memory.kernelMemory) }
        // Where the definition of the index stands.
        #expect(pages.part == .pageSizes && pages.cause == .unmapped(0xc000_0000_4000_0000 + 2 * 96))
    }

    @Test func aSystemsRefusalIsTold() throws {
        struct Refusing: WordMemory {
            func word(at address: UInt64) throws(MemoryAccessError) -> UInt64 { throw .failed(address, errno: 5) }
        }
        let error = try #require(throws: KernelReadError.self) { try Kernel(radix: nil).memoryMap(in: Refusing()) }
        #expect(error.part == .sectionTable && error.cause == .failed(0xc000_0000_0030_0000, errno: 5))
    }

    /// A damaged list is a state like any other.
    @Test(
        arguments: [
            (LinearMap.base + SampleMemory.nodes[2], .cycle),
            (0xc000_0000_0040_0001, .misplaced),
            (0xc000_0000_4000_0000, .unreadable),
        ] as [(UInt64, ListWalk.End)])
    func howTheListEndsIsPartOfTheState(link: UInt64, end: ListWalk.End) throws {
        var memory = SampleMemory()
        memory.words[SampleMemory.nodes[0]] = link
        let state = try state(memory)
        #expect(state.list.end == end)
        #expect(state.list.endLink == link)
        #expect(state.list.entries.count == 3)
        #expect(try self.state(memory) == state)
    }

    @Test(
        arguments: [
            (0, 1, 0), (1, 1, 1), ((1 << 18) - 1, 1, (1 << 18) - 1), (1 << 30, 4097, 1 << 30),
            (LinearMap.byteCount, 1 << 33 + 1, LinearMap.byteCount), (.max, 1 << 33 + 1, LinearMap.byteCount),
        ] as [(UInt64, Int, UInt64)])
    func theDensestListBoundsTheWalk(memoryEnd: UInt64, nodeLimit: Int, end: UInt64) {
        let bounds = ReadingBounds(memoryEnd: PhysicalAddress(memoryEnd))
        #expect(bounds.nodeLimit == nodeLimit)
        #expect(bounds.memoryEnd == PhysicalAddress(end))
        #expect(ReadingBounds(memoryEnd: PhysicalAddress(memoryEnd), nodeLimit: 3).nodeLimit == 3)
    }

    @Test func readingKeepsToItsBounds() throws {
        let memory = SampleMemory()
        let narrow = ReadingBounds(memoryEnd: PhysicalAddress(40 << 20), nodeLimit: 2)
        let state = try state(memory, within: narrow)
        #expect(state.sections.map(\.number) == [0, 1, 2])
        #expect(state.list.end == .limitReached)
        #expect(state.list.entries.count == 2)
    }

    /// As far as addresses go: every section that there can be, of which 64 are present.
    @Test func theWidestBoundsEnd() throws {
        let state = try state(SampleMemory(), radix: "1", within: ReadingBounds(memoryEnd: PhysicalAddress(.max)))
        #expect(state.sections.count == 64)
        #expect(state.tables?.leaves == [])
    }

    /// Whatever stands in memory, reading it ends, with a state or with an error.
    @Test func anyDamageEnds() throws {
        var generator = SeededGenerator(seed: 0x4b53)
        var (readCount, refusedCount) = (0, 0)
        for round in 0..<400 {
            var memory = SampleMemory(order: round % 2 == 0 ? .little : .big)
            memory.tables.map(SampleMemory.vmemmapBase, to: 0x600_0000, byteCount: 2 << 20)
            for _ in 0...round % 3 {
                let place = memory.words.keys.sorted().randomElement(using: &generator) ?? 0
                let shift = UInt64.random(in: 0..<64, using: &generator)
                memory.words[place, default: 0] ^= UInt64.random(in: .min ... .max, using: &generator) >> shift
                if let entry = memory.tables.words.keys.sorted().randomElement(using: &generator) {
                    memory.tables.words[entry, default: 0] ^= 1 << shift
                }
            }
            do {
                let state = try state(memory, radix: "1")
                #expect(state.sections.count <= 64 && state.list.entries.count <= Self.bounds.nodeLimit)
                readCount += 1
            } catch is KernelReadError {
                refusedCount += 1
            }
        }
        #expect(readCount > 0 && refusedCount > 0)
    }
}
