// SPDX-License-Identifier: Apache-2.0

import Foundation
import TestSupport
import Testing
import Verification
import VmemmapPopulate

/// The events that real guests were seen to make, replayed: they lead from the kernel's first account to its
/// last one.
///
/// The commands that recorded them stand in Fixtures/README.md.
@Suite struct ReplayTests {
    /// The snapshots in the order of their steps.
    private static func snapshots(_ run: URL) throws -> [Snapshot] {
        try FileManager.default.contentsOfDirectory(atPath: run.path).filter { $0.hasPrefix("snapshot-") }
            .sorted { $0.compare($1, options: .numeric) == .orderedAscending }
            .map { try JSONDecoder().decode(Snapshot.self, from: Data(contentsOf: run.appending(path: $0))) }
    }

    /// The blocks that came and went, in order.
    private static func blocks(_ run: URL) throws -> [(isNew: Bool, virtAddr: UInt64, phys: UInt64)] {
        try RecordedEvent.events(of: run).compactMap { event in
            func word(_ field: String) throws -> UInt64 { try #require(event.word(field), "\(event) has no \(field)") }
            switch event.kind {
            case "guest.block-mirrored": return (true, try word("virtAddr"), try word("phys"))
            case "guest.block-freed": return (false, try word("virtAddr"), try word("phys"))
            case "guest.events-lost", "guest.mirror-healed":
                Issue.record("the recorded guest lost events")
                return nil
            default: return nil
            }
        }
    }

    @Test(arguments: RecordedRun.names) func blocksLeadToTheLastAccount(name: String) throws {
        let run = try RecordedRun.fixture(name)
        let snapshots = try Self.snapshots(run)
        let first = try #require(snapshots.first)
        let last = try #require(snapshots.last)
        let blocks = try Self.blocks(run)
        #expect(blocks.contains { $0.isNew })
        switch last.account {
        case .list: try replay(blocks, from: first, to: last)
        case .pageTables:
            var windows = Dictionary(uniqueKeysWithValues: first.accountEntries.map { ($0.virtAddr, $0.phys) })
            for block in blocks {
                let before = windows.updateValue(block.phys, forKey: block.virtAddr)
                #expect(before == (block.isNew ? nil : block.phys))
                if !block.isNew { windows[block.virtAddr] = nil }
            }
            #expect(windows == Dictionary(uniqueKeysWithValues: last.accountEntries.map { ($0.virtAddr, $0.phys) }))
        }
    }

    /// The same entries in the same order, each at the same offset in its node page.
    private func replay(
        _ blocks: [(isNew: Bool, virtAddr: UInt64, phys: UInt64)], from first: Snapshot, to last: Snapshot
    ) throws {
        let pageByteCount = first.kernel.pageByteCount
        var list = VmemmapList(store: PlainNodeStore(pageByteCount: pageByteCount))
        for entry in first.kernelList.entries.reversed() {
            try list.populate(phys: entry.phys, virtAddr: entry.virtAddr)
        }
        for block in blocks {
            if block.isNew {
                try list.populate(phys: block.phys, virtAddr: block.virtAddr)
            } else {
                let phys = try list.free(virtAddr: block.virtAddr)
                #expect(phys == block.phys)
            }
        }
        let walk = ListWalk(
            head: list.state.head, in: list.store, pageByteCount: pageByteCount, limit: Int(list.state.liveCount))
        let entries = last.kernelList.entries
        #expect(walk.entries.map(\.virtAddr) == entries.map(\.virtAddr))
        #expect(walk.entries.map(\.phys) == entries.map(\.phys))
        #expect(walk.entries.map { $0.node % pageByteCount } == entries.map { $0.node % pageByteCount })
    }
}
