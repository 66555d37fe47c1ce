// SPDX-License-Identifier: Apache-2.0

import AgentProtocol
import GuestMemory
import Verification
import VmemmapPopulate

/// Reads the mirror out of the shared region, and collects what each header word has to be.
struct MirrorReader {
    let region: SharedRegion
    let hello: Hello
    /// The agent's answer to the last `sync`, which says over the control channel what the header says in the region.
    let sync: ControlLine
    /// `OSRELEASE` of VMCOREINFO.
    let release: String
    /// Where the memory map starts, as the host read it.
    let vmemmapBase: UInt64

    /// Reads it all. Whatever stands there, this ends and gives a snapshot.
    func snapshot() throws -> MirrorSnapshot {
        let layout = region.layout
        let head = try region.header(.head)
        let walk = ListWalk(
            head: head, in: region, pageByteCount: layout.pageByteCount, limit: Int(layout.nodeCapacity))
        let origins = try walk.nodes.map { try origin(ofNodeAt: $0.address) }
        let hasSizes = origins.contains { $0.map { $0.byteShift != 0 } ?? false }
        return MirrorSnapshot(
            header: try header(nodeCount: UInt64(walk.nodes.count)), list: WalkedList(walk),
            provenance: origins.map { $0?.provenance.entryProvenance },
            leafByteCounts: hasSizes ? origins.map { $0?.byteCount ?? 0 } : nil,
            lossCount: try region.header(.lossCount), healCount: try region.header(.healCount))
    }

    private func origin(ofNodeAt offset: UInt64) throws -> EntryOrigin? {
        guard let slot = region.layout.slot(ofNodeAt: offset) else { return nil }
        return EntryOrigin(word: try region.word(at: region.layout.originsOffset + slot * 8))
    }

    private func header(nodeCount: UInt64) throws -> [MirrorSnapshot.HeaderWord] {
        let expectations = self.expectations(nodeCount: nodeCount)
        var words = try SharedRegionLayout.Field.allCases.map { field in
            let value = try region.header(field)
            var expected = expectations[field].map { MirrorSnapshot.Expectation(value: $0.value, source: $0.source) }
            if field == .generation {
                // Any even number: an odd one stands there while the agent changes something.
                expected = .init(value: value & ~1, source: "a mirror at rest")
            }
            return MirrorSnapshot.HeaderWord(field: "\(field)", value: value, expected: expected)
        }
        words += try releaseWords()
        return words
    }

    private func expectations(nodeCount: UInt64) -> [SharedRegionLayout.Field: (value: UInt64, source: String)] {
        let layout = region.layout
        var expected: [SharedRegionLayout.Field: (value: UInt64, source: String)] = [:]
        for (field, value) in layout.fixedFields() { expected[field] = (value, "the region's format") }
        expected[.magic] = (SharedRegionLayout.magic, "the region's format")
        expected[.state] = (AgentState.ready.rawValue, "a mirror at rest")
        expected[.epoch] = (1, "the first kernel's agent")
        expected[.mmu] = (hello.mmu.rawValue, "the agent's hello")
        expected[.vmemmapPageShift] = (hello.vmemmapPageShift, "the agent's hello")
        expected[.eventSource] = (hello.eventSource.rawValue, "the agent's hello")
        expected[.vmemmapBase] = (vmemmapBase, "the kernel's mem_section")
        for (field, key) in Self.syncKeys {
            if let value = sync.number(key) { expected[field] = (value, "the agent's answer to sync") }
        }
        // The allocator hands out whole pages, so their number and what is left follow from the number of nodes.
        // Freed ones are stacked for reuse: so many came out of those pages too.
        let freedCount = min(sync.number("freed") ?? 0, layout.nodeCapacity)
        let handedOut = nodeCount + freedCount
        let pages = (handedOut + layout.nodesPerPage - 1) / layout.nodesPerPage
        expected[.liveCount] = (nodeCount, "the number of nodes")
        expected[.nodePagesUsed] = (pages, "the number of nodes")
        expected[.nodesLeft] = (pages * layout.nodesPerPage - handedOut, "the number of nodes")
        return expected
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

    private func releaseWords() throws -> [MirrorSnapshot.HeaderWord] {
        let text = Array(release.utf8.prefix(Int(SharedRegionLayout.releaseByteCount) - 1))
        return try (0..<SharedRegionLayout.releaseByteCount / 8).map { index in
            var expected: UInt64 = 0
            for byte in 0..<8 where Int(index) * 8 + byte < text.count {
                expected |= UInt64(text[Int(index) * 8 + byte]) << UInt64(byte * 8)
            }
            let stored = try region.words.load(at: SharedRegionLayout.releaseOffset + index * 8)
            return MirrorSnapshot.HeaderWord(
                field: "release[\(index)]", value: ByteOrder.little.value(ofStored: stored),
                expected: .init(value: expected, source: "VMCOREINFO"))
        }
    }
}

extension Provenance {
    /// The same in a snapshot.
    fileprivate var entryProvenance: EntryProvenance {
        switch self {
        case .seeded: .seeded
        case .observed: .observed
        case .healed: .healed
        }
    }
}
