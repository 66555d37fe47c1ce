// SPDX-License-Identifier: Apache-2.0

import Foundation
import TestSupport
import Testing
import Verification
import VmemmapPopulate

/// The events that real guests were seen to make, replayed: they lead from the kernel's first list to its last one.
///
/// The commands that recorded them stand in Fixtures/README.md.
@Suite struct ReplayTests {
    /// A line of events.jsonl.
    private struct Event: Decodable {
        let kind: String
        let fields: [String: String]

        func word(_ field: String) throws -> UInt64 {
            try #require(UInt64(hexadecimal: fields[field] ?? ""), "\(kind) has no \(field)")
        }
    }

    private static func events(_ run: URL) throws -> [Event] {
        let text = try String(contentsOf: run.appending(path: "events.jsonl"), encoding: .utf8)
        return try text.split(separator: "\n").map { try JSONDecoder().decode(Event.self, from: Data($0.utf8)) }
    }

    /// The snapshots in the order of their steps.
    private static func snapshots(_ run: URL) throws -> [Snapshot] {
        try FileManager.default.contentsOfDirectory(atPath: run.path).filter { $0.hasPrefix("snapshot-") }
            .sorted { $0.compare($1, options: .numeric) == .orderedAscending }
            .map { try JSONDecoder().decode(Snapshot.self, from: Data(contentsOf: run.appending(path: $0))) }
    }

    @Test(arguments: RecordedRun.names) func blocksLeadToTheLastList(name: String) throws {
        let run = try RecordedRun.fixture(name)
        let snapshots = try Self.snapshots(run)
        let first = try #require(snapshots.first)
        let last = try #require(snapshots.last)
        let pageByteCount = first.kernel.pageByteCount
        var list = VmemmapList(store: PlainNodeStore(pageByteCount: pageByteCount))
        for entry in first.kernelList.entries.reversed() {
            try list.populate(phys: entry.phys, virtAddr: entry.virtAddr)
        }
        var counts = (mirrored: 0, freed: 0)
        for event in try Self.events(run) {
            switch event.kind {
            case "guest.block-mirrored":
                try list.populate(phys: event.word("phys"), virtAddr: event.word("virt_addr"))
                counts.mirrored += 1
            case "guest.block-freed":
                let phys = try list.free(virtAddr: event.word("virt_addr"))
                #expect(try phys == event.word("phys"))
                counts.freed += 1
            case "guest.events-lost", "guest.mirror-healed":
                Issue.record("the recorded guest lost events")
            default: break
            }
        }
        #expect(counts.mirrored > 0)
        #expect(first.kernelList.entries.count + counts.mirrored - counts.freed == last.kernelList.entries.count)
        let walk = ListWalk(
            head: list.state.head, in: list.store, pageByteCount: pageByteCount, limit: Int(list.state.liveCount))
        #expect(walk.nodes.map(\.backing.virtAddr) == last.kernelList.entries.map(\.virtAddr))
        #expect(walk.nodes.map(\.backing.phys) == last.kernelList.entries.map(\.phys))
        #expect(
            walk.nodes.map { $0.address % pageByteCount } == last.kernelList.entries.map { $0.node % pageByteCount })
    }
}
