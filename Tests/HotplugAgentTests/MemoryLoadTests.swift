// SPDX-License-Identifier: Apache-2.0

import AgentProtocol
import TestGuests
import Testing

@testable import HotplugAgent

/// Memory pressure on request: the agent's side, and the process that makes it.
@Suite struct MemoryLoadTests {
    private let guest = FakeGuest()
    private let agent: RunningAgent
    private static let mebibyte: UInt64 = 1 << 20

    init() throws {
        agent = try RunningAgent.ready(guest)
        setFree(kibibytes: 500_000)
    }

    private func setFree(kibibytes: UInt64) {
        guest.files["/proc/meminfo"] = Array("MemFree:  \(kibibytes) kB\n".utf8)
    }

    /// A byte that the process has said is a MiB that it has filled.
    @Test(arguments: [1, 5, 5000]) func fillsUntilItIsEnded(pieceCount: Int) throws {
        let openCount = guest.openCount
        guest.load.output = [UInt8](repeating: 0x2e, count: pieceCount)
        #expect(try agent.ask("load bytes=0x10000000").has(verb: "ok"))
        #expect(guest.programs == [["/proc/self/exe", "load", "268435456"]])
        #expect(guest.running.count == 1)
        // The agent does its work meanwhile.
        guest.populate(0..<3)
        try agent.sync()
        #expect(try agent.ask("end-load").number("filled") == UInt64(pieceCount) * Self.mebibyte)
        #expect(guest.running.isEmpty && guest.openCount == openCount)
        // Another one counts from the beginning.
        guest.load.output = [0x2e]
        #expect(try agent.ask("load bytes=0x100000").has(verb: "ok"))
        #expect(try agent.ask("end-load").number("filled") == Self.mebibyte)
    }

    @Test func isBoundedByWhatIsFree() throws {
        let limit = 500_000 * 1024 - 128 * Self.mebibyte
        let refusal = try agent.ask("load bytes=\(limit + 1)")
        #expect(refusal.text("reason")?.elementsEqual("refused".utf8) == true)
        #expect(refusal.number("errno") == 12 && refusal.number("number") == limit)
        setFree(kibibytes: 1000)
        #expect(try agent.ask("load bytes=0x100000").number("number") == 0)
        guest.files["/proc/meminfo"] = nil
        #expect(try agent.ask("load bytes=0x100000").number("number") == 0)
        #expect(guest.programs.isEmpty)
        setFree(kibibytes: 500_000)
        #expect(try agent.ask("load bytes=\(limit)").has(verb: "ok"))
    }

    @Test func thereIsOneAtATime() throws {
        #expect(try agent.ask("end-load").number("errno") == 2)
        #expect(try agent.ask("load bytes=0x100000").has(verb: "ok"))
        #expect(try agent.ask("load bytes=0x100000").number("errno") == 16)
        #expect(guest.programs.count == 1)
        #expect(try agent.ask("end-load").has(verb: "ok"))
        #expect(try agent.ask("end-load").number("errno") == 2)
    }

    @Test(arguments: ["load", "load bytes=x", "load bytes=0", "load bytes=0xfffff"])
    func refusesARequestThatIsNotOfItsForm(request: String) throws {
        #expect(try agent.ask(request).number("errno") == 22)
        #expect(guest.programs.isEmpty)
    }

    /// A load that has filled nothing is none: one that ends at once, one that hangs, one that is not to be had.
    @Test func whatFillsNothingIsRefused() throws {
        let openCount = guest.openCount
        for end in [ProgramEnd.killed(signal: 9), .exited(127)] {
            guest.load = .init(end: end)
            #expect(try agent.ask("load bytes=0x100000").number("errno") == 3)
        }
        guest.load = .init(end: nil)
        #expect(try agent.ask("load bytes=0x100000").number("errno") == 110)
        #expect(guest.running.isEmpty && guest.openCount == openCount)
        guest.program = nil
        #expect(try agent.ask("load bytes=0x100000").number("errno") == 12)
        #expect(try agent.ask("end-load").number("errno") == 2)
    }

    /// The kernel has killed it: what it had filled is told all the same.
    @Test func anEndOfItsOwnIsTold() throws {
        guest.load = .init(output: [0x2e, 0x2e, 0x2e], end: .killed(signal: 9))
        #expect(try agent.ask("load bytes=0x1000000").has(verb: "ok"))
        let answer = try agent.ask("end-load")
        #expect(answer.number("errno") == 3 && answer.number("number") == 3 * Self.mebibyte)
        #expect(guest.running.isEmpty)
    }

    /// What a load has freed for now is not held.
    @Test func memoryIsHeldBesideIt() throws {
        #expect(try agent.ask("load bytes=0x10000000").has(verb: "ok"))
        setFree(kibibytes: 380_000)
        guest.bufferFrames = [0x4000]
        #expect(try agent.ask("hold start=0x40000000 end=0x80000000").number("errno") == 12)
        guest.kernelPageCount = 6000
        #expect(try agent.ask("leave free=\(20 << 20)").number("errno") == 12)
        #expect(guest.bufferFrames == [0x4000])
        #expect(try agent.ask("end-load").has(verb: "ok"))
        #expect(try agent.ask("hold start=0x40000000 end=0x80000000").number("pages") == 64)
    }

    /// Whole pieces, one after another, all of them freed at once, and again; until nobody hears of it any more.
    @Test func theProcessFillsAndFrees() {
        let guest = FakeGuest()
        guest.pieceLimit = 4
        guest.written["/proc/self/oom_score_adj"] = []
        LoadProgram.run(byteCount: 3 * Self.mebibyte + 5, system: guest)
        func filled(_ piece: UInt64) -> FakeGuest.MemoryUse { .filled(at: piece * Self.mebibyte, Self.mebibyte) }
        #expect(
            guest.memoryUses == [
                .lowered, .mapped(3 * Self.mebibyte), filled(0), filled(1), filled(2),
                .discarded(at: 0, 3 * Self.mebibyte), filled(0), filled(1),
            ])
        #expect(guest.written["/proc/self/oom_score_adj"] == Array("1000".utf8))
    }

    @Test(arguments: [0, 1000, 1 << 20] as [UInt64]) func theProcessEndsWhereItCanFillNothing(byteCount: UInt64) {
        let guest = FakeGuest()
        LoadProgram.run(byteCount: byteCount, system: guest)
        #expect(guest.memoryUses == [.lowered] + (byteCount < 1 << 20 ? [] : [.mapped(byteCount)]))
    }
}
