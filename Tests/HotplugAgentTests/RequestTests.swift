// SPDX-License-Identifier: Apache-2.0

import AgentProtocol
import GuestMemory
import TestGuests
import TestSupport
import Testing
import VmemmapPopulate

@testable import HotplugAgent

private func runningAgent(entries: UInt64 = 3) throws -> RunningAgent {
    let guest = FakeGuest()
    guest.populate(0..<entries)
    return try RunningAgent.ready(guest)
}

struct ReportTests {
    private func report(_ running: RunningAgent) throws -> (answer: ControlLine, report: GuestReport) {
        let answer = try running.ask("report")
        try #require(answer.has(verb: "ok"))
        return (answer, try running.guest.withRegion { try GuestReport(from: $0) })
    }

    @Test func content() throws {
        let running = try runningAgent()
        let guest = running.guest
        guest.setBlock(4, "offline")
        guest.setBlock(5, "going-offline")
        guest.setBlock(6, "something else")
        let (answer, report) = try report(running)
        #expect(answer.number("entries") == 3)
        #expect(answer.number("blocks") == 7)
        #expect(answer.number("generation") == (try running.header(.generation)))
        #expect(report.list.head == guest.entries[0].node)
        #expect(report.list.end == .terminated)
        #expect(report.list.endLink == 0)
        #expect(report.blockByteCount == 256 << 20)
        #expect(report.list.entries.map(\.node) == guest.entries.map(\.node))
        #expect(report.list.entries.map(\.virtAddr) == guest.entries.map(\.virtAddr))
        #expect(report.list.entries.map(\.phys) == guest.entries.map(\.phys))
        #expect(report.list.entries.map(\.list) == guest.entries.dropFirst().map(\.node) + [0])
        #expect(
            report.blocks.sorted { $0.index < $1.index } == [
                MemoryBlock(index: 0, state: .online), MemoryBlock(index: 1, state: .online),
                MemoryBlock(index: 2, state: .online), MemoryBlock(index: 3, state: .online),
                MemoryBlock(index: 4, state: .offline), MemoryBlock(index: 5, state: .goingOffline),
                MemoryBlock(index: 6, state: .unknown),
            ])
    }

    /// The report is the kernel's list, read afresh: not the mirror.
    @Test func readAfresh() throws {
        let running = try runningAgent()
        running.guest.populate(3..<4, told: false)
        #expect(try report(running).report.list.entries.count == 4)
        #expect(try running.mirror().count == 3)
    }

    @Test(
        arguments: [
            (0xc000_0000_0040_0030, .cycle, 0xc000_0000_0040_0030),
            (0xc000_0000_0040_0008, .misplaced, 0xc000_0000_0040_0008),
            (0xc000_0000_4000_0000, .unreadable, 0xc000_0000_4000_0000),
            (0xffff_ffff_ffff_fff0, .misplaced, 0xffff_ffff_ffff_fff0),
        ] as [(UInt64, ListWalk.End, UInt64)])
    func damagedList(link: UInt64, end: ListWalk.End, endAddress: UInt64) throws {
        let running = try runningAgent()
        running.guest.memory.store(link, at: FakeKernelMemory.firstNodePage)
        let report = try report(running).report
        #expect(report.list.end == end)
        #expect(report.list.endLink == endAddress)
        #expect(report.list.entries.count == 3)
    }

    @Test func withoutKcore() throws {
        let running = try runningAgent()
        running.guest.hasKcore = false
        let answer = try running.ask("report")
        #expect(answer.has(verb: "error"))
        #expect(answer.text("reason").map { $0.equals("kcore") } == true)
    }

    @Test func withoutMemoryBlocks() throws {
        let running = try runningAgent()
        running.guest.folders["/sys/devices/system/memory"] = []
        running.guest.files["/sys/devices/system/memory/block_size_bytes"] = nil
        let report = try report(running).report
        #expect(report.blocks.isEmpty)
        #expect(report.blockByteCount == 0)
    }

    /// A list that never stands still is reported, and that it may be torn is said.
    @Test func aListThatNeverStandsStill() throws {
        let running = try runningAgent()
        for opening in 4..<40 {
            running.guest.beforeKcore[opening] = { guest in
                let next = UInt64(guest.entries.count)
                guest.populate(next..<next + 1, told: false)
            }
        }
        #expect(try running.ask("report").number("steady") == 0)
        running.guest.beforeKcore = [:]
        #expect(try running.ask("report").number("steady") == 1)
    }
}

