// SPDX-License-Identifier: Apache-2.0

import AgentProtocol
import GuestMemory
import TestGuests
import TestSupport
import Testing

@testable import HotplugAgent

private let window16 = FakeKernelMemory.vmemmapBase + 16 << 16

/// A guest with 16 blocks from boot, and an agent that mirrors it.
private func runningAgent() throws -> RunningAgent {
    let guest = FakeGuest()
    guest.populate(0..<16)
    return try RunningAgent.ready(guest)
}

struct ObservingTests {
    @Test func anObservedBlock() throws {
        let running = try runningAgent()
        running.guest.populate(16..<17)
        #expect(running.agent.step())
        #expect(try running.mirrorsTheKernel())
        let newest = try #require(try running.mirror().first)
        #expect(newest.provenance == .observed)
        let events = try running.events()
        #expect(events[0] == .populateCalled(start: window16, end: window16 + 0x4000, node: 0))
        // The entry names the event that tells of it, and the event names the entry.
        #expect(newest.eventSequence == 2)
        #expect(
            events[1]
                == .blockMirrored(
                    virtAddr: window16, byteCount: 65536, phys: newest.phys, mirrorNode: try running.header(.head)))
        #expect(try running.mirror().dropFirst().allSatisfy { $0.provenance == .seeded })
    }

    /// What the clocks of log and trace say was published then is by the same clock, however far that is from the agent's.
    @Test(arguments: [(0, false), (-700_000, false), (12_345_678, false), (-700_000, true), (12_345_678, true)])
    func tellsWhenTheMirrorHadIt(lead: Int64, hasTrace: Bool) throws {
        let guest = FakeGuest()
        if hasTrace { guest.trace = FakeTrace() }
        guest.sourceLead = lead
        guest.populate(0..<16)
        let running = try RunningAgent.ready(guest)
        let before = Int64(guest.clock) + lead
        guest.populate(16..<18)
        #expect(running.agent.step())
        let after = Int64(guest.clock) + lead
        let records = try running.records().filter {
            if case .blockMirrored = AgentEvent($0) { true } else { false }
        }
        #expect(records.count == 2)
        for record in records {
            #expect(record.microseconds >= UInt64(before))
            #expect(record.publishedMicroseconds >= record.microseconds)
            // Late by no more than its marks were on their way, which here is no time but that of looking at the clock.
            #expect(record.publishedMicroseconds <= UInt64(after) + 100)
        }
    }

    @Test func allOtherEvents() throws {
        let running = try runningAgent()
        let guest = running.guest
        guest.log("pseries-hotplug-mem: Memory at 40000000 (drc index 80000004) was hot-added")
        guest.log("unrelated")
        guest.log("pseries-hotplug-mem: Memory at 40000000 was hot-removed")
        guest.log("pseries-hotplug-mem: Memory indexed-count-add failed, removing any added LMBs")
        guest.log("pseries-hotplug-mem: Memory indexed-count-remove failed, adding any removed LMBs")
        guest.log("vmemmap_populate: Unable to create vmemmap mapping: -2")
        #expect(running.agent.step())
        #expect(
            try running.events() == [
                .lmbAdded(base: 0x4000_0000, drcIndex: 0x8000_0004), .lmbRemoved(base: 0x4000_0000),
                .hotplugFailed(.add), .hotplugFailed(.remove), .mappingFailed(errno: 2),
            ])
        #expect(try running.mirrorsTheKernel())
    }

    @Test func syncReadsUpToNow() throws {
        let running = try runningAgent()
        running.guest.populate(16..<20)
        let answer = try running.sync()
        #expect(try running.mirrorsTheKernel())
        #expect(answer.number("live") == 20)
        #expect(answer.number("losses") == 0)
        #expect(answer.number("heals") == 0)
        #expect(answer.number("head") == (try running.header(.head)))
        #expect(answer.number("events") == 9)
        #expect(try running.events().count == 9)
        // A marker is the time at which it was written.
        let first = try running.lastMarker()
        #expect(first > 1_000_000)
        try running.sync()
        #expect(try running.lastMarker() > first)
    }

    @Test func aSourceThatDoesNotAnswer() throws {
        let running = try runningAgent()
        running.guest.logEchoes = false
        let answer = try running.ask("sync")
        #expect(answer.has(verb: "error"))
        #expect(answer.text("reason").map { $0.equals("/dev/kmsg-does-not-answer") } == true)
        running.guest.logEchoes = true
        try running.sync()
    }

    @Test func withoutDynamicDebugSnapshotsRemain() throws {
        let guest = FakeGuest()
        guest.written[FakeGuest.debugControl] = nil
        guest.populate(0..<16)
        let running = try RunningAgent.ready(guest)
        #expect(try running.ask("hello").number("source") == EventSource.snapshots.rawValue)
        #expect(try running.header(.eventSource) == EventSource.snapshots.rawValue)
        // The log still tells of LMBs.
        guest.log("pseries-hotplug-mem: Memory at 40000000 (drc index 80000004) was hot-added")
        guest.populate(16..<20)
        #expect(running.agent.step())
        #expect(try running.events() == [.lmbAdded(base: 0x4000_0000, drcIndex: 0x8000_0004)])
        #expect(try !running.mirrorsTheKernel())
        let answer = try running.sync()
        #expect(answer.number("heals") == 1)
        #expect(try running.mirrorsTheKernel())
        #expect(try running.mirror().prefix(4).allSatisfy { $0.provenance == .healed })
        #expect(try running.mirror().dropFirst(4).allSatisfy { $0.provenance == .seeded })
    }

    @Test func withoutALogSnapshotsRemain() throws {
        let guest = FakeGuest()
        guest.hasLog = false
        let running = try RunningAgent.ready(guest)
        #expect(try running.header(.eventSource) == EventSource.snapshots.rawValue)
    }
}

