// SPDX-License-Identifier: Apache-2.0

import AgentProtocol
import GuestMemory
import HarnessBasics
import TestSupport
import Testing
import Verification
import VmemmapPopulate

@testable import Guests

@Suite struct MirrorReaderTests {
    private static let release = "6.1.0-37-powerpc64le"
    private static let base: UInt64 = 0xc00c_0000_0000_0000
    private static let entryCount: UInt64 = 5

    /// Lends a region in which an agent has mirrored five blocks, and the answer that it gave to `sync`.
    private func withMirror(
        order: ByteOrder = .little, _ body: (SharedRegion, ControlLine) throws -> Void
    ) throws {
        try withRegion(order: order) { region, _ in
            try region.initialize(release: Array(Self.release.utf8))
            try region.setHeader(.mmu, MMU.hash.rawValue)
            try region.setHeader(.vmemmapBase, Self.base)
            try region.setHeader(.vmemmapPageShift, 16)
            try region.setHeader(.eventSource, EventSource.dynamicDebug.rawValue)
            try region.setHeader(.state, AgentState.ready.rawValue)
            try region.setHeader(.generation, 4)
            try region.setHeader(.eventCount, 12)
            try region.setHeader(.lossCount, 2)
            try region.setHeader(.healCount, 1)
            var list = VmemmapList(store: RegionStore(region: region))
            let provenances: [Provenance] = [.seeded, .seeded, .healed, .observed, .observed]
            for index in 0..<Self.entryCount {
                list.store.provenance = provenances[Int(index)]
                try list.populate(phys: 0x2000_0000 + index << 16, virtAddr: Self.base + index << 16)
            }
            let sync = ControlLine(identifier: 3, verb: "ok")
                .with("events", 12).with("head", list.state.head).with("live", Self.entryCount)
                .with("losses", 2).with("heals", 1).with("freed", 0)
            try body(region, sync)
        }
    }

    private func snapshot(of region: SharedRegion, sync: ControlLine) throws -> MirrorSnapshot {
        try MirrorReader(region: region, hello: try Hello(.hello), sync: sync).snapshot()
    }

    /// The header's words that are wrong, as the verifier names them.
    private func wrongWords(_ snapshot: MirrorSnapshot) throws -> [String] {
        try findings(snapshot).filter { $0.fault == .header }.map {
            String($0.message.trimmingPrefix("header word ").prefix { $0 != " " })
        }
    }

    /// What the verifier finds when the kernel has exactly what was mirrored.
    private func findings(_ mirror: MirrorSnapshot) throws -> [Finding] {
        let list = ListWalk(
            head: 0,
            entries: (0..<Self.entryCount).reversed().map {
                ListEntry(node: 0, list: 0, phys: 0x2000_0000 + $0 << 16, virtAddr: Self.base + $0 << 16)
            }, end: .terminated, endLink: 0)
        let kernel = KernelFacts(
            release: Self.release, isBigEndian: false, pageByteCount: 65536, sectionSizeBits: 24,
            structPageByteCount: 64, vmemmapPageShift: 16, vmemmapBase: Self.base, mmu: .hash)
        let snapshot = Snapshot(
            witnesses: Witness.given(by: .list, .hash), kernel: kernel, memory: [], sections: [], kernelList: list,
            peakEntryCount: list.entries.count,
            mirror: mirror)
        return try Verifier.verdict(on: snapshot).findings.filter { $0.subject == .mirror }
    }

    @Test(arguments: [ByteOrder.little, .big]) func readsAGoodMirror(order: ByteOrder) throws {
        try withMirror(order: order) { region, sync in
            let snapshot = try snapshot(of: region, sync: sync)
            #expect(try wrongWords(snapshot) == [])
            #expect(try findings(snapshot) == [])
            #expect(snapshot.list.end == .terminated)
            #expect(snapshot.list.entries.map(\.phys) == (0..<5).reversed().map { 0x2000_0000 + $0 << 16 })
            #expect(snapshot.list.entries.map(\.node) == (0..<5).reversed().map { region.layout.nodesOffset + $0 * 24 })
            #expect(snapshot.provenance == [.observed, .observed, .healed, .seeded, .seeded])
            #expect(snapshot.statements.map(\.field) == MirrorSnapshot.statedFields.map { "\($0)" })
            let fields = SharedRegionLayout.Field.allCases.map { "\($0)" } + (0..<9).map { "release[\($0)]" }
            #expect(snapshot.header.map(\.field) == fields)
        }
    }

