// SPDX-License-Identifier: Apache-2.0

import AgentProtocol
import GuestMemory
import Verification

@testable import Guests

extension Harness {
    /// What the host makes of the shared region.
    static let regions = [
        Harness("region", byteLimit: 2048) { bytes in
            var input = Input(bytes)
            let kind = input.byte()
            let region = try MadeRegion.first.filled(&input, order: kind & 1 == 0 ? .little : .big)
            var feed = EventFeed(region: region)
            let events = try feed.drain()
            require(events.count <= SharedRegionLayout.ringSlotCount, "no more events than the ring holds")
            require(try feed.drain().isEmpty, "an event comes once")
            for (record, event) in events {
                guard let event else { continue }
                let encoded = event.encoded
                let again = RingRecord(
                    sequence: record.sequence, kind: encoded.kind, microseconds: record.microseconds,
                    operands: encoded.operands)
                require(AgentEvent(again) == event, "an event comes back")
            }
            let hello = try Hello(line("0 hello \(helloFields)"))
            let sync = try line("1 ok head=0x0 events=0x0 losses=0x0 heals=0x0 freed=0x0")
            let mirror = try MirrorReader(region: region, hello: hello, sync: sync).snapshot()
            require(
                UInt64(mirror.list.entries.count) <= region.layout.nodeCapacity, "a mirror has so many nodes")
            require(mirror.provenance.count == mirror.list.entries.count, "each node has an origin, or none")
            _ = try MirrorReader.isUnchanged(region, since: sync)
            for area in [SharedRegionLayout.ReportArea.first, .capture] {
                guard let report = try? GuestReport(from: region, area: area) else { continue }
                let other = try MadeRegion.second.empty(order: region.order)
                try report.write(to: other, area: area)
                require(try GuestReport(from: other, area: area) == report, "a report comes back")
            }
        },
        Harness("region-report", byteLimit: 2048) { bytes in
            var input = Input(bytes)
            let region = try MadeRegion.first.empty(order: .little)
            let layout = region.layout
            let area: SharedRegionLayout.ReportArea = input.byte() & 1 == 0 ? .first : .capture
            let base = layout.reportOffset(area)
            for index in 0..<11 {
                try MadeRegion.first.store(input.word(near: [layout.nodeCapacity, 1]), at: base + UInt64(index) * 8)
            }
            for index in 0..<16 {
                try MadeRegion.first.store(input.number(2), at: layout.reportBlocksOffset(area) + UInt64(index) * 8)
            }
            for index in 0..<64 {
                try MadeRegion.first.store(
                    input.word(near: []), at: layout.reportEntriesOffset(area) + UInt64(index) * 8)
            }
            let report = try GuestReport(from: region, area: area)
            let other = try MadeRegion.second.empty(order: .big)
            try report.write(to: other, area: area)
            require(try GuestReport(from: other, area: area) == report, "a report comes back")
        },
    ]

    static let helloFields =
        "protocol=0x1 page=0x1000 vmemmap-base=0xc00c000000000000 vmemmap-shift=0x10 vmcoreinfo=0x10000 region=0x400000 "
        + "mmu=0x1 source=0x1 tried=snapshots"

    static func line(_ text: String) throws -> ControlLine {
        guard let line = ControlLine(parsing: Array(text.utf8)[...]) else { throw NoLine() }
        return line
    }

    private struct NoLine: Error {}
}

/// A region that is empty again for each input.
private final class MadeRegion: @unchecked Sendable {
    // One thread runs all inputs.
    static let first = MadeRegion()
    static let second = MadeRegion()

    private static let byteCount: UInt64 = 4 << 20
    private let words: MappedWords
    /// The words that are not zero any more.
    private var stored: Set<UInt64> = []

    private init() {
        let base = UnsafeMutableRawPointer.allocate(byteCount: Int(Self.byteCount), alignment: 4096)
        base.initializeMemory(as: UInt8.self, repeating: 0, count: Int(Self.byteCount))
        words = MappedWords(Mapping(unsafeBase: base, byteCount: Self.byteCount) { $0.deallocate() })
    }

    func store(_ word: UInt64, at offset: UInt64) throws {
        try words.store(word, at: offset)
        stored.insert(offset)
    }

    func empty(order: ByteOrder) throws -> SharedRegion {
        for offset in stored { try words.store(0, at: offset) }
        stored = []
        let layout = try SharedRegionLayout(regionByteCount: Self.byteCount, pageByteCount: 4096)
        return SharedRegion(words: words, layout: layout, order: order)
    }

    func filled(_ input: inout Input, order: ByteOrder) throws -> SharedRegion {
        let region = try empty(order: order)
        let layout = region.layout
        for (field, value) in layout.fixedFields() { try store(order.value(ofStored: value), at: field.offset) }
        let known = [
            layout.nodesOffset, layout.nodesOffset + 24, layout.nodesOffset + layout.pageByteCount, layout.nodeCapacity,
            SharedRegionLayout.ringSlotCount, LinearMap.base, MadeMemory.vmemmapBase,
        ]
        while !input.isEmpty {
            let kind = input.byte()
            var offset: UInt64 =
                switch kind & 7 {
                case 0: input.number(1) % 32 * 8
                case 1: SharedRegionLayout.captureHeaderOffset + input.number(1) * 8
                case 2: SharedRegionLayout.ringOffset + input.number(1) * 64
                case 3: layout.reportOffset(.first) + input.number(1) * 8
                case 4: layout.reportEntriesOffset(.first) + input.number(1) * 8
                case 5: layout.originsOffset + input.number(1) * 8
                case 6: layout.nodesOffset + input.number(1) * 24
                default: input.number(3) % (Self.byteCount / 8) * 8
                }
            for _ in 0...(kind >> 3 & 7) {
                try store(order.value(ofStored: input.word(near: known)), at: offset)
                offset = (offset + 8) % Self.byteCount
            }
        }
        return region
    }
}