struct HealingTests {
    private func isLost(_ event: AgentEvent) -> Bool {
        if case .lost = event { true } else { false }
    }

    @Test func lostRecordsAreNotedAndHealed() throws {
        let running = try runningAgent()
        let guest = running.guest
        guest.populate(16..<17)
        #expect(running.agent.step())
        guest.populate(17..<19, told: false)
        guest.loseRecords(4)
        guest.populate(19..<20)
        #expect(running.agent.step())
        #expect(try running.events().contains(.lost(recordCount: 4)))
        #expect(try running.header(.lossCount) == 1)
        #expect(try !running.mirrorsTheKernel())

        let answer = try running.sync()
        #expect(answer.number("losses") == 1)
        #expect(answer.number("heals") == 1)
        #expect(try running.header(.healCount) == 1)
        #expect(try running.mirrorsTheKernel())
        let mirror = try running.mirror()
        #expect(mirror.prefix(4).map(\.provenance) == [.observed, .healed, .healed, .observed])
        #expect(mirror.dropFirst(4).allSatisfy { $0.provenance == .seeded })
        // What was observed still names its event; what was healed names none.
        let events = try running.events()
        for entry in mirror.prefix(4) where entry.provenance == .observed {
            try #require(1...UInt64(events.count) ~= entry.eventSequence)
            guard case .blockMirrored(let virtAddr, _, _, _) = events[Int(entry.eventSequence) - 1] else {
                Issue.record("no such event")
                continue
            }
            #expect(virtAddr == entry.virtAddr)
        }
        #expect(mirror[1].eventSequence == 0)
        #expect(events.contains(.healed(entryCount: 2)))

        // Once healed it stays healed.
        #expect(try running.sync().number("heals") == 1)
    }

    @Test func anOverwrittenLogIsALoss() throws {
        let running = try runningAgent()
        running.guest.populate(16..<20)
        running.guest.overwriteLog()
        let answer = try running.sync()
        #expect(answer.number("losses") == 1)
        #expect(try running.mirrorsTheKernel())
        #expect(try running.mirror().prefix(4).allSatisfy { $0.provenance == .healed })
    }

