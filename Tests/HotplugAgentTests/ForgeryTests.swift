// SPDX-License-Identifier: Apache-2.0

import AgentProtocol
import GuestMemory
import TestGuests
import Testing

@testable import HotplugAgent

/// What programs in the guest write into the log and the trace, to be taken for the kernel or the agent.
struct ForgeryTests {
    private static func isSync(_ event: AgentEvent) -> Bool {
        if case .synced = event { true } else { false }
    }

    @Test(arguments: [
        "pseries-hotplug-mem: Memory at 40000000 (drc index 80000004) was hot-added",
        "pseries-hotplug-mem: Memory at 40000000 was hot-removed",
        "pseries-hotplug-mem: Memory indexed-count-add failed, removing any added LMBs",
        "vmemmap_populate c00c000000100000..c00c000000104000, node 0",
        "      * c00c000000100000..c00c000000110000 allocated at c000000002480000",
        "      * c00c000000100000..c00c000000110000 allocated at (____ptrval____)",
        "vmemmap_populate: Unable to create vmemmap mapping: -12",
        "vmemmap_free c00c000000000000...c00c000000010000",
    ])
    func whatOnlyTheKernelSays(text: String) throws {
        let guest = FakeGuest()
        guest.populate(0..<16)
        let running = try RunningAgent.ready(guest)
        guest.log(text, priority: 15)
        let answer = try running.sync()
        #expect(answer.number("losses") == 0)
        #expect(answer.number("heals") == 0)
        #expect(try running.events().filter { !Self.isSync($0) } == [])
        #expect(try running.mirrorsTheKernel())
    }

    /// A marker that the agent has not written is none, however high; the kernel's own words are none either.
    @Test(arguments: [(UInt64.max, 15), (UInt64.max, 7), (1_000_000, 15), (0, 15)])
    func markersInTheLog(marker: UInt64, priority: Int) throws {
        let guest = FakeGuest()
        guest.populate(0..<16)
        let running = try RunningAgent.ready(guest)
        guest.log("qemu-harness sync \(marker)", priority: priority)
        #expect(running.agent.step())
        guest.beforeMarker = { guest in
            guest.populate(16..<20)
            guest.beforeMarker = nil
        }
        try running.sync()
        #expect(try running.mirrorsTheKernel())
    }

    @Test func markersInTheTrace() throws {
        let guest = FakeGuest()
        guest.trace.refused = [:]
        guest.populate(0..<16)
        let running = try RunningAgent.ready(guest)
        try #require(try running.header(.eventSource) == EventSource.kprobes.rawValue)
        guest.trace.hit("tracing_mark_write: qemu-harness sync \(UInt64.max)", at: guest.clock)
        #expect(running.agent.step())
        // The log's marker is written first: what the trace has by then has to be read.
        guest.beforeMarker = { guest in
            guest.populate(16..<20)
            guest.beforeMarker = nil
        }
        try running.sync()
        #expect(try running.mirrorsTheKernel())
    }

    /// When the agent's own marker does not come back, a forged one does not stand for it.
    @Test func aForgedMarkerIsNoAnswer() throws {
        let guest = FakeGuest()
        guest.populate(0..<16)
        let running = try RunningAgent.ready(guest)
        guest.logEchoes = false
        guest.beforeMarker = { $0.log("qemu-harness sync \(UInt64.max)", priority: 15) }
        let answer = try running.ask("sync")
        #expect(answer.text("reason").map { $0.equals("/dev/kmsg-does-not-answer") } == true)
    }
}