struct RequestTests {
    @Test func unknownVerb() throws {
        let running = try runningAgent()
        let answer = try running.ask("dance a=1")
        #expect(answer.has(verb: "error"))
        #expect(answer.text("reason").map { $0.equals("unknown-verb") } == true)
        try running.sync()
    }

    @Test func helloAgain() throws {
        let running = try runningAgent()
        let answer = try running.ask("hello")
        #expect(answer.has(verb: "ok"))
        #expect(answer.number("page") == 65536)
    }

    @Test(arguments: ["sync", "x", "1", "99999999999999999999999 sync", "1 sync key", "\u{1}\u{2}", "1 hell\u{f6}"])
    func unreadableLines(line: String) throws {
        let running = try runningAgent()
        running.guest.input = Array((line + "\n1 hello\n").utf8)
        #expect(running.agent.step())
        let lines = running.guest.takeLines()
        try #require(lines.count == 2)
        #expect(lines[0]?.identifier == 0)
        #expect(lines[0]?.has(verb: "trouble") == true)
        #expect(lines[0]?.number("unreadable-line") == UInt64(line.utf8.count))
        #expect(lines[1]?.identifier == 1)
        #expect(lines[1]?.has(verb: "ok") == true)
    }

    /// A request that is too long is none, and is not passed over in silence.
    @Test func overlongLines() throws {
        let running = try runningAgent()
        running.guest.input = Array((String(repeating: "x", count: 5000) + "\n1 hello\n").utf8)
        while !running.guest.input.isEmpty { #expect(running.agent.step()) }
        let lines = running.guest.takeLines()
        #expect(lines.count == 2)
        #expect(lines.first??.has(verb: "trouble") == true)
        #expect(lines.first??.number("overlong-lines") == 1)
        #expect(lines.last??.has(verb: "ok") == true)
    }

    @Test func emptyLinesAreNothing() throws {
        let running = try runningAgent()
        running.guest.input = bytes("\n\r\n\n")
        #expect(running.agent.step())
        #expect(running.guest.takeLines().isEmpty)
    }

    @Test func aRequestInPieces() throws {
        let running = try runningAgent()
        for byte in bytes("1 hello") {
            running.guest.input = [byte]
            #expect(running.agent.step())
        }
        #expect(running.guest.takeLines().isEmpty)
        running.guest.input = [0x0a]
        #expect(running.agent.step())
        #expect(running.guest.takeLines().count == 1)
    }

    @Test func severalRequestsAtOnce() throws {
        let running = try runningAgent()
        running.guest.input = bytes("1 hello\n2 sync\n3 report\n")
        #expect(running.agent.step())
        #expect(running.guest.takeLines().map { $0?.identifier } == [1, 2, 3])
    }

    @Test func nothingToDo() throws {
        let running = try runningAgent()
        #expect(running.agent.step())
        #expect(running.guest.takeLines().isEmpty)
    }

    @Test func powerOff() throws {
        let running = try runningAgent()
        running.guest.input = bytes("5 poweroff\n6 hello\n")
        #expect(!running.guest.isPoweredOff)
        running.agent.serve()
        let lines = running.guest.takeLines()
        #expect(lines.map { $0?.identifier } == [5])
        #expect(lines[0]?.has(verb: "ok") == true)
        #expect(running.guest.isPoweredOff)
    }
}
