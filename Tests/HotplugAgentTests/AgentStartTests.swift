// SPDX-License-Identifier: Apache-2.0

import AgentProtocol
import GuestMemory
import TestGuests
import TestSupport
import Testing

@testable import HotplugAgent

struct AgentStartTests {
    @Test func hello() throws {
        let guest = FakeGuest()
        guest.populate(0..<16)
        _ = RunningAgent(guest)
        let lines = guest.takeLines()
        try #require(lines.count == 1)
        let hello = try #require(lines[0])
        #expect(hello.identifier == 0)
        #expect(hello.has(verb: "hello"))
        #expect(hello.number("protocol") == 1)
        #expect(hello.number("page") == 65536)
        #expect(hello.number("mmu") == MMU.hash.rawValue)
        #expect(hello.number("vmemmap-base") == 0xc00c_0000_0000_0000)
        #expect(hello.number("vmemmap-shift") == 16)
        #expect(hello.number("vmcoreinfo") == 0x10_0000)
        #expect(hello.number("source") == EventSource.dynamicDebug.rawValue)
        #expect(hello.number("region") == 4 << 20)
        #expect(guest.consoleText.isEmpty)
        #expect(guest.isRaw)
        #expect(
            guest.mounted == [
                "proc /proc", "sysfs /sys", "devtmpfs /dev", "debugfs /sys/kernel/debug",
                "tracefs /sys/kernel/tracing",
            ])
        #expect(guest.written[FakeGuest.debugControl] == bytes("file arch/powerpc/mm/init_64.c +p"))
        // The log and the control channel stay open, and nothing else.
        #expect(guest.openCount == 2)
    }

    @Test func header() throws {
        let guest = FakeGuest()
        let running = try RunningAgent.ready(guest)
        #expect(try running.header(.magic) == SharedRegionLayout.magic)
        #expect(try running.header(.state) == AgentState.ready.rawValue)
        #expect(try running.header(.mmu) == MMU.hash.rawValue)
        #expect(try running.header(.vmemmapBase) == 0xc00c_0000_0000_0000)
        #expect(try running.header(.vmemmapPageShift) == 16)
        #expect(try running.header(.eventSource) == EventSource.dynamicDebug.rawValue)
        #expect(try running.header(.head) == 0)
        #expect(try running.header(.liveCount) == 0)
    }

    @Test(arguments: [0, 1, 16, 2730, 2731, 6000] as [UInt64])
    func seedingTakesTheKernelsListInItsOrder(count: UInt64) throws {
        let guest = FakeGuest()
        guest.populate(0..<count)
        let running = try RunningAgent.ready(guest)
        #expect(try running.mirrorsTheKernel())
        let mirror = try running.mirror()
        #expect(mirror.count == Int(count))
        #expect(mirror.allSatisfy { $0.provenance == .seeded && $0.eventSequence == 0 })
        #expect(try running.header(.nodePagesUsed) == (count + 2729) / 2730)
        #expect(try running.events().isEmpty)
    }

    /// What happens between the source's start and the snapshot's end is told by both, and mirrored once.
    @Test func eventsThatTheSnapshotHoldsAreDropped() throws {
        let guest = FakeGuest()
        guest.populate(0..<16)
        // The first opening reads VMCOREINFO, the second takes the snapshot; dynamic debug is on by then.
        guest.beforeKcore[2] = { $0.populate(16..<20) }
        let running = try RunningAgent.ready(guest)
        #expect(try running.mirrorsTheKernel())
        #expect(try running.mirror().count == 20)
        #expect(try running.mirror().allSatisfy { $0.provenance == .seeded })
        #expect(!(try running.events().contains { if case .blockMirrored = $0 { true } else { false } }))
    }

    /// What happens behind the snapshot is observed.
    @Test func eventsBehindTheSnapshotAreObserved() throws {
        let guest = FakeGuest()
        guest.populate(0..<16)
        // The second opening takes the snapshot, the third reads the head again, so the walk is taken once more.
        guest.beforeKcore[3] = { $0.populate(16..<17) }
        let running = try RunningAgent.ready(guest)
        #expect(try running.mirrorsTheKernel())
        guest.populate(17..<18)
        try running.sync()
        #expect(try running.mirrorsTheKernel())
        #expect(try running.mirror().prefix(2).map(\.provenance) == [.observed, .seeded])
    }

    /// The kernel links a block and tells of it then: the first snapshot, and its marker, may fall in between.
    @Test func aBlockThatIsToldBehindTheSnapshot() throws {
        let guest = FakeGuest()
        guest.populate(0..<16)
        guest.beforeKcore[2] = { $0.populate(16..<17, told: false) }
        let running = try RunningAgent.ready(guest)
        let entry = guest.entries[0]
        let end = guest.hex(entry.virtAddr + 65536)
        let message =
            "      * \(guest.hex(entry.virtAddr))..\(end) allocated at \(guest.hex(LinearMap.base + entry.phys))"
        guest.log(message)
        try running.sync()
        #expect(try running.mirrorsTheKernel())
        #expect(try running.mirror().first?.provenance == .seeded)
        // Freed, the same block may come again, or another one.
        guest.free(virtAddr: entry.virtAddr)
        guest.populate(virtAddr: entry.virtAddr, phys: entry.phys)
        try running.sync()
        #expect(try running.mirrorsTheKernel())
        #expect(try running.mirror().first?.provenance == .observed)
        guest.free(virtAddr: entry.virtAddr)
        guest.populate(virtAddr: entry.virtAddr, phys: 0x900_0000)
        #expect(try running.sync().number("heals") == 0)
        #expect(try running.mirrorsTheKernel())
    }

    struct Missing: Sendable, CustomTestStringConvertible {
        let what: String
        let remove: @Sendable (FakeGuest) -> Void
        var testDescription: String { what }

        init(_ what: String, _ remove: @escaping @Sendable (FakeGuest) -> Void) {
            self.what = what
            self.remove = remove
        }
    }

    @Test(arguments: [
        Missing("ivshmem") { $0.folders["/sys/bus/pci/devices"] = [] },
        Missing("ivshmem") { $0.files[FakeGuest.device + "/device"] = Array("0x1111\n".utf8) },
        Missing("ivshmem") { $0.files[FakeGuest.device + "/vendor"] = Array("0x1af5\n".utf8) },
        Missing("ivshmem") { $0.written[FakeGuest.device + "/enable"] = nil },
        Missing("ivshmem") { $0.files[FakeGuest.device + "/resource2"] = nil },
        Missing("/proc/kcore") { $0.hasKcore = false },
        Missing("/proc/kcore") { $0.memory.magic = [0x7f, 0x45, 0x4c, 0x47, 2] },
        Missing("/proc/kcore") { $0.memory.magic = [0x7f, 0x45, 0x4c, 0x46, 1] },
        // The other byte order, and none.
        Missing("/proc/kcore") { $0.memory.magic[5] ^= 3 },
        Missing("/proc/kcore") { $0.memory.magic[5] = 0 },
        Missing("/sys/kernel/vmcoreinfo") { $0.files["/sys/kernel/vmcoreinfo"] = nil },
        Missing("/sys/kernel/vmcoreinfo") { $0.files["/sys/kernel/vmcoreinfo"] = Array("100000 400\n".utf8) },
        Missing("/sys/kernel/vmcoreinfo") { $0.files["/sys/kernel/vmcoreinfo"] = Array("0x100000\n".utf8) },
        Missing("/sys/kernel/vmcoreinfo") { $0.files["/sys/kernel/vmcoreinfo"] = Array("0x100000 fffffff\n".utf8) },
        Missing("vmcoreinfo-note") { $0.files["/sys/kernel/vmcoreinfo"] = Array("0x200000 400\n".utf8) },
        Missing("vmcoreinfo-note") { $0.files["/sys/kernel/vmcoreinfo"] = Array("0x40000000 400\n".utf8) },
        Missing("vmcoreinfo-note") { $0.files["/sys/kernel/vmcoreinfo"] = Array("0xffffffffffffffff 400\n".utf8) },
        Missing("vmcoreinfo-note") { $0.files["/sys/kernel/vmcoreinfo"] = Array("0x100000 0\n".utf8) },
        Missing("kernel-memory") { $0.memory.store(0xc000_0000_4000_0000, at: FakeKernelMemory.sectionRoots) },
        Missing("kernel-memory") { $0.memory.store(UInt64.max - 7, at: FakeKernelMemory.sectionRoots) },
        Missing("/dev/kmsg-does-not-answer") { $0.logEchoes = false },
    ])
    func missingParts(missing: Missing) throws {
        let guest = FakeGuest()
        guest.populate(0..<4)
        missing.remove(guest)
        let running = RunningAgent(guest)
        let lines = guest.takeLines()
        try #require(lines.count == 1)
        let trouble = try #require(lines[0])
        #expect(trouble.identifier == 0)
        #expect(trouble.has(verb: "trouble"))
        #expect(trouble.text("missing").map { String(decoding: $0, as: UTF8.self) } == missing.what)
        #expect(guest.consoleText == "qemu-harness agent: missing: \(missing.what)\n")

        // It still answers, and can be told to go.
        let answer = try running.ask("sync")
        #expect(answer.has(verb: "error"))
        #expect(answer.text("reason").map { String(decoding: $0, as: UTF8.self) } == "not-set-up")
        guest.input += bytes("9 poweroff\n")
        #expect(!running.agent.step())
    }

    @Test func missingKey() throws {
        let guest = FakeGuest(vmcoreinfo: SampleVmcoreinfo().removing("SYMBOL(vmemmap_list)"))
        _ = RunningAgent(guest)
        let trouble = try #require(guest.takeLines().first ?? nil)
        #expect(trouble.text("missing").map { String(decoding: $0, as: UTF8.self) } == "SYMBOL(vmemmap_list)")
    }

    /// What would be shown to people.
    @Test func aReleaseThatIsNotPrintable() throws {
        let guest = FakeGuest(vmcoreinfo: SampleVmcoreinfo().replacing("OSRELEASE", with: "6.1\u{1b}[2J"))
        _ = RunningAgent(guest)
        let trouble = try #require(guest.takeLines().first ?? nil)
        #expect(trouble.text("missing").map { String(decoding: $0, as: UTF8.self) } == "OSRELEASE")
    }

    /// As /proc/kallsyms has them: a local symbol and a module's of the same name are others.
    @Test func aKeyThatKallsymsHas() throws {
        let guest = FakeGuest(vmcoreinfo: SampleVmcoreinfo().removing("SYMBOL(vmemmap_list)"))
        guest.populate(0..<4)
        let table = """
            c000000000000000 T _text
            c000000000100000 b vmemmap_list
            c000000000100008 B vmemmap_list_lock
            \(String(repeating: "c", count: 600)) B vmemmap_list
            c000000000200000 B vmemmap_list
            c000000000100010 B vmemmap_list\t[other]

            """
        guest.files["/proc/kallsyms"] = Array(table.utf8)
        _ = RunningAgent(guest)
        let hello = try #require(guest.takeLines().first ?? nil)
        #expect(hello.has(verb: "hello"))
        #expect(try guest.withRegion { try $0.header(.liveCount) } == 4)
    }

    /// A kernel that hides its addresses shows zeros.
    @Test func aKeyThatKallsymsHides() throws {
        let guest = FakeGuest(vmcoreinfo: SampleVmcoreinfo().removing("SYMBOL(vmemmap_list)"))
        guest.files["/proc/kallsyms"] = Array("0000000000000000 B vmemmap_list\n".utf8)
        _ = RunningAgent(guest)
        let trouble = try #require(guest.takeLines().first ?? nil)
        #expect(trouble.text("missing").map { String(decoding: $0, as: UTF8.self) } == "SYMBOL(vmemmap_list)")
    }

    @Test(arguments: [1 << 20, 3 << 20])
    func unusableRegion(byteCount: Int) throws {
        let guest = FakeGuest(regionByteCount: byteCount)
        _ = RunningAgent(guest)
        let trouble = try #require(guest.takeLines().first ?? nil)
        #expect(trouble.text("missing").map { String(decoding: $0, as: UTF8.self) } == "ivshmem-size")
    }

    @Test func noControlChannel() throws {
        let guest = FakeGuest()
        guest.populate(0..<4)
        guest.hasChannel = false
        let running = RunningAgent(guest)
        #expect(guest.consoleText == "qemu-harness agent: no control channel: /dev/hvc1 cannot be opened\n")
        // It mirrors all the same.
        guest.populate(4..<5)
        #expect(running.agent.step())
        #expect(try running.mirrorsTheKernel())
    }

    /// Values that a kernel may not have are no reason to give up.
    @Test func unknownVmemmapPageAndBase() throws {
        let guest = FakeGuest()
        guest.memory.store(FakeKernelMemory.bytes(of: 99, count: 4), at: FakeKernelMemory.vmemmapPageSizeIndex)
        guest.memory.store(0, at: FakeKernelMemory.sectionRoots)
        let running = try RunningAgent.ready(guest)
        let hello = try running.ask("hello")
        #expect(hello.number("vmemmap-shift") == 0)
        #expect(hello.number("vmemmap-base") == 0)
    }
}