    /// The log wraps between the source's opening and its first record: the agent cannot know what it missed.
    @Test func anOverwrittenLogAtTheStartIsALoss() throws {
        let guest = FakeGuest()
        guest.populate(0..<16)
        guest.beforeKcore[2] = { guest in
            guest.log("x")
            guest.overwriteLog()
        }
        let running = try RunningAgent.ready(guest)
        #expect(try running.header(.lossCount) == 1)
        #expect(try running.sync().number("heals") == 1)
    }

    @Test(arguments: ["00000000d6bdde7a", "(____ptrval____)"])
    func hashedPointersAreALoss(pointer: String) throws {
        let running = try runningAgent()
        running.guest.populate(16..<17, told: false)
        running.guest.log("      * c00c000000100000..c00c000000110000 allocated at \(pointer)")
        #expect(running.agent.step())
        #expect(try running.events() == [.lost(recordCount: 1)])
        #expect(try running.sync().number("heals") == 1)
        #expect(try running.mirrorsTheKernel())
        #expect(try running.mirror().first?.provenance == .healed)
    }

    /// What a free takes off the list follows from the kernel's rule: nothing has to be healed.
    @Test func freesAreMirrored() throws {
        let running = try runningAgent()
        running.guest.populate(16..<20)
        try running.sync()
        running.guest.free(virtAddr: window16 + 1 << 16)
        running.guest.free(virtAddr: FakeKernelMemory.vmemmapBase)
        let answer = try running.sync()
        #expect(answer.number("heals") == 0)
        #expect(answer.number("losses") == 0)
        #expect(answer.number("freed") == 2)
        #expect(try running.mirrorsTheKernel())
        #expect(
            try running.mirror().map(\.provenance)
                == [.observed, .observed, .observed] + Array(repeating: .seeded, count: 15))
        let freed = try running.events().compactMap { event -> UInt64? in
            guard case .blockFreed(let virtAddr, _) = event else { return nil }
            return virtAddr
        }
        #expect(freed == [window16 + 1 << 16, FakeKernelMemory.vmemmapBase])
    }

    /// A window stays as long as one of its sections is there, also when the one that goes is not its first.
    @Test func sharedWindowStays() throws {
        let running = try runningAgent()
        let window = FakeKernelMemory.vmemmapBase
        for section: UInt64 in [2, 3, 4] {
            running.guest.log(
                "vmemmap_free \(running.guest.hex(window))...\(running.guest.hex(window + 0x4000 * section))")
        }
        #expect(try running.sync().number("freed") == 0)
        #expect(try running.mirrorsTheKernel())
    }

    /// The same window backed by another block is another entry.
    @Test func aWindowThatWasPopulatedAgain() throws {
        let running = try runningAgent()
        running.guest.free(virtAddr: FakeKernelMemory.vmemmapBase, told: false)
        running.guest.populate(virtAddr: FakeKernelMemory.vmemmapBase, phys: 0x900_0000, told: false)
        running.guest.loseRecords(1)
        try running.sync()
        #expect(try running.mirrorsTheKernel())
        #expect(try running.mirror().first?.provenance == .healed)
    }

    @Test func anEmptiedListLeavesNothingBehind() throws {
        let running = try runningAgent()
        for entry in running.guest.entries { running.guest.free(virtAddr: entry.virtAddr) }
        try running.sync()
        #expect(try running.mirror().isEmpty)
        #expect(try running.header(.head) == 0)
        #expect(try running.header(.liveCount) == 0)
        #expect(try running.header(.freedCount) == 16)
        #expect(try running.header(.nodesLeft) == 2730 - 16)
        running.guest.populate(16..<17)
        try running.sync()
        #expect(try running.mirrorsTheKernel())
    }

    /// A block that is populated while the mirror is healed is in the snapshot and in the log: it is mirrored once.
    @Test func eventsThatTheHealingSnapshotHoldsAreDropped() throws {
        let running = try runningAgent()
        // Opened so far: VMCOREINFO, snapshot, head again, sections. The next one is the healing snapshot's.
        running.guest.beforeKcore[5] = { $0.populate(16..<18) }
        running.guest.loseRecords(1)
        running.guest.log("x")
        try running.sync()
        #expect(running.agent.step())
        #expect(try running.mirrorsTheKernel())
        running.guest.populate(18..<19)
        try running.sync()
        #expect(try running.mirrorsTheKernel())
        #expect(try running.mirror().count == 19)
    }

    /// A loss while the mirror is healed is healed before the sync is answered.
    @Test func aLossDuringHealing() throws {
        let running = try runningAgent()
        running.guest.beforeKcore[6] = { guest in
            guest.populate(16..<17, told: false)
            guest.loseRecords(3)
            guest.log("x")
        }
        running.guest.loseRecords(1)
        running.guest.log("x")
        let answer = try running.sync()
        #expect(answer.number("heals") == 2)
        #expect(answer.number("losses") == 2)
        #expect(try running.mirrorsTheKernel())
        #expect(try running.sync().number("heals") == 2)
    }

    /// Losses without end: the sync is refused, not answered with a mirror that may be wrong.
    @Test func lossesWithoutEnd() throws {
        let running = try runningAgent()
        for opening in 5..<60 {
            running.guest.beforeKcore[opening] = { guest in
                guest.loseRecords(3)
                guest.log("x")
            }
        }
        running.guest.loseRecords(1)
        running.guest.log("x")
        let answer = try running.ask("sync")
        #expect(answer.has(verb: "error"))
        #expect(answer.text("reason").map { $0.equals("mirror-does-not-settle") } == true)
        running.guest.beforeKcore = [:]
        try running.sync()
        #expect(try running.mirrorsTheKernel())
    }
}

