// SPDX-License-Identifier: Apache-2.0

import AgentProtocol
import GuestMemory
import TestGuests
import Testing

@testable import HotplugAgent

/// What the agent tells of the kernel's own faults.
struct FaultLogTests {
    private static let oops = "BUG: Kernel NULL pointer dereference on write at 0x00000000"

    private func runningAgent() throws -> RunningAgent {
        let guest = FakeGuest()
        guest.populate(0..<16)
        return try RunningAgent.ready(guest)
    }

    private func text(_ events: some Sequence<AgentEvent>) -> String {
        String(decoding: events.flatMap(\.text), as: UTF8.self)
    }

    @Test func aFaultIsToldWithItsText() throws {
        let running = try runningAgent()
        running.guest.log(Self.oops, priority: 1)
        running.guest.log("Oops: Kernel access of bad area, sig: 11 [#1]", priority: 4)
        #expect(try running.ask("drain").number("events") == (try running.header(.eventCount)))
        let events = try running.events()
        #expect(events.first == .kernelFault(.oops, count: 1))
        #expect(text(events) == "\(Self.oops)\nOops: Kernel access of bad area, sig: 11 [#1]\n")
        // It is no event of the mirror's.
        let answer = try running.sync()
        #expect(answer.number("losses") == 0)
        #expect(answer.number("heals") == 0)
        #expect(try running.mirrorsTheKernel())
    }

    /// What a program writes is none.
    @Test(arguments: [8, 11, 15]) func onlyTheKernelsOwn(priority: Int) throws {
        let running = try runningAgent()
        running.guest.log(Self.oops, priority: priority)
        _ = try running.ask("drain")
        #expect(try running.events() == [])
    }

    /// Before the agent was there the kernel may have warned already. Nothing else of that time counts.
    @Test func theLogIsReadFromItsBeginning() throws {
        let guest = FakeGuest()
        guest.populate(0..<16)
        guest.log("------------[ cut here ]------------", priority: 4)
        guest.log("WARNING: CPU: 0 PID: 1 at mm/sparse.c:1 sparse_init+0x0/0x10", priority: 4)
        guest.log("pseries-hotplug-mem: Memory at 40000000 (drc index 80000004) was hot-added")
        guest.log("vmemmap_populate c00c000000100000..c00c000000104000, node 0")
        let running = try RunningAgent.ready(guest)
        let events = try running.events()
        #expect(events.first == .kernelFault(.warning, count: 1))
        #expect(text(events) == "WARNING: CPU: 0 PID: 1 at mm/sparse.c:1 sparse_init+0x0/0x10\n")
        #expect(events.allSatisfy { $0 == events.first || !$0.text.isEmpty })
        #expect(try running.mirrorsTheKernel())
    }

    /// What was overwritten before it could be read is told, and is no loss of the mirror's.
    @Test func aLogWithoutABeginning() throws {
        let guest = FakeGuest()
        guest.populate(0..<16)
        guest.overwriteLog()
        guest.log("x")
        let running = try RunningAgent.ready(guest)
        #expect(try running.events() == [.logBeginningLost(recordCount: 7)])
        #expect(try running.header(.lossCount) == 0)
    }

    /// A kernel that warns without end: the first reports have their text, the others are counted.
    @Test func reportsAreBounded() throws {
        let running = try runningAgent()
        for index in 0..<100 { running.guest.log("BUG: number \(index)") }
        for index in 0..<5 { running.guest.log("INFO: task x:\(index) blocked for more than 120 seconds.") }
        running.guest.log("NIP [c0] of_a_report_that_is_not_told+0x0/0x0")
        _ = try running.ask("drain")
        var events = try running.events()
        #expect(events.filter { $0 == .kernelFault(.bug, count: 1) }.count == FaultLog.textLimit)
        #expect(events.filter { !$0.text.isEmpty }.count == FaultLog.textLimit)
        #expect(events.suffix(2) == [.kernelFault(.bug, count: 68), .kernelFault(.hungTask, count: 5)])
        // They are told once, by a sync as well.
        running.guest.log("BUG: one more")
        try running.sync()
        events = try running.events()
        #expect(events.suffix(2).first == .kernelFault(.bug, count: 1))
        #expect(events.filter { $0 == .kernelFault(.bug, count: 68) }.count == 1)
    }
}
