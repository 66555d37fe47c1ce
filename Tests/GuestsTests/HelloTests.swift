// SPDX-License-Identifier: Apache-2.0

import AgentProtocol
import GuestMemory
import HarnessBasics
import KernelState
import MemoryBackends
import RunRecord
import SystemPackage
import TestSupport
import Testing
import Verification

@testable import Guests

@Suite struct HelloTests {
    private let folder: TemporaryFolder

    init() throws { folder = try TemporaryFolder() }

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
        ] as [(MMU, UInt64, UInt64?)])
    func saysTheVmemmapPagesThatAreUsed(mmu: MMU, shift: UInt64, byteCount: UInt64?) throws {
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

    /// A kernel in 4 MiB of memory, whose note says this of its MMU; nil: nothing.
    private func kernel(radix: String?) throws -> (Kernel, MemoryMap) {
        var vmcoreinfo = SampleVmcoreinfo()
        if let radix { vmcoreinfo = vmcoreinfo.adding("NUMBER(RADIX_MMU)", radix) }
        var content = [UInt8](repeating: 0, count: 4 << 20)
        func store(_ value: UInt64, at offset: Int, byteCount: Int = 8) {
            for index in 0..<byteCount { content[offset + index] = UInt8(truncatingIfNeeded: value >> (8 * index)) }
        }
        let note = vmcoreinfo.note(order: .little)
        content.replaceSubrange(0x10_0000..<0x10_0000 + note.count, with: note)
        store(2, at: 0x20_000c, byteCount: 4)
        store(16, at: 0x20_1000 + 2 * 96, byteCount: 4)
        store(0xc000_0000_0031_0000, at: 0x30_0000)
        store(0xc00c_0000_0000_0000 | 7, at: 0x31_0000)
        let file = try MappedFile(FilePath(try folder.write(content, to: "boot")), byteCount: UInt64(content.count))
        let memory = GuestRAM([GuestRAM.Region(name: "boot", base: PhysicalAddress(0), file: file)])
        let kernel = try Kernel(note: KernelNote(foundIn: memory), image: "/nonexistent/vmlinux")
        return (kernel, try kernel.memoryMap(in: KernelMemory(memory, order: kernel.order)))
    }

    private func hello(_ key: StaticString, _ value: UInt64) throws -> Hello {
        let line = ControlLine.hello.without("vmcoreinfo").with("vmcoreinfo", 0x10_0000)
        return try Hello(line.without("\(key)").with(key, value))
    }

    /// What the guest says of its memory map is held against what the host reads of it.
    @Test(
        arguments: [
            (nil, "mmu", 1, nil), (nil, "mmu", 2, nil), ("0", "mmu", 1, nil), ("1", "mmu", 2, nil),
            ("0", "mmu", 2, 1), ("0", "mmu", 0, 1), ("1", "mmu", 1, 2), ("1", "mmu", 0, 2),
            (nil, "vmemmap-base", 0xc00c_0000_0000_0000, nil), (nil, "vmemmap-base", 0, 0xc00c_0000_0000_0000),
            (nil, "vmemmap-base", 0xf000_0000_0000_0000, 0xc00c_0000_0000_0000),
            (nil, "vmemmap-shift", 16, nil), (nil, "vmemmap-shift", 24, 16), (nil, "vmemmap-shift", .max, 16),
            (nil, "page", 4096, 65536), (nil, "region", 8 << 20, 4 << 20), (nil, "vmcoreinfo", 0, 0x10_0000),
        ] as [(String?, StaticString, UInt64, UInt64?)])
    func isHeldAgainstTheHostsReading(radix: String?, key: StaticString, value: UInt64, expected: UInt64?) throws {
        let (kernel, memoryMap) = try kernel(radix: radix)
        let hello = try hello(key, value)
        guard let expected else {
            return try hello.check(against: kernel, memoryMap, regionByteCount: 4 << 20)
        }
        let error = HarnessError.infrastructure(
            "the agent's hello says \(key)=\(value.hexadecimal); it is \(expected.hexadecimal)")
        #expect(throws: error) { try hello.check(against: kernel, memoryMap, regionByteCount: 4 << 20) }
    }

    /// A verdict rests on the host's reading, and on the guest's word only where there is none.
    @Test(
        arguments: [
            (nil, 2, .radix, "/proc/cpuinfo"), (nil, 0, .unknown, "/proc/cpuinfo"), ("0", 2, .hash, "VMCOREINFO"),
            ("1", 1, .radix, "VMCOREINFO"),
        ] as [(String?, UInt64, MMU, String)])
    func theMMUIsTheHostsReading(radix: String?, said: UInt64, mmu: MMU, source: String) throws {
        var (kernel, _) = try kernel(radix: radix)
        kernel.learn(mmu: try hello("mmu", said).mmu, from: .cpuinfo)
        #expect(kernel.mmu == mmu)
        #expect("\(kernel.mmuSource)" == source)
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
