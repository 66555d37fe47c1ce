// SPDX-License-Identifier: Apache-2.0

import AgentProtocol
import GuestMemory
import TestGuests
import TestSupport
import Testing
import VmemmapPopulate

@testable import HotplugAgent

/// An agent on a made-up guest, and what the host sees of them.
final class RunningAgent {
    let guest: FakeGuest
    let agent: Agent<FakeGuest>
    private var nextIdentifier: UInt64 = 1

    /// Starts an agent; nothing is said about how that went.
    init(_ guest: FakeGuest) {
        self.guest = guest
        agent = Agent(system: guest)
        agent.start()
    }

    /// Starts an agent that says `hello`.
    static func ready(_ guest: FakeGuest) throws -> RunningAgent {
        let running = RunningAgent(guest)
        let lines = guest.takeLines()
        try #require(lines.count == 1)
        let hello = try #require(lines[0])
        try #require(hello.has(verb: "hello"), "\(String(decoding: hello.encoded, as: UTF8.self))")
        return running
    }

    /// Sends a request and returns its answer.
    func ask(_ request: String) throws -> ControlLine {
        let identifier = nextIdentifier
        nextIdentifier += 1
        guest.input += Array("\(identifier) \(request)\n".utf8)
        #expect(agent.step())
        let lines = guest.takeLines()
        try #require(lines.count == 1)
        let answer = try #require(lines[0])
        #expect(answer.identifier == identifier)
        return answer
    }

    /// Syncs, and expects it to work.
    @discardableResult
    func sync() throws -> ControlLine {
        let answer = try ask("sync")
        #expect(answer.has(verb: "ok"), "\(String(decoding: answer.encoded, as: UTF8.self))")
        return answer
    }

    struct Entry: Equatable {
        let virtAddr: UInt64
        let phys: UInt64
        let provenance: Provenance
        let eventSequence: UInt64
        /// 0 on a kernel with a list.
        let byteCount: UInt64
    }

    /// The mirror, newest first, checked the way the host checks it.
    func mirror() throws -> [Entry] {
        try guest.withRegion { region in
            let layout = region.layout
            let walk = ListWalk(
                head: try region.header(.head), in: region, pageByteCount: layout.pageByteCount,
                limit: Int(layout.nodeCapacity))
            #expect(walk.end == .terminated)
            #expect(try region.header(.liveCount) == UInt64(walk.entries.count))
            #expect(try region.header(.generation) % 2 == 0)
            let pages = (UInt64(walk.entries.count) + layout.nodesPerPage - 1) / layout.nodesPerPage
            #expect(try region.header(.nodePagesUsed) >= pages)
            return try walk.entries.map { node in
                let slot = try #require(layout.slot(ofNodeAt: node.node))
                let origin = try #require(
                    EntryOrigin(word: try region.word(at: layout.originsOffset + slot * 8)))
                return Entry(
                    virtAddr: node.virtAddr, phys: node.phys,
                    provenance: origin.provenance, eventSequence: origin.eventSequence,
                    byteCount: origin.byteCount)
            }
        }
    }

    /// Whether mirror and kernel hold the same entries in the same order.
    func mirrorsTheKernel() throws -> Bool {
        let mirror = try mirror()
        return mirror.map(\.virtAddr) == guest.entries.map(\.virtAddr)
            && mirror.map(\.phys) == guest.entries.map(\.phys)
    }

    /// All events so far, by their sequence number less 1.
    func events() throws -> [AgentEvent] { try records().map { try #require(AgentEvent($0)) } }

    /// The same as they stand in the ring.
    func records() throws -> [RingRecord] {
        try guest.withRegion { region in
            let count = try region.header(.eventCount)
            return try (0..<count).map { index in
                guard case .record(let record) = try EventRing(region).read(index + 1) else {
                    throw MemoryAccessError.unmapped(index)
                }
                return record
            }
        }
    }

    /// The marker of the newest event, which has to be a sync's.
    func lastMarker() throws -> UInt64 {
        guard case .synced(let marker) = try #require(try events().last) else {
            Issue.record("the last event is no sync")
            return 0
        }
        return marker
    }

    func header(_ field: SharedRegionLayout.Field) throws -> UInt64 {
        try guest.withRegion { try $0.header(field) }
    }
}
