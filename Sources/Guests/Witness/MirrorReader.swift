// SPDX-License-Identifier: Apache-2.0

import AgentProtocol
import GuestMemory
import Verification
import VmemmapPopulate

/// Reads the mirror out of the shared region, and collects what is said of it elsewhere.
struct MirrorReader {
    let region: SharedRegion
    let hello: Hello
    /// The agent's answer to the last `sync`, which says over the control channel what the header says in the region.
    let sync: ControlLine

    /// Reads it all. Whatever stands there, this ends and gives a snapshot.
    func snapshot() throws -> MirrorSnapshot {
        let layout = region.layout
        let head = try region.header(.head)
        let walk = ListWalk(
            head: head, in: region, pageByteCount: layout.pageByteCount, limit: Int(layout.nodeCapacity))
        let eventCount = try region.header(.eventCount)
        var nodes: [UInt64: UInt64] = [:]
        let origins = try walk.entries.map { entry -> EntryOrigin? in
            guard let origin = try origin(ofNodeAt: entry.node) else { return nil }
            // Of what was read from the kernel no event tells.
            guard origin.provenance == .observed else { return origin.eventSequence == 0 ? origin : nil }
            guard origin.eventSequence > 0, origin.eventSequence <= eventCount else { return nil }
            // An event tells of one block. A list may come to a node twice, which is another fault.
            let first = nodes[origin.eventSequence, default: entry.node]
            nodes[origin.eventSequence] = first
            return first == entry.node ? origin : nil
        }
        let hasSizes = origins.contains { $0.map { $0.byteShift != 0 } ?? false }
        return MirrorSnapshot(
            header: try header(), statements: statements, list: walk,
            provenance: origins.map { $0?.provenance },
            leafByteCounts: hasSizes ? origins.map { $0?.byteCount ?? 0 } : nil)
    }

    private func origin(ofNodeAt offset: UInt64) throws -> EntryOrigin? {
        guard let slot = region.layout.slot(ofNodeAt: offset) else { return nil }
        return EntryOrigin(word: try region.word(at: region.layout.originsOffset + slot * 8))
    }

    private func header() throws -> [MirrorSnapshot.HeaderWord] {
        try SharedRegionLayout.Field.allCases.map {
            MirrorSnapshot.HeaderWord(field: "\($0)", value: try region.header($0))
        }
            + (0..<SharedRegionLayout.releaseByteCount / 8).map { index in
                // Text is bytes in memory order, whatever the words' order is.
                let stored = try region.words.load(at: SharedRegionLayout.releaseOffset + index * 8)
                return MirrorSnapshot.HeaderWord(
                    field: "release[\(index)]", value: ByteOrder.little.value(ofStored: stored))
            }
    }

    /// What harness and agent say of the header over other ways than the region.
    private var statements: [MirrorSnapshot.Statement] {
        MirrorSnapshot.statedFields.compactMap { field in
            let (value, source): (UInt64?, String) =
                switch field {
                case .regionByteCount: (region.layout.regionByteCount, "the region's file")
                case .mmu: (hello.mmu.rawValue, "the agent's hello")
                case .vmemmapPageShift: (hello.vmemmapPageShift, "the agent's hello")
                case .eventSource: (hello.eventSource.rawValue, "the agent's hello")
                default:
                    (Self.syncKeys.first { $0.0 == field }.flatMap { sync.number($0.1) }, "the agent's answer to sync")
                }
            return value.map { MirrorSnapshot.Statement(field: "\(field)", value: $0, source: source) }
        }
    }

    private static let syncKeys: [(SharedRegionLayout.Field, StaticString)] = [
        (.head, "head"), (.eventCount, "events"), (.lossCount, "losses"), (.healCount, "heals"),
        (.freedCount, "freed"),
    ]

    /// Whether the header still says what the agent answered to a `sync`.
    static func isUnchanged(_ region: SharedRegion, since sync: ControlLine) throws -> Bool {
        try syncKeys.allSatisfy { field, key in
            guard let value = sync.number(key) else { return true }
            return try region.header(field) == value
        }
    }
}