struct FullMirrorTests {
    /// 2 MiB hold two node pages of 2730 nodes.
    private static let capacity: UInt64 = 2 * 2730

    private func fullAgent(free: UInt64) throws -> RunningAgent {
        let guest = FakeGuest(regionByteCount: 2 << 20)
        guest.populate(0..<(Self.capacity - free))
        return try RunningAgent.ready(guest)
    }

    @Test func observingIntoAFullMirror() throws {
        let running = try fullAgent(free: 1)
        running.guest.populate(Self.capacity - 1..<Self.capacity + 1)
        #expect(running.agent.step())
        let refused = try #require(running.guest.entries.first)
        #expect(try running.events().last == .mirrorFull(virtAddr: refused.virtAddr, phys: refused.phys))
        let mirror = try running.mirror()
        #expect(mirror.count == Int(Self.capacity))
        #expect(mirror.first?.virtAddr == running.guest.entries[1].virtAddr)
    }

    @Test func seedingIntoAFullMirror() throws {
        let guest = FakeGuest(regionByteCount: 2 << 20)
        guest.populate(0..<(Self.capacity + 2))
        let running = try RunningAgent.ready(guest)
        #expect(try running.events() == [.mirrorFull(virtAddr: guest.entries[1].virtAddr, phys: guest.entries[1].phys)])
        #expect(try running.mirror().count == Int(Self.capacity))
    }

    /// Healing finds an older entry that was missed, and so the newest one, which the mirror knew, finds no place.
    @Test func healingIntoAFullMirror() throws {
        let running = try fullAgent(free: 1)
        let guest = running.guest
        guest.populate(Self.capacity - 1..<Self.capacity, told: false)
        guest.loseRecords(2)
        guest.populate(Self.capacity..<Self.capacity + 1)
        try running.sync()
        let refused = try #require(guest.entries.first)
        #expect(try running.events().contains(.mirrorFull(virtAddr: refused.virtAddr, phys: refused.phys)))
        #expect(try running.mirror().map(\.virtAddr) == guest.entries.dropFirst().map(\.virtAddr))
    }
}
