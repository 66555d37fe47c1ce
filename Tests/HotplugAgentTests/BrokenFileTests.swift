// SPDX-License-Identifier: Apache-2.0

import AgentProtocol
import GuestMemory
import TestGuests
import TestSupport
import Testing
import VmemmapPopulate

@testable import HotplugAgent

/// Files that fail, a channel that takes half a line, and a list that changes under the agent's eyes.
struct BrokenFileTests {
    private func runningAgent() throws -> RunningAgent {
        let guest = FakeGuest()
        guest.trace.refused = [:]
        guest.populate(0..<16)
        return try RunningAgent.ready(guest)
    }

    /// What is ready for ever and gives nothing does not keep the processor busy.
    @Test(arguments: FakeGuest.BreakableFile.allCases) func theLoopDoesNotSpin(file: FakeGuest.BreakableFile) throws {
        let running = try runningAgent()
        running.guest.brokenFiles = [file]
        let start = running.guest.clock
        for _ in 0..<50 { #expect(running.agent.step()) }
        #expect(running.guest.clock - start >= 48 * 100_000)
    }

    /// Nor while the agent waits for its marker. The channel is answered on all the same.
    @Test(
        arguments: [(.log, "/dev/kmsg-does-not-answer"), (.trace, "trace_pipe-does-not-answer")]
            as [(FakeGuest.BreakableFile, String)])
    func aSourceThatHasFailed(file: FakeGuest.BreakableFile, reason: String) throws {
        let running = try runningAgent()
        running.guest.brokenFiles = [file]
        let answer = try running.ask("sync")
        #expect(answer.text("reason").map { String(decoding: $0, as: UTF8.self) } == reason)
        #expect(try running.ask("hello").has(verb: "ok"))
    }

    /// Sources that are well are read as soon as they have something.
    @Test func nobodyWaitsForNothing() throws {
        let running = try runningAgent()
        let start = running.guest.clock
        for window in 16..<36 {
            running.guest.populate(UInt64(window)..<UInt64(window) + 1)
            #expect(running.agent.step())
        }
        #expect(running.guest.clock - start < 100_000)
    }

    /// Wherever a line is cut off, it is no line, and the next one is whole.
    @Test func aLineThatIsCutOff() throws {
        let running = try runningAgent()
        let whole = try running.ask("drain").encoded.count
        for room in 0..<whole {
            running.guest.channelRoom = room
            running.guest.input += Array("77 drain\n".utf8)
            #expect(running.agent.step())
            running.guest.input += Array("78 hello\n".utf8)
            #expect(running.agent.step())
            let lines = running.guest.takeLines()
            #expect(lines.count == 2)
            #expect(lines[0] == nil)
            #expect(lines[1]?.identifier == 78)
            #expect(lines[1]?.number("page") == 65536)
        }
        #expect(running.guest.consoleText.contains("the control channel takes no answer"))
        // Then there is nothing to end.
        #expect(try running.ask("drain").has(verb: "ok"))
    }

    /// An older node is freed while the list is walked: the head stands still, and the list does not.
    @Test func aListThatChangesBehindItsHead() throws {
        let guest = FakeGuest()
        guest.populate(0..<16)
        // Opened by then: VMCOREINFO, and the list once.
        guest.beforeKcore[3] = { $0.free(virtAddr: FakeKernelMemory.vmemmapBase, told: false) }
        let running = try RunningAgent.ready(guest)
        #expect(guest.entries.count == 15)
        #expect(try running.mirrorsTheKernel())
    }

    /// No mirror is made of a list that never stands still.
    @Test func aListThatNeverStandsStill() throws {
        let running = try runningAgent()
        let guest = running.guest
        for opening in 1..<100 {
            guest.beforeKcore[opening] = { guest in
                guest.populate(UInt64(opening) + 100..<UInt64(opening) + 101, told: false)
            }
        }
        guest.loseRecords(1)
        guest.log("x")
        #expect(try running.ask("sync").text("reason").map { $0.equals("unreadable-list") } == true)
        guest.beforeKcore = [:]
        try running.sync()
        #expect(try running.mirrorsTheKernel())
    }
}

struct WalkDigestTests {
    /// Whatever differs in a walk, its digest does.
    @Test func lists() {
        let nodes = (0..<4).map { index in
            ListEntry(
                node: UInt64(index) * 24, list: UInt64(index), phys: UInt64(index) << 16,
                virtAddr: UInt64(index) << 20)
        }
        let walk = ListWalk(head: 7, entries: nodes, end: .terminated, endLink: 0)
        var others = [
            ListWalk(head: 8, entries: nodes, end: .terminated, endLink: 0),
            ListWalk(head: 7, entries: [], end: .terminated, endLink: 0),
            ListWalk(head: 7, entries: nodes.dropLast(), end: .terminated, endLink: 0),
            ListWalk(head: 7, entries: nodes.reversed(), end: .terminated, endLink: 0),
        ]
        for bit in 0..<64 {
            let flipped: UInt64 = 1 << bit
            for word in 0..<4 {
                var changed = nodes
                let node = nodes[2]
                changed[2] = ListEntry(
                    node: node.node ^ (word == 0 ? flipped : 0),
                    list: node.list ^ (word == 1 ? flipped : 0),
                    phys: node.phys ^ (word == 2 ? flipped : 0),
                    virtAddr: node.virtAddr ^ (word == 3 ? flipped : 0))
                others.append(ListWalk(head: 7, entries: changed, end: .terminated, endLink: 0))
            }
        }
        #expect(walk.digest == ListWalk(head: 7, entries: nodes, end: .terminated, endLink: 0).digest)
        for other in others { #expect(other.digest != walk.digest) }
    }
}
