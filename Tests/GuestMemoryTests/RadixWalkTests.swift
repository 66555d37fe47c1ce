// SPDX-License-Identifier: Apache-2.0

import GuestMemory
import HarnessBasics
import TestSupport
import Testing

struct RadixWalkTests {
    static let base: UInt64 = 0xc00c_0000_0000_0000
    static let block: UInt64 = 2 << 20

    /// The memory map of 4 GiB and more, with a block in the first 2 MiB, base pages in the next, and a hole behind.
    static func tables(_ pageByteCount: UInt64) -> SampleRadixTables {
        var tables = SampleRadixTables(pageByteCount: pageByteCount)
        tables.map(base, to: 0x3600_0000, byteCount: block)
        for index in 0..<4 {
            let offset = UInt64(index) * pageByteCount
            tables.map(base + block + offset, to: 0x2000_0000 + 3 * offset, byteCount: pageByteCount)
        }
        tables.map(base + 3 * block, to: 0x3400_0000, byteCount: block)
        return tables
    }

    static func walk(_ tables: SampleRadixTables, _ range: Range<UInt64> = base..<base + 8 * block) -> RadixWalk {
        RadixWalk(root: tables.root, range: range, pageByteCount: tables.pageByteCount, in: tables)
    }

    /// What a leaf maps, without where it stands.
    struct Mapping: Equatable {
        let virtAddr, phys, byteCount: UInt64

        init(_ virtAddr: UInt64, _ phys: UInt64, _ byteCount: UInt64) {
            self.virtAddr = virtAddr
            self.phys = phys
            self.byteCount = byteCount
        }

        init(_ leaf: RadixWalk.Leaf) {
            self.init(leaf.virtAddr, leaf.phys, leaf.byteCount)
        }
    }

