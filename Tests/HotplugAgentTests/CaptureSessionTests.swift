// SPDX-License-Identifier: Apache-2.0

import AgentProtocol
import GuestMemory
import TestGuests
import TestSupport
import Testing
import VmemmapPopulate

@testable import HotplugAgent

/// The agent in a dump-capture kernel, with the memory and the region of a kernel that was mirrored and has died.
@Suite struct CaptureSessionTests {
    private let guest = FakeGuest()

    init() throws {
        guest.populate(0..<8)
        let agent = try RunningAgent.ready(guest)
        guest.populate(8..<16)
        try agent.sync()
        _ = try agent.ask("report")
        // A processor's note comes first, with a name that has to be padded.
        let processor = Array("\u{5}\0\0\0\u{8}\0\0\0\u{1}\0\0\0CORE\0\0\0\012345678".utf8)
        guest.dump = FakeDump(
            notes: (ByteOrder.native == .little ? processor : []) + SampleVmcoreinfo().note(order: .native),
            loads: [0..<0x10000, 0x10000..<512 << 20, 512 << 20..<1 << 30])
        // The running kernel's own files are another kernel's.
        guest.hasKcore = false
        guest.written[FakeGuest.device + "/enable"] = []
        guest.files["/sys/kernel/vmcoreinfo"] = nil
        guest.files["/proc/cpuinfo"] = nil
        guest.files["/proc/sys/kernel/osrelease"] = Array("6.1.0-capture\n".utf8)
    }

    private func words(_ offsets: StrideTo<UInt64>) throws -> [UInt64] {
        try guest.withRegion { region in try offsets.map { try region.words.load(at: $0) } }
    }

    @Test func itReadsTheDeadKernel() throws {
        let agent = RunningAgent(guest)
        let hello = try #require(guest.takeLines().first ?? nil)
        #expect(hello.has(verb: "hello"))
        #expect(hello.text("role").map(Array.init) == Array("capture".utf8))
        #expect(hello.number("loads") == 3)
        #expect(hello.number("dump-bytes") == 1 << 30)
        #expect(hello.number("page") == 65536)
        #expect(hello.number("mmu") == MMU.hash.rawValue)
        #expect(hello.number("vmemmap-base") == FakeKernelMemory.vmemmapBase)
        let answer = try agent.ask("report")
        #expect(answer.has(verb: "ok"))
        #expect(answer.number("entries") == 16)
        #expect(answer.number("blocks") == 64)
        #expect(answer.number("unreachable") == 0)
        let report = try guest.withRegion { try GuestReport(from: $0, area: .capture) }
        #expect(report.list.end == .terminated)
        #expect(report.list.entries.map(\.node) == guest.entries.map(\.node))
        #expect(report.list.entries.map(\.phys) == guest.entries.map(\.phys))
        #expect(report.blocks == (0..<64).map { MemoryBlock(index: $0, state: .online) })
        for request in ["sync", "crash", "load-crash-kernel append=x", "read path=/proc/cpuinfo offset=0", "release"] {
            #expect(try agent.ask(request).text("reason").map(Array.init) == Array("unknown-verb".utf8))
        }
        #expect(guest.programs.isEmpty)
    }

    private func dumpArea(byteCount: Int) throws -> MappedWords {
        let words = HeapWords(byteCount: byteCount).words
        try words.store(ByteOrder.little.value(ofStored: DumpArea.magic), at: 0)
        return words
    }

    private func bytes(_ words: MappedWords, _ range: Range<UInt64>) throws -> [UInt8] {
        try stride(from: range.lowerBound, to: range.upperBound, by: 8).flatMap { offset in
            let word = try words.load(at: offset)
            return withUnsafeBytes(of: word) { Array($0) }
        }
    }

