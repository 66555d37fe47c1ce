// SPDX-License-Identifier: Apache-2.0

import AgentProtocol
import GuestMemory
import RunRecord
import Testing
import Verification

@testable import qemu_harness

@Suite struct HelloTests {
    @Test func readsWhatTheAgentSays() throws {
        let hello = try Hello(.hello)
        #expect(hello.pageByteCount == 65536)
        #expect(hello.mmu == .hash)
        #expect(hello.vmemmapBase == 0xc00c_0000_0000_0000)
        #expect(hello.vmemmapPageShift == 16)
        #expect(hello.vmcoreinfoAddress == 0x0345_0000)
        #expect(hello.eventSource == .dynamicDebug)
        #expect(
            hello.sourceTrials.map(\.recorded) == [
                .init(source: "kprobe events", refusals: ["vmemmap_populate: Invalid argument", "x: not there"]),
                .init(source: "dynamic debug on /dev/kmsg", refusals: []),
            ])
        #expect(hello.regionByteCount == 4 << 20)
    }

    @Test(arguments: ["protocol", "page", "mmu", "vmemmap-base", "vmemmap-shift", "vmcoreinfo", "source", "region"])
    func namesTheFieldThatIsMissing(key: String) throws {
        let missing = HarnessError.infrastructure("the agent's hello has no number '\(key)'")
        #expect(throws: missing) { try Hello(ControlLine.hello.without(key)) }
        for text in ["", "0x", "-1", "1x", "0x10000000000000000", "none"] {
            let line = try ControlLine.hello.without(key).with(field: key, text)
            #expect(throws: missing, "\(text)") { try Hello(line) }
        }
    }

    @Test(
        arguments: [
            (.hash, 12, 4096), (.hash, 16, 65536), (.hash, 24, 16 << 20), (.radix, 21, 2 << 20), (.radix, 16, 65536),
            // What a radix kernel without a list leaves there, and what is no size.
            (.radix, 12, nil), (.hash, 11, nil), (.hash, 35, nil), (.hash, .max, nil), (.radix, .max, nil),
        ] as [(MemoryManagementUnit, UInt64, UInt64?)])
    func saysTheVmemmapPagesThatAreUsed(mmu: MemoryManagementUnit, shift: UInt64, byteCount: UInt64?) throws {
        let line = ControlLine.hello.without("mmu").without("vmemmap-shift").with("mmu", mmu.rawValue)
            .with("vmemmap-shift", shift)
        #expect(try Hello(line).vmemmapPageByteCount == byteCount)
    }

    @Test func refusesAnotherProtocol() {
        let other = ControlLine.hello.without("protocol").with("protocol", 2)
        #expect(
            throws: HarnessError.infrastructure("the agent speaks protocol 2, this program 1: run scripts/build-agent")
        ) { try Hello(other) }
    }

    @Test(arguments: [4, .max] as [UInt64]) func refusesWhatItDoesNotKnow(value: UInt64) {
        #expect(throws: HarnessError.infrastructure("the agent's hello names no known MMU")) {
            try Hello(ControlLine.hello.without("mmu").with("mmu", value))
        }
        #expect(throws: HarnessError.infrastructure("the agent's hello names no known event source")) {
            try Hello(ControlLine.hello.without("source").with("source", value))
        }
    }

    @Test(arguments: ["", "kprobe-events", "dynamic-debug:x", "dynamic-debug,snapshots", "nonsense"])
    func theTrialsHaveToLeadToTheSource(tried: String) throws {
        let line = try ControlLine.hello.without("tried").with(field: "tried", tried)
        #expect(
            throws: HarnessError.infrastructure("the agent's hello does not say how it came to its event source")
        ) { try Hello(line) }
    }

    @Test(arguments: [0, 4096, .max] as [UInt64]) func anErrorThatIsNone(errno: UInt64) {
        let trial = SourceTrial(.kprobes, refusals: [.init(Array("x".utf8), errno: errno)])
        #expect(trial.recorded.refusals == ["x: error \(errno)"])
    }

    @Test(arguments: [(.unknown, .unknown), (.hash, .hash), (.radix, .radix)] as [(MemoryManagementUnit, MMU)])
    func saysTheMMUInTheVerdictsTerms(unit: MemoryManagementUnit, mmu: MMU) throws {
        #expect(try Hello(ControlLine.hello.without("mmu").with("mmu", unit.rawValue)).verdictMMU == mmu)
    }
}

@Suite struct MMUProbeTests {
    @Test(
        arguments: [
            ("gpa: 0x20000000\r\n", .physical(0x2000_0000)), ("gpa: 0x0", .physical(0)),
            ("gpa: 0xffffffffffffffff\n", .physical(.max)), ("Unmapped\r\n", .unmapped), ("Unmapped", .unmapped),
            ("", .cannotSay("qemu answered ''")), ("No cpu\n", .cannotSay("qemu answered 'No cpu'")),
            ("gpa: 20000000", .cannotSay("qemu answered 'gpa: 20000000'")),
            ("gpa: 0x", .cannotSay("qemu answered 'gpa: 0x'")), ("gpa: 0x+5", .cannotSay("qemu answered 'gpa: 0x+5'")),
            ("gpa: 0x10000000000000000", .cannotSay("qemu answered 'gpa: 0x10000000000000000'")),
            ("gpa: 0x10 (ram)", .cannotSay("qemu answered 'gpa: 0x10 (ram)'")),
            ("Unmapped memory\n", .cannotSay("qemu answered 'Unmapped memory'")),
            (String(repeating: "x", count: 200), .cannotSay("qemu answered '\(String(repeating: "x", count: 80))'")),
        ] as [(String, Translation.Answer)])
    func readsQemusAnswer(text: String, answer: Translation.Answer) {
        #expect(MMUProbe.parse(text) == answer)
    }
}