    @Test(arguments: [4096, 65536] as [UInt64])
    func blocksAndBasePages(pageByteCount: UInt64) {
        let tables = Self.tables(pageByteCount)
        let walk = Self.walk(tables)
        #expect(walk.faults == [])
        let pages = (0..<4).map { index in
            let offset = UInt64(index) * pageByteCount
            return Mapping(Self.base + Self.block + offset, 0x2000_0000 + 3 * offset, pageByteCount)
        }
        #expect(
            walk.leaves.map(Mapping.init) == [Mapping(Self.base, 0x3600_0000, Self.block)] + pages
                + [Mapping(Self.base + 3 * Self.block, 0x3400_0000, Self.block)])
        for leaf in walk.leaves {
            #expect(leaf.entryAddress.rawValue == tables.path(to: leaf.virtAddr).last)
        }
    }

    /// Entries read off a running 6.1 guest on POWER9 with 1 GiB of memory.
    @Test func entriesOfARealKernel() {
        var tables = SampleRadixTables(pageByteCount: 65536)
        tables.words = [
            0x274_0000 + 6144 * 8: 0x8000_0000_3fef_0009, 0x3fef_0000: 0x8000_0000_3fee_0009,
            0x3fee_0000: 0xc000_0000_3600_018e,
        ]
        let walk = Self.walk(tables)
        #expect(
            walk.leaves == [
                .init(
                    entryAddress: PhysicalAddress(0x3fee_0000), virtAddr: Self.base, phys: 0x3600_0000,
                    byteCount: Self.block)
            ])
        #expect(walk.faults == [])
    }

    @Test(arguments: [4096, 65536] as [UInt64])
    func onlyTheRangeIsLookedAt(pageByteCount: UInt64) {
        let tables = Self.tables(pageByteCount)
        let start = Self.base + Self.block + pageByteCount
        #expect(
            Self.walk(tables, start..<start + 2 * pageByteCount).leaves.map(\.virtAddr) == [
                start, start + pageByteCount,
            ])
        // A block that reaches into the range is in it.
        #expect(Self.walk(tables, Self.base + 8..<Self.base + 16).leaves.map(\.virtAddr) == [Self.base])
        #expect(Self.walk(tables, Self.base..<Self.base) == Self.walk(SampleRadixTables(pageByteCount: pageByteCount)))
    }

    @Test func rangesAcrossTables() {
        var tables = SampleRadixTables(pageByteCount: 4096)
        // The end of one table of each level and the start of the next.
        let boundary = Self.base + 1 << 39
        let starts = [boundary - Self.block, boundary - 4096, boundary, boundary + 4096]
        tables.map(starts[0], to: 0x100_0000, byteCount: 4096)
        for (index, start) in starts.enumerated().dropFirst() {
            tables.map(start, to: UInt64(index) << 24, byteCount: 4096)
        }
        let walk = Self.walk(tables, boundary - Self.block..<boundary + Self.block)
        #expect(walk.leaves.map(\.virtAddr) == starts)
        #expect(walk.faults == [])
    }

    @Test func aGibibyteAtOnce() {
        var tables = SampleRadixTables(pageByteCount: 65536)
        tables.map(Self.base, to: 0x4000_0000, byteCount: 1 << 30)
        #expect(Self.walk(tables).leaves.map(Mapping.init) == [Mapping(Self.base, 0x4000_0000, 1 << 30)])
    }

    /// What no root can map: user addresses, and those beyond its 52 bits, up to the end of all addresses.
    @Test(arguments: [
        0..<0xc000_0000_0000_0000, 0xc010_0000_0000_0000..<UInt64.max, 0x3f_0000..<0x40_0000,
        UInt64.max - 65536..<UInt64.max,
    ])
    func outsideTheKernelsAddresses(range: Range<UInt64>) {
        let walk = Self.walk(Self.tables(65536), range)
        #expect(walk.leaves == [])
        #expect(walk.faults == [])
    }

    /// One way to spoil the entry of a level, and what the walk has to say of it.
    struct Damage: CustomTestStringConvertible, Sendable {
        let testDescription: String
        /// The entry that is spoilt: 0 is the root's.
        let level: Int
        let word: UInt64
        let reason: RadixWalk.Reason?

        init(_ testDescription: String, level: Int, _ word: UInt64, _ reason: RadixWalk.Reason?) {
            self.testDescription = testDescription
            self.level = level
            self.word = word
            self.reason = reason
        }
    }

    /// Spoils entries on the way to the first base page on a 4 KiB kernel, where a table of every level has 9 bits.
    static let damages: [Damage] = [
        Damage("no entry", level: 3, 0, nil),
        Damage("no table", level: 2, 0, nil),
        Damage("nothing in the root", level: 0, 0, nil),
        Damage(
            "not valid, everything else set", level: 3, 0x7fff_ffff_ffff_ffff, .notValid(word: 0x7fff_ffff_ffff_ffff)),
        Damage(
            "not valid, everything else set, in the root", level: 0, 0x7fff_ffff_ffff_ffff,
            .notValid(word: 0x7fff_ffff_ffff_ffff)),
        Damage("not valid, and not clear", level: 2, 1, .notValid(word: 1)),
        Damage(
            "a leaf in the root", level: 0, 0xc000_0000_0000_018e, .leafInRoot(word: 0xc000_0000_0000_018e)),
        Damage(
            "a table of 32 entries", level: 2, 0x8000_0000_1000_0005, .tableSize(word: 0x8000_0000_1000_0005)),
        Damage(
            "a table of 2^31 entries", level: 1, 0x8000_0000_1000_001f, .tableSize(word: 0x8000_0000_1000_001f)),
        Damage("a table of 13 bits", level: 0, 0x8000_0000_1000_000d, .tableSize(word: 0x8000_0000_1000_000d)),
        Damage("a table without a size", level: 0, 0x8000_0000_1000_0000, .tableSize(word: 0x8000_0000_1000_0000)),
        Damage(
            "a misaligned table", level: 1, 0x8000_0000_1000_0109, .tableAlignment(word: 0x8000_0000_1000_0109)),
        Damage(
            "a table below the last", level: 3, 0x8000_0000_1000_0009,
            .tableBelowLastLevel(word: 0x8000_0000_1000_0009)),
        Damage("a table outside memory", level: 2, 0x8000_0000_4000_0009, .unreadable),
        Damage("a table at the end of all addresses", level: 0, 0x8fff_ffff_ffff_f009, .unreadable),
        Damage("all bits, which is a leaf", level: 3, UInt64.max, .attributes(word: .max)),
        Damage("a leaf for users", level: 3, 0xc000_0000_2000_0186, .attributes(word: 0xc000_0000_2000_0186)),
        Damage("a leaf to be read only", level: 3, 0xc000_0000_2000_018c, .attributes(word: 0xc000_0000_2000_018c)),
        Damage("a leaf to be executed", level: 3, 0xc000_0000_2000_018f, .attributes(word: 0xc000_0000_2000_018f)),
        Damage("a leaf without a cache", level: 3, 0xc000_0000_2000_01ae, .attributes(word: 0xc000_0000_2000_01ae)),
        Damage("a leaf that nobody has used", level: 3, 0xc000_0000_2000_000e, nil),
    ]

    @Test(arguments: damages)
    func damage(damage: Damage) throws {
        var tables = Self.tables(4096)
        let virtAddr = Self.base + Self.block
        let path = tables.path(to: virtAddr)
        let before = Self.walk(tables)
        try #require(path.count == 4)
        tables.words[path[damage.level]] = damage.word
        let walk = Self.walk(tables)
        #expect(walk.faults.map(\.reason) == (damage.reason.map { [$0] } ?? []))
        for fault in walk.faults where fault.reason != .unreadable {
            #expect(fault.entryAddress.rawValue == path[damage.level])
        }
        // What lies beside the damage is still told.
        if damage.level >= 2 { #expect(walk.leaves.last == before.leaves.last) }
        #expect(walk.leaves.count <= before.leaves.count)
    }

    @Test func wildRoot() {
        let tables = Self.tables(65536)
        for root: UInt64 in [1 << 30, 1 << 51, UInt64.max.alignedDown(to: 65536), 3] {
            let walk = RadixWalk(
                root: PhysicalAddress(root), range: Self.base..<Self.base + 8 * Self.block, pageByteCount: 65536,
                in: tables)
            #expect(walk.leaves == [])
            #expect(walk.faults.map(\.reason) == [.unreadable])
        }
    }

    /// The tables below the root, of which one maps nothing any more.
    @Test(arguments: [4096, 65536] as [UInt64]) func tablesAreTold(pageByteCount: UInt64) {
        var tables = Self.tables(pageByteCount)
        let path = tables.path(to: Self.base + Self.block)
        let lastByteCount: UInt64 = pageByteCount == 4096 ? 4096 : 256
        let places = path[1...3].enumerated().map { level, entry in
            entry.alignedDown(to: level == 2 ? lastByteCount : 4096)
        }
        let walk = Self.walk(tables)
        #expect(walk.tables.map(\.base.rawValue) == places)
        #expect(walk.tables.map(\.level) == [1, 2, 3])
        #expect(walk.tables.map(\.byteCount) == [4096, 4096, lastByteCount])
        #expect(walk.tables.map(\.virtAddr) == [Self.base, Self.base, Self.base + Self.block])
        #expect(walk.tables.map(\.isEmpty) == [false, false, false])
        for index: UInt64 in 0..<4 { tables.words[path[3] + index * 8] = nil }
        #expect(Self.walk(tables).tables.map(\.isEmpty) == [false, false, true])
    }

    /// Entries that all lead to one table end the walk, though there is no leaf and no fault.
    @Test func tablesEndTheWalk() {
        var tables = Self.tables(4096)
        let path = tables.path(to: Self.base + Self.block)
        let places = path[1...3].map { $0.alignedDown(to: 4096) }
        for index: UInt64 in 0..<512 {
            tables.words[places[0] + index * 8] = 0x8000_0000_0000_0009 | places[1]
            tables.words[places[1] + index * 8] = 0x8000_0000_0000_0009 | places[2]
            tables.words[places[2] + index * 8] = nil
        }
        let walk = Self.walk(tables, Self.base..<Self.base + 512 << 30)
        #expect(walk.hasReachedLimit)
        #expect(walk.tables.count == 1 << 14)
        #expect(walk.leaves.isEmpty && walk.faults.isEmpty)
    }

    /// One table of leaves for every entry above it makes many of few words.
    @Test(arguments: [1, 7, 512, 513, 2000]) func aLimitEndsTheWalk(limit: Int) {
        var tables = Self.tables(4096)
        let path = tables.path(to: Self.base + Self.block)
        let (upper, lower) = (path[2].alignedDown(to: 4096), path[3].alignedDown(to: 4096))
        for index: UInt64 in 0..<512 {
            tables.words[upper + index * 8] = 0x8000_0000_0000_0009 | lower
            tables.words[lower + index * 8] = 0xc000_0000_0000_018e | index << 12
        }
        let range = Self.base..<Self.base + 4 * Self.block
        let all = RadixWalk(root: tables.root, range: range, pageByteCount: 4096, in: tables)
        #expect(all.leaves.count == 2048)
        #expect(!all.hasReachedLimit)
        let walk = RadixWalk(root: tables.root, range: range, pageByteCount: 4096, limit: limit, in: tables)
        #expect(walk.leaves == Array(all.leaves.prefix(limit)))
        #expect(walk.hasReachedLimit)
    }

    /// A table that leads to itself ends at the last level, on every way through it.
    @Test(arguments: [1, 2, 3])
    func cycles(level: Int) {
        var tables = Self.tables(4096)
        let path = tables.path(to: Self.base + Self.block)
        let table = path[level].alignedDown(to: 4096)
        for index: UInt64 in 0..<512 { tables.words[table + index * 8] = 0x8000_0000_0000_0009 | table }
        let range = Self.base..<Self.base + 4 * Self.block
        let walk = Self.walk(tables, range)
        #expect(walk.faults.allSatisfy { $0.reason == .tableBelowLastLevel(word: 0x8000_0000_0000_0009 | table) })
        // At most one for each base page of the range.
        #expect(1...2048 ~= walk.faults.count)
    }

    /// Tables of noise end the walk, with no more to tell than there are base pages.
    @Test(arguments: 1...20 as ClosedRange<UInt64>)
    func noise(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        var tables = Self.tables(seed % 2 == 0 ? 4096 : 65536)
        for address in tables.words.keys.sorted() where generator.next() % 3 == 0 {
            tables.words[address] = generator.next()
        }
        let range = Self.base..<Self.base + 8 * Self.block
        let walk = Self.walk(tables, range)
        #expect(UInt64(walk.leaves.count + walk.faults.count) <= 8 * Self.block / tables.pageByteCount)
        for leaf in walk.leaves {
            #expect(leaf.virtAddr % leaf.byteCount == 0)
            #expect(leaf.virtAddr < range.upperBound && leaf.virtAddr + leaf.byteCount > range.lowerBound)
        }
    }

    /// Memory that gives words in a row, as mapped memory does.
    private struct InRows: PhysicalMemory {
        let tables: SampleRadixTables

        func storedWord(at address: PhysicalAddress) throws(MemoryAccessError) -> UInt64 {
            try tables.storedWord(at: address)
        }

        func storedWords<let count: Int>(at address: PhysicalAddress) -> [count of UInt64]? {
            let words = (0..<count).compactMap {
                try? tables.storedWord(at: PhysicalAddress(address.rawValue + UInt64($0) * 8))
            }
            return words.count == count ? [count of UInt64] { words[$0] } : nil
        }
    }

    /// Entries that are read in rows come to what each of them alone does: wherever a range and a limit end, and whatever stands
    /// among them.
    @Test(arguments: 1...40 as ClosedRange<UInt64>)
    func rowsAndSingleEntriesAgree(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        let pageByteCount: UInt64 = seed % 2 == 0 ? 4096 : 65536
        var tables = SampleRadixTables(pageByteCount: pageByteCount)
        for index: UInt64 in 0..<96 {
            tables.map(Self.base + index * pageByteCount, to: index << 16, byteCount: pageByteCount)
        }
        for index: UInt64 in 8..<30 {
            tables.map(Self.base + index * Self.block, to: index << 21, byteCount: Self.block)
        }
        for address in tables.words.keys.sorted() where generator.next() % 20 == 0 {
            let words = [0, 1, generator.next(), 0xc000_0000_0000_018f, 0xc000_0000_0000_000e, 0x8000_0000_1000_0009]
            tables.words[address] = words[Int(generator.next() % 6)]
        }
        for _ in 0..<20 {
            let start = Self.base + generator.next() % (4 * Self.block)
            let range = start..<start + generator.next() % (32 * Self.block)
            for limit in [Int(generator.next() % 120), .max] {
                #expect(
                    RadixWalk(root: tables.root, range: range, pageByteCount: pageByteCount, limit: limit, in: tables)
                        == RadixWalk(
                            root: tables.root, range: range, pageByteCount: pageByteCount, limit: limit,
                            in: InRows(tables: tables)))
            }
        }
    }
}