    /// What makedumpfile writes goes into the second device's memory, byte for byte.
    @Test func aDumpGoesIntoItsArea() throws {
        let area = try dumpArea(byteCount: 128 << 10)
        guest.dumpArea = area
        guest.files["/tools/makedumpfile/ld64.so.2"] = []
        let output = (0..<4003).map { UInt8(truncatingIfNeeded: $0 &* 7) }
        guest.program = .init(output: output, errors: Array("Remaining pages  : 1\n".utf8))
        let agent = RunningAgent(guest)
        _ = guest.takeLines()
        let answer = try agent.ask("dump tool=makedumpfile level=31 seconds=60")
        #expect(answer.has(verb: "ok"))
        #expect(answer.number("exit") == 0)
        #expect(answer.number("bytes") == 4003)
        #expect(answer.number("words") == 21)
        #expect(answer.number("cut") == 0)
        let folder = "/tools/makedumpfile"
        #expect(
            guest.programs == [
                [folder + "/ld64.so.2", "--library-path", folder, folder + "/makedumpfile", "-F", "-c", "-d", "31"]
                    + ["--message-level", "22", "/proc/vmcore"]
            ])
        #expect(try Array(bytes(area, DumpArea.dumpOffset..<DumpArea.dumpOffset + 4008).prefix(4003)) == output)
        let words = try bytes(area, DumpArea.wordsOffset..<DumpArea.wordsOffset + 24).prefix(21)
        #expect(Array(words) == Array("Remaining pages  : 1\n".utf8))
    }

    /// A dump ends where its area does, what a tool says at the end of its room; more of either harms nobody.
    @Test func aDumpIsCutOffAtTheAreasEnd() throws {
        let area = try dumpArea(byteCount: 128 << 10)
        guest.dumpArea = area
        guest.program = .init(
            output: Array(repeating: 1, count: 64 << 10) + [2], errors: Array(repeating: 3, count: 100_000),
            end: .exited(1))
        let agent = RunningAgent(guest)
        _ = guest.takeLines()
        let answer = try agent.ask("dump tool=makedumpfile level=0 seconds=1")
        #expect(answer.number("exit") == 1)
        #expect(answer.number("bytes") == 64 << 10)
        #expect(answer.number("cut") == 1)
        #expect(answer.number("words") == DumpArea.wordsByteCount)
        #expect(Set(try bytes(area, DumpArea.dumpOffset..<area.byteCount)) == [1])
        #expect(try area.load(at: 0) == ByteOrder.little.value(ofStored: DumpArea.magic))
    }

    @Test func aToolThatDoesNotEndIsKilled() throws {
        guest.dumpArea = try dumpArea(byteCount: 128 << 10)
        guest.program = .init(errors: Array("hm\n".utf8), end: nil)
        let agent = RunningAgent(guest)
        _ = guest.takeLines()
        let before = guest.clock
        let answer = try agent.ask("dump tool=makedumpfile level=31 seconds=2")
        #expect(ProgramEnd(answer) == .timedOut)
        #expect(answer.number("words") == 3)
        #expect(2_000_000..<3_100_000 ~= guest.clock - before)
        #expect(guest.running.isEmpty)
    }

    /// Of a tool that cannot be started nothing is told: its loader says so, or there is nothing to start.
    @Test(arguments: [FakeGuest.Program(errors: Array("no library\n".utf8), end: .exited(127)), nil])
    func aToolThatCannotBeStartedIsAnError(program: FakeGuest.Program?) throws {
        guest.dumpArea = try dumpArea(byteCount: 128 << 10)
        guest.program = program
        let agent = RunningAgent(guest)
        _ = guest.takeLines()
        let answer = try agent.ask("dump tool=makedumpfile level=31 seconds=2")
        #expect(answer.has(verb: "error"))
        #expect(answer.text("reason").map(Array.init) == Array("program".utf8))
    }

    @Test(arguments: [
        ("level=31 seconds=60", "dump"), ("tool=../sbin level=31 seconds=60", "dump"),
        ("tool= level=1 seconds=1", "dump"),
        ("tool=a%00 level=1 seconds=1", "dump"), ("tool=a level=32 seconds=1", "dump"),
        ("tool=a level=1 seconds=0", "dump"), ("tool=a level=1 seconds=3601", "dump"),
    ])
    func aDumpThatIsNotValidIsRefused(fields: String, reason: String) throws {
        guest.dumpArea = try dumpArea(byteCount: 128 << 10)
        let agent = RunningAgent(guest)
        _ = guest.takeLines()
        #expect(try agent.ask("dump " + fields).text("reason").map(Array.init) == Array(reason.utf8))
        #expect(guest.programs.isEmpty)
    }

    @Test func withoutAnAreaThereIsNoDump() throws {
        let agent = RunningAgent(guest)
        _ = guest.takeLines()
        let answer = try agent.ask("dump tool=makedumpfile level=31 seconds=60")
        #expect(answer.text("reason").map(Array.init) == Array("no-dump-area".utf8))
    }

    /// Of what the dead kernel's agent has written not a word changes.
    @Test func itWritesNothingButWhatIsItsOwn() throws {
        let layout = try SharedRegionLayout(regionByteCount: 4 << 20, pageByteCount: 65536)
        let (start, end) = (layout.reportOffset(.capture), layout.originsOffset)
        let capture = SharedRegionLayout.captureHeaderOffset
        let others = [
            stride(from: 0, to: capture, by: 8), stride(from: capture * 2, to: start, by: 8),
            stride(from: end, to: 4 << 20, by: 8),
        ]
        let before = try others.map { try words($0) }
        let agent = RunningAgent(guest)
        _ = guest.takeLines()
        #expect(try agent.ask("report").has(verb: "ok"))
        let after = try others.map { try words($0) }
        #expect(after == before)
        let header = try guest.withRegion { region in
            try SharedRegionLayout.CaptureField.allCases.map { try region.word(at: $0.offset) }
        }
        // Magic number, version, epoch, generation behind one report, state, report area.
        #expect(header == [SharedRegionLayout.captureMagic, 3, 2, 2, AgentState.ready.rawValue, start])
    }

    @Test func itSwitchesItsGuestOff() throws {
        let agent = RunningAgent(guest)
        _ = guest.takeLines()
        guest.input += Array("9 poweroff\n".utf8)
        #expect(!agent.agent.step())
        #expect(guest.takeLines().first??.has(verb: "ok") == true)
    }

    /// What lies behind the dump's memory is not in it, which is no damage.
    @Test func aNodeOutsideOfTheDumpEndsTheWalk() throws {
        let page = FakeKernelMemory.firstNodePage - LinearMap.base
        guest.dump?.loads = [0..<page, page + 65536..<1 << 30]
        let agent = RunningAgent(guest)
        _ = guest.takeLines()
        #expect(try agent.ask("report").number("entries") == 0)
        let report = try guest.withRegion { try GuestReport(from: $0, area: .capture) }
        #expect(report.list.end == .unreadable)
        #expect(report.list.head == guest.entries.first?.node)
    }

    @Test func blocksOutsideOfTheDumpAreCounted() throws {
        // The blocks of windows 3 and 4, one of them in a half.
        guest.dump?.loads = [0..<0x203_0000, 0x204_8000..<1 << 30]
        let agent = RunningAgent(guest)
        _ = guest.takeLines()
        let answer = try agent.ask("report")
        #expect(answer.number("entries") == 16)
        #expect(answer.number("unreachable") == 2)
        // The newest is met first.
        #expect(answer.number("first-unreachable") == FakeKernelMemory.vmemmapBase + 4 << 16)
    }

    @Test func sectionsOutsideOfTheDumpAreToldOf() throws {
        let table = FakeKernelMemory.sectionRoot - LinearMap.base
        guest.dump?.loads = [0..<table, table + 65536..<1 << 30]
        _ = RunningAgent(guest)
        let trouble = try #require(guest.takeLines().first ?? nil)
        #expect(trouble.text("missing").map(Array.init) == Array("sections-not-in-dump".utf8))
    }

    /// A capture kernel that makes no dump of what it was given is one all the same: the region stays as it is.
    @Test func aKernelWithoutItsDumpLeavesTheRegionAlone() throws {
        let before = try words(stride(from: 0, to: 4 << 20, by: 8))
        guest.dump = nil
        guest.files["/proc/cmdline"] = Array("console=hvc0 elfcorehdr=565952K panic=-1\n".utf8)
        _ = RunningAgent(guest)
        let trouble = try #require(guest.takeLines().first ?? nil)
        #expect(trouble.text("missing").map(Array.init) == Array("vmcore-elf".utf8))
        let after = try words(stride(from: 0, to: 4 << 20, by: 8))
        #expect(after == before)
    }

    /// Where nothing tells how large a block is, none was looked at, and nothing is said of them.
    @Test func blocksOfAnUnknownSizeAreNotCounted() throws {
        guest.memory.store(FakeKernelMemory.bytes(of: 99, count: 4), at: FakeKernelMemory.vmemmapPageSizeIndex)
        let agent = RunningAgent(guest)
        _ = guest.takeLines()
        let answer = try agent.ask("report")
        #expect(answer.number("entries") == 16)
        #expect(answer.number("unreachable") == nil)
    }

    /// What is wrong, what the agent says is missing, and how it came.
    struct Damage: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let missing: String
        let make: @Sendable (FakeGuest) throws -> Void

        init(_ title: String, _ missing: String, _ make: @escaping @Sendable (FakeGuest) throws -> Void) {
            (testDescription, self.missing, self.make) = (title, missing, make)
        }
    }

    private static func region(_ field: SharedRegionLayout.Field, _ value: UInt64) -> Damage {
        Damage("\(field)", "region-header") { guest in try guest.withRegion { try $0.setHeader(field, value) } }
    }

    static let damages: [Damage] = [
        Damage("no ELF", "vmcore-elf") { $0.dump?.magic = [0x7f, 0x45] },
        Damage("no notes", "vmcoreinfo-note") { $0.dump?.notes = [] },
        Damage("a note cut off", "vmcoreinfo-note") { $0.dump?.notes.removeLast(200) },
        Damage("a note of another name", "vmcoreinfo-note") { guest in
            guest.dump?.notes = SampleVmcoreinfo().note(order: .native).map { $0 == 0x56 ? 0x57 : $0 }
        },
        Damage("a note that is too long", "vmcoreinfo-note") {
            $0.dump?.notes = [0xff, 0xff, 0xff, 0x7f, 0xff, 0xff, 0xff, 0x7f, 0, 0, 0, 0, 1]
        },
        Damage("no memory", "sections-not-in-dump") { $0.dump?.loads = [] },
        region(.magic, 0), region(.version, 2), region(.byteOrderMark, 0x0807_0605_0403_0201),
        region(.pageByteCount, 4096), region(.pageByteCount, 0), region(.originsOffset, 64),
    ]

    @Test(arguments: damages) func damageIsTold(_ damage: Damage) throws {
        try damage.make(guest)
        let agent = RunningAgent(guest)
        let trouble = try #require(guest.takeLines().first ?? nil)
        #expect(trouble.has(verb: "trouble"))
        #expect(trouble.text("missing").map(Array.init) == Array(damage.missing.utf8))
        #expect(try agent.ask("report").text("reason").map(Array.init) == Array("not-set-up".utf8))
    }
}
