// SPDX-License-Identifier: Apache-2.0

import AgentProtocol
import Testing
import Verification

@testable import Guests

@Suite struct FaultLedgerTests {
    private func told(_ fault: KernelFault, _ lines: String...) -> [AgentEvent] {
        [.kernelFault(fault, count: 1)] + lines.flatMap { AgentEvent.texts(of: Array($0.utf8)) }
    }

    private func console(_ text: String) -> [[UInt8]] {
        text.split(separator: "\n").map { Array($0.utf8) }
    }

    private func findings(_ ledger: inout FaultLedger) -> [String] {
        ledger.take().findings.map { "\($0.name): \($0.message)" }
    }

    @Test func areFindingsOnce() {
        var ledger = FaultLedger()
        for event in told(.oops, "BUG: a", "Oops: b, sig: 11 [#1]") + told(.warning, "WARNING: c") {
            ledger.note(event)
        }
        #expect(findings(&ledger) == ["guest-oops: BUG: a; Oops: b, sig: 11 [#1]", "guest-warning: WARNING: c"])
        #expect(findings(&ledger) == [])
    }

    @Test(
        arguments: [
            (.warning, "guest-warning"), (.bug, "guest-bug"), (.oops, "guest-oops"), (.kasan, "guest-kasan"),
            (.ubsan, "guest-ubsan"), (.lockup, "guest-lockup"), (.rcuStall, "guest-rcu-stall"),
            (.hungTask, "guest-hung-task"), (.panic, "guest-panic"),
        ] as [(KernelFault, String)])
    func haveNamesThatAPlanMayExpect(fault: KernelFault, name: String) {
        var ledger = FaultLedger()
        for event in told(fault, "x") { ledger.note(event) }
        #expect(findings(&ledger) == ["\(name): x"])
        #expect(Finding.names.contains(name))
    }

    /// Those that begin alike are one; those of which only the number is known are told by it.
    @Test func areCounted() {
        var ledger = FaultLedger()
        for _ in 0..<3 {
            for event in told(.warning, "WARNING: a") { ledger.note(event) }
        }
        for event in told(.bug, "BUG: b") { ledger.note(event) }
        ledger.note(.kernelFault(.warning, count: 60))
        ledger.note(.kernelFault(.warning, count: 8))
        #expect(
            findings(&ledger) == [
                "guest-warning: WARNING: a (3 times)", "guest-bug: BUG: b",
                "guest-warning: the kernel has reported it 68 more times; the texts were not kept",
            ])
    }

    /// A guest may publish anything: what is kept is bounded, and nothing of it ends the program.
    @Test func aHostileGuest() {
        var ledger = FaultLedger()
        ledger.note(.faultText(.max, 0, .max, 0x0a0a_0a0a_0a0a_0a0a))
        for index in 0..<2000 {
            for event in told(.bug, "BUG: \(index)\u{1b}[2J") { ledger.note(event) }
            for _ in 0..<20 { ledger.note(.faultText(.max, .max, .max, .max)) }
        }
        for _ in 0..<3 { ledger.note(.kernelFault(.oops, count: .max)) }
        for _ in 0..<50 { ledger.note(.faultText(0x0a0a_0a0a_0a0a_0a0a, 0x0a0a_0a0a_0a0a_0a0a, 0, 0)) }
        let findings = ledger.take().findings
        #expect(findings.count <= 64 + KernelFault.allCases.count)
        #expect(findings.first?.message == "BUG: 0?[2J")
        #expect(findings.allSatisfy { $0.message.utf8.count < 4096 })
        #expect(findings.contains { $0.message.contains("1936 more times") })
    }

    @Test func aLogWithoutABeginningIsSaid() {
        var ledger = FaultLedger()
        ledger.note(.logBeginningLost(recordCount: 7))
        #expect(
            ledger.take().note
                == "the first 7 records of the kernel's log were overwritten before the agent could read them")
        #expect(ledger.take().note == nil)
    }

    @Test func theConsoleTellsWhatTheAgentCouldNot() {
        var ledger = FaultLedger()
        for event in told(.oops, "BUG: Unable to handle kernel data access on read at 0x10") { ledger.note(event) }
        _ = ledger.take()
        ledger.note(
            console: console(
                """
                BUG: Unable to handle kernel data access on read at 0x10
                Oops: Kernel access of bad area, sig: 11 [#1]
                ---[ end trace 0000000000000000 ]---
                Kernel panic - not syncing: Fatal exception
                """))
        #expect(findings(&ledger) == ["guest-panic: Kernel panic - not syncing: Fatal exception"])
    }

    /// PID 1 is the agent: that it ends is its own fault, unless the kernel had an exception.
    @Test(
        arguments: [
            ("", []),
            ("WARNING: CPU: 0 PID: 1 at f\n", ["guest-warning"]),
            ("BUG: Kernel NULL pointer dereference at 0x0\n", ["guest-oops", "guest-panic"]),
            ("kernel BUG at mm/sparse.c:1!\n", ["guest-bug", "guest-panic"]),
        ] as [(String, [String])])
    func theEndOfTheAgent(before: String, expected: [String]) {
        var ledger = FaultLedger()
        ledger.note(
            console: console(before + "Kernel panic - not syncing: Attempted to kill init! exitcode=0x0000000b\n"))
        #expect(ledger.take().findings.map(\.name) == expected)
    }

    @Test func anExceptionThatTheAgentToldOf() {
        var ledger = FaultLedger()
        for event in told(.oops, "BUG: x") { ledger.note(event) }
        _ = ledger.take()
        ledger.note(console: console("Kernel panic - not syncing: Attempted to kill init! exitcode=0x0000000b"))
        #expect(ledger.take().findings.map(\.name) == ["guest-panic"])
    }
}
