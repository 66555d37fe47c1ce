// SPDX-License-Identifier: Apache-2.0

import AgentProtocol
import GuestMemory
import Testing
import VmemmapPopulate

extension ControlLine {
    /// The agent's first line, as it says it on a 6.1 kernel with the hash MMU.
    static let hello = ControlLine(identifier: 0, verb: "hello")
        .with("protocol", 1)
        .with("page", 65536)
        .with("mmu", MMU.hash.rawValue)
        .with("vmemmap-base", 0xc00c_0000_0000_0000)
        .with("vmemmap-shift", 16)
        .with("vmcoreinfo", 0x0345_0000)
        .with("source", EventSource.dynamicDebug.rawValue)
        .with("tried", text: Array("kprobe-events:vmemmap_populate/22:x,dynamic-debug".utf8))
        .with("region", 4 << 20)

    /// The line with one more field, as it would be read.
    func with(field key: String, _ value: String) throws -> ControlLine {
        let text = encoded.dropLast() + Array(" \(key)=\(value)".utf8)
        return try #require(ControlLine(parsing: text[...]))
    }

    /// The line without a key.
    func without(_ key: String) -> ControlLine {
        var line = self
        line.fields.removeAll { $0.key == Array(key.utf8) }
        return line
    }
}

/// The node pages of a shared region, filled as the agent fills them.
struct RegionStore: NodeStore {
    let region: SharedRegion
    var provenance = Provenance.seeded
    private var pagesUsed: UInt64 = 0

    init(region: SharedRegion) {
        self.region = region
    }

    var pageByteCount: UInt64 { region.layout.pageByteCount }

    func word(at address: UInt64) throws(MemoryAccessError) -> UInt64 {
        try region.word(at: address)
    }

    func store(_ value: UInt64, at address: UInt64) throws(MemoryAccessError) {
        try region.store(value, at: address)
    }

    mutating func allocatePage() -> UInt64? {
        guard pagesUsed < region.layout.nodePageCapacity else { return nil }
        defer { pagesUsed += 1 }
        return region.layout.nodesOffset + pagesUsed * pageByteCount
    }

    func publish(_ state: VmemmapListState, newNode: UInt64?) throws(MemoryAccessError) {
        if let newNode, let slot = region.layout.slot(ofNodeAt: newNode) {
            let origin = EntryOrigin(provenance, eventSequence: provenance == .observed ? 7 + slot : 0)
            try region.store(origin.word, at: region.layout.originsOffset + slot * 8)
        }
        try region.setHeader(.nodePagesUsed, pagesUsed)
        try region.setHeader(.nodesLeft, state.nodesLeft)
        try region.setHeader(.liveCount, state.liveCount)
        try region.setHeader(.head, state.head)
    }
}
