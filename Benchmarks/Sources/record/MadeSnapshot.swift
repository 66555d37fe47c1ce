// SPDX-License-Identifier: Apache-2.0

import GuestMemory
import Verification
import VmemmapPopulate

/// A made-up guest in which nothing is wrong.
enum MadeSnapshot {
    private static let pageByteCount: UInt64 = 4096
    private static let base: UInt64 = 0xc000_3f00_0000_0000

    /// A hash guest with 4 KiB pages and windows, all of whose memory was there at boot: a window for each 256 KiB. Its pages
    /// come as a real one's: a page for 170 nodes, then the 170 blocks, and now and then from elsewhere.
    static func hash4K(entryCount: Int) -> Snapshot {
        let kernel = KernelFacts(
            release: "made-up", isBigEndian: false, pageByteCount: pageByteCount, sectionSizeBits: 24,
            structPageByteCount: 64, vmemmapPageShift: 12, vmemmapBase: base, mmu: .hash)
        let memory = MemoryRange(name: "boot", base: 0, byteCount: UInt64(entryCount) << 18)
        let entries = entries(count: entryCount)
        let list = ListWalk(head: entries.first?.node ?? 0, entries: entries, end: .terminated, endLink: 0)
        var snapshot = Snapshot(
            witnesses: Witness.given(by: .list, .hash, hasHashTable: true), kernel: kernel, memory: [memory],
            sections: (0..<memory.byteCount >> 24).map {
                PresentSection(number: $0, vmemmapBase: base, isOnline: true)
            },
            kernelList: list, peakEntryCount: entryCount, mirror: mirror(of: entries, kernel),
            report: ReportSnapshot(
                list: list, blockByteCount: 256 << 20,
                blocks: (0..<memory.byteCount >> 28).map { .init(index: $0, state: "online") }),
            history: HotplugHistory(bootMemory: [memory]))
        let segments = HashedSegments(segmentShift: 40, virtualBitCount: 28, context: 4)
        snapshot.hashTable = HashTableSnapshot(
            entries.map { hashedEntry($0, segments) }.sorted { $0.index < $1.index }, tableShift: tableShift,
            segments: segments, kernel: kernel)
        var readBack = ReadBack(nonce: 1, stamped: [], runs: [], isCutShort: false)
        for entry in entries.reversed() { readBack.note(virtAddr: entry.virtAddr, phys: entry.phys) }
        for phys in entries.map(\.phys).sorted() {
            if let last = readBack.stamped.last, last.base + last.byteCount == phys {
                readBack.stamped[readBack.stamped.count - 1].byteCount += pageByteCount
            } else {
                readBack.stamped.append(.init(base: phys, byteCount: pageByteCount))
            }
        }
        snapshot.readBack = readBack
        return snapshot
    }

    /// Newest first.
    private static func entries(count: Int) -> [ListEntry] {
        var entries: [ListEntry] = []
        var (page, nodePage): (UInt64, UInt64) = (0x200_0000, 0)
        func nextPage(_ index: Int) -> UInt64 {
            // Every 1000 blocks, another free area.
            page += index % 1000 == 999 ? 0x1_7000 : pageByteCount
            return page
        }
        for index in 0..<count {
            if index % 170 == 0 { nodePage = nextPage(index) }
            entries.append(
                ListEntry(
                    node: LinearMap.base + nodePage + UInt64(index % 170) * 24, list: entries.last?.node ?? 0,
                    phys: nextPage(index), virtAddr: base + UInt64(index) * pageByteCount))
        }
        return entries.reversed()
    }

    private static let tableShift: UInt64 = 26

    /// As `hash__vmemmap_create_mapping` has it made, in its primary group: no two of these pages have the same slot.
    private static func hashedEntry(_ entry: ListEntry, _ segments: HashedSegments) -> HashedEntry {
        let segment = segments.virtualSegment(of: entry.virtAddr)
        let offset = entry.virtAddr & (1 << 40 - 1)
        let group = (segment ^ segment << 25 ^ offset >> 12) & (1 << (tableShift - 7) - 1)
        let page = segment << (40 - HashedEntry.abbreviatedShift) | offset >> HashedEntry.abbreviatedShift
        return HashedEntry(index: group * 8, v: 1 << 62 | page << 7 | 0x11, r: entry.phys | 0x194)
    }

    private static func mirror(of entries: [ListEntry], _ kernel: KernelFacts) -> MirrorSnapshot? {
        guard
            let layout = try? SharedRegionLayout(
                regionByteCount: UInt64(entries.count * 64).nextPowerOfTwo(from: 1 << 22), pageByteCount: pageByteCount)
        else { return nil }
        var nodes = entries
        let count = UInt64(entries.count)
        for index in nodes.indices {
            let number = count - 1 - UInt64(index)
            let node = layout.nodesOffset + number / 170 * pageByteCount + number % 170 * 24
            nodes[index] = ListEntry(node: node, list: 0, phys: nodes[index].phys, virtAddr: nodes[index].virtAddr)
        }
        for index in nodes.indices.dropLast() { nodes[index].list = nodes[index + 1].node }
        let pageCount = (count + 169) / 170
        var values: [SharedRegionLayout.Field: UInt64] = [
            .magic: SharedRegionLayout.magic, .generation: 4, .state: AgentState.ready.rawValue, .epoch: 1,
            .vmemmapBase: kernel.vmemmapBase, .head: nodes.first?.node ?? 0, .liveCount: count,
            .nodePagesUsed: pageCount, .nodesLeft: pageCount * 170 - count, .mmu: 1, .vmemmapPageShift: 12,
            .eventSource: EventSource.kprobes.rawValue, .regionByteCount: layout.regionByteCount,
        ]
        for (field, value) in layout.fixedFields() { values[field] = value }
        let release = Array(kernel.release.utf8)
        let releaseWords = (0..<9).map { index in
            let bytes = release.dropFirst(index * 8).prefix(8)
            return MirrorSnapshot.HeaderWord(
                field: "release[\(index)]", value: bytes.reversed().reduce(0) { $0 << 8 | UInt64($1) })
        }
        return MirrorSnapshot(
            header: SharedRegionLayout.Field.allCases.map { .init(field: "\($0)", value: values[$0] ?? 0) }
                + releaseWords,
            statements: MirrorSnapshot.statedFields.map {
                .init(field: "\($0)", value: values[$0] ?? 0, source: "the agent")
            },
            list: ListWalk(head: nodes.first?.node ?? 0, entries: nodes, end: .terminated, endLink: 0),
            provenance: nodes.map { _ in .seeded })
    }
}

extension UInt64 {
    /// The smallest power of two that is no less, and no less than `least`.
    fileprivate func nextPowerOfTwo(from least: UInt64) -> UInt64 {
        var power = least
        while power < self { power *= 2 }
        return power
    }
}