    @Test func anEmptyMirrorIsGood() throws {
        try withMirror { region, sync in
            for field: SharedRegionLayout.Field in [.head, .liveCount, .nodePagesUsed, .nodesLeft] {
                try region.setHeader(field, 0)
            }
            let snapshot = try snapshot(of: region, sync: sync.without("head").with("head", 0))
            #expect(try wrongWords(snapshot) == [])
            #expect(snapshot.list.entries == [])
        }
    }

    @Test(arguments: SharedRegionLayout.Field.allCases)
    func aDamagedHeaderWordIsNamed(field: SharedRegionLayout.Field) throws {
        try withMirror { region, sync in
            let good = try region.header(field)
            for value in [good ^ 1, ~good | 1, good ^ 1 << 63 | 1] where value != good {
                try region.setHeader(field, value)
                let words = try wrongWords(try snapshot(of: region, sync: sync))
                #expect(words.contains("\(field)"), "\(value.hexadecimal)")
                // Without its head the list is another one, and so are the numbers that follow from it.
                #expect(field == .head || words == ["\(field)"], "\(value.hexadecimal)")
                let headers = try findings(try snapshot(of: region, sync: sync)).filter { $0.fault == .header }
                #expect(headers.contains { $0.message.hasPrefix("header word \(field) is \(value.hexadecimal); ") })
            }
        }
    }

    @Test(arguments: 0..<9 as Range<UInt64>) func aDamagedReleaseIsNamed(index: UInt64) throws {
        try withMirror { region, sync in
            let offset = SharedRegionLayout.releaseOffset + index * 8
            try region.store(try region.word(at: offset) ^ 0x20, at: offset)
            #expect(try wrongWords(try snapshot(of: region, sync: sync)) == ["release[\(index)]"])
        }
    }

    @Test func aDamagedOriginIsFound() throws {
        try withMirror { region, sync in
            // Not one that the agent writes; of an event that was not, or is to come, or tells of another entry; and read from
            // the kernel, and told by an event.
            let other = try region.word(at: region.layout.originsOffset + 24)
            for value: UInt64 in [0, 4, 255, .max, 2, 1 << 63 | 2, other, 1 << 16 | 1, 1 << 16 | 3] {
                try region.store(value, at: region.layout.originsOffset + 8)
                let snapshot = try snapshot(of: region, sync: sync)
                #expect(snapshot.provenance == [.observed, .observed, .healed, nil, .seeded])
                #expect(try findings(snapshot).map(\.name) == ["mirror-origin"])
            }
        }
    }

    /// A link may lead anywhere: out of the region, into its header, back into the list.
    @Test(
        arguments: [
            (.max, "mirror-misplaced-node"), (8, "mirror-misplaced-node"), (65536 * 64, "mirror-link-outside-memory"),
            (1 << 63, "mirror-link-outside-memory"), (24, "mirror-origin"), (0, "mirror-missing-entry"),
        ] as [(UInt64, String)])
    func aDamagedLinkIsFound(link: UInt64, name: String) throws {
        try withMirror { region, sync in
            try region.store(link, at: region.layout.nodesOffset + 2 * 24)
            #expect(try findings(try snapshot(of: region, sync: sync)).map(\.name).contains(name))
        }
    }

    @Test(arguments: 0..<5 as Range<UInt64>) func aCycleIsFound(target: UInt64) throws {
        try withMirror { region, sync in
            try region.store(region.layout.nodesOffset + target * 24, at: region.layout.nodesOffset)
            #expect(try findings(try snapshot(of: region, sync: sync)).map(\.name) == ["mirror-cycle"])
        }
    }

    @Test func countsFollowFromTheListAndNotFromWhatTheAgentSays() throws {
        try withMirror { region, sync in
            for live: UInt64 in [.max, .max - 2729, 1 << 63, region.layout.nodeCapacity + 1, 4] {
                let claim = sync.without("live").with("live", live)
                try region.setHeader(.liveCount, live)
                #expect(try wrongWords(try snapshot(of: region, sync: claim)) == ["liveCount"], "\(live)")
            }
        }
    }
}
