// SPDX-License-Identifier: Apache-2.0

import AgentProtocol
import GuestMemory
import TestGuests
import TestSupport
import Testing

@testable import HotplugAgent

private let window16 = FakeKernelMemory.vmemmapBase + 16 << 16
private let functions = [
    "vmemmap_populate", "vmemmap_alloc_block_buf", "hash__vmemmap_create_mapping", "hash__vmemmap_remove_mapping",
    "vmemmap_free",
]

/// A guest that lets its functions be probed, with 16 blocks from boot.
private func tracedGuest() -> FakeGuest {
    let guest = FakeGuest()
    guest.trace = FakeTrace()
    guest.populate(0..<16)
    return guest
}

private func text(_ bytes: ArraySlice<UInt8>?) -> String? { bytes.map { String(decoding: $0, as: UTF8.self) } }

struct SourceChoiceTests {
    @Test func kprobesComeFirst() throws {
        let guest = tracedGuest()
        let running = try RunningAgent.ready(guest)
        let hello = try running.ask("hello")
        #expect(hello.number("source") == EventSource.kprobes.rawValue)
        #expect(text(hello.text("tried")) == "kprobe-events")
        #expect(try running.header(.eventSource) == EventSource.kprobes.rawValue)
        #expect(Set(guest.trace.probes.values) == Set(functions))
        #expect(guest.trace.isEnabled)
        #expect(guest.trace.instance == "/sys/kernel/tracing/instances/qemu-harness")
        #expect(guest.written[FakeGuest.debugControl] == [])
        #expect(
            guest.trace.definitions.first
                == "p:qemu_harness/qh_populate vmemmap_populate "
                + "start=%gpr3:x64 end=%gpr4:x64 node=%gpr5:x64 altmap=%gpr6:x64\n")
    }

    /// A source that cannot say everything is none: each function is needed, and what was accepted goes again.
    @Test(arguments: 1..<(1 << functions.count))
    func everyProbeIsNeeded(mask: Int) throws {
        let refused = functions.indices.filter { mask >> $0 & 1 == 1 }.map { functions[$0] }
        let guest = tracedGuest()
        guest.trace.refused = Dictionary(uniqueKeysWithValues: refused.map { ($0, 22) })
        let running = try RunningAgent.ready(guest)
        let hello = try running.ask("hello")
        #expect(hello.number("source") == EventSource.dynamicDebug.rawValue)
        let trials = try #require(SourceTrial.parse(hello.text("tried") ?? []))
        #expect(trials.map(\.source) == [.kprobes, .dynamicDebug])
        #expect(trials[0].refusals.map { String(decoding: $0.what, as: UTF8.self) } == refused)
        #expect(trials[0].refusals.allSatisfy { $0.errno == 22 })
        #expect(trials[1].refusals.isEmpty)
        #expect(guest.trace.probes.isEmpty)
        #expect(!guest.trace.isEnabled)
        #expect(guest.trace.instanceCount == 0)
        // The log and the control channel.
        #expect(guest.openCount == 2)
        guest.populate(16..<18)
        try running.sync()
        #expect(try running.mirrorsTheKernel())
        #expect(try running.mirror().prefix(2).allSatisfy { $0.provenance == .observed })
    }

    @Test(
        arguments: [
            (.events, "kprobe-events:kprobe_events,dynamic-debug"),
            (.pipe, "kprobe-events:trace_pipe,dynamic-debug"),
            (.marker, "kprobe-events:trace_marker:trace_pipe-does-not-answer,dynamic-debug"),
            (
                .enable,
                "kprobe-events:/sys/kernel/tracing/instances/qemu-harness/events/qemu_harness/enable,dynamic-debug"
            ),
        ] as [(FakeTrace.File, String)])
    func everyFileIsNeeded(file: FakeTrace.File, tried: String) throws {
        let guest = tracedGuest()
        guest.trace.missing = [file]
        let running = try RunningAgent.ready(guest)
        let hello = try running.ask("hello")
        #expect(text(hello.text("tried"))?.hasPrefix("kprobe-events:") == true)
        #expect(text(hello.text("tried")) == tried.replacing(":trace_pipe-does-not-answer", with: ""))
        #expect(guest.trace.probes.isEmpty)
        #expect(guest.trace.instance == nil)
        #expect(guest.openCount == 2)
    }

    @Test func aTraceThatDoesNotAnswer() throws {
        let guest = tracedGuest()
        guest.trace.echoes = false
        let running = try RunningAgent.ready(guest)
        #expect(text(try running.ask("hello").text("tried")) == "kprobe-events:trace_pipe,dynamic-debug")
        #expect(guest.trace.probes.isEmpty)
        #expect(guest.trace.instanceCount == 1)
        #expect(guest.trace.instance == nil)
    }

    @Test func withoutInstances() throws {
        let guest = tracedGuest()
        guest.trace.hasInstances = false
        let running = try RunningAgent.ready(guest)
        #expect(try running.header(.eventSource) == EventSource.kprobes.rawValue)
        guest.populate(16..<18)
        try running.sync()
        #expect(try running.mirrorsTheKernel())
        guest.trace.overrunCount = 2
        #expect(try running.sync().number("losses") == 1)
    }

    @Test(arguments: [true, false])
    func snapshotsRemain(hasLog: Bool) throws {
        let guest = FakeGuest()
        guest.written[FakeGuest.debugControl] = nil
        guest.hasLog = hasLog
        let hello = try RunningAgent.ready(guest).ask("hello")
        #expect(hello.number("source") == EventSource.snapshots.rawValue)
        #expect(
            text(hello.text("tried"))
                == "kprobe-events:vmemmap_populate/22,dynamic-debug:"
                + (hasLog ? "dynamic_debug/control" : "/dev/kmsg") + ",snapshots")
    }

    /// The kernel takes a query that matches nothing.
    @Test(arguments: [[], ["init/main.c"], ["arch/powerpc/mm/init_64.c.orig"]])
    func dynamicDebugWithoutTheMessages(files: [String]) throws {
        let guest = FakeGuest()
        guest.debugFiles = files
        let hello = try RunningAgent.ready(guest).ask("hello")
        #expect(
            text(hello.text("tried"))
                == "kprobe-events:vmemmap_populate/22,dynamic-debug:messages-of-init_64.c,snapshots")
    }

    @Test(
        arguments: [
            (#"arch/powerpc/mm/init_64.c:298 [init_64]vmemmap_free =p "vmemmap_free %lx...%lx\012""#, true),
            (#"arch/powerpc/mm/init_64.c:298 [init_64]vmemmap_free =pmflt "vmemmap_free %lx...%lx\012""#, true),
            (#"arch/powerpc/mm/init_64.c:298 [init_64]vmemmap_free =mfp "x" class:a"#, true),
            (#"arch/powerpc/mm/init_64.c:298 [init_64]vmemmap_free =p"#, true),
            (#"arch/powerpc/mm/init_64.c:298 [init_64]vmemmap_free =_ "=p""#, false),
            (#"arch/powerpc/mm/init_64.c:298 [init_64]vmemmap_free =mf "p""#, false),
            (#"arch/powerpc/mm/init_64.c:298 [init_64]vmemmap_free p "p""#, false),
            (#"arch/powerpc/mm/init_64.c:298"#, false), (#"arch/powerpc/mm/init_64.c:298 ["#, false),
            (#"arch/powerpc/mm/init_64.c:x [init_64]vmemmap_free =p "x""#, false),
            (#"x/arch/powerpc/mm/init_64.c:298 [init_64]vmemmap_free =p "x""#, false),
            ("# filename:lineno [module]function flags format", false), ("", false),
        ])
    func linesOfDynamicDebug(line: String, isEnabled: Bool) {
        #expect(KernelLog<FakeGuest>.isEnabledMessage(Array(line.utf8)[...]) == isEnabled)
    }

    /// The list's probes are named after the MMU.
    @Test func radixWithAList() throws {
        let guest = FakeGuest()
        guest.files["/proc/cpuinfo"] = Array("MMU\t\t: Radix\n".utf8)
        guest.trace = FakeTrace()
        guest.populate(0..<16)
        let running = try RunningAgent.ready(guest)
        #expect(text(try running.ask("hello").text("tried")) == "kprobe-events")
        #expect(guest.trace.probes["qh_map"] == "radix__vmemmap_create_mapping")
        #expect(guest.trace.probes["qh_unmap"] == "radix__vmemmap_remove_mapping")
    }
}

struct TraceObservingTests {
    @Test func anObservedBlock() throws {
        let guest = tracedGuest()
        let running = try RunningAgent.ready(guest)
        guest.populate(16..<17)
        guest.log("pseries-hotplug-mem: Memory at 40000000 (drc index 80000004) was hot-added")
        #expect(running.agent.step())
        #expect(try running.mirrorsTheKernel())
        let newest = try #require(try running.mirror().first)
        #expect(newest.provenance == .observed)
        #expect(newest.eventSequence == 2)
        #expect(
            try running.events() == [
                .populateCalled(start: window16, end: window16 + 0x4000, node: 0),
                .blockMirrored(
                    virtAddr: window16, byteCount: 65536, phys: newest.phys, mirrorNode: try running.header(.head)),
                .lmbAdded(base: 0x4000_0000, drcIndex: 0x8000_0004),
            ])
    }

    /// The log may be read first: what came of an LMB stands behind what made it all the same.
    @Test func lmbsComeBehindTheirBlocks() throws {
        let guest = tracedGuest()
        let running = try RunningAgent.ready(guest)
        guest.log("pseries-hotplug-mem: Memory at 40000000 (drc index 80000004) was hot-added")
        guest.populate(16..<17)
        try running.sync()
        let events = try running.events()
        #expect(events.count == 4)
        #expect(events[2] == .lmbAdded(base: 0x4000_0000, drcIndex: 0x8000_0004))
        // Both sources have a marker of their own.
        #expect(events[3] == .synced(marker: try running.lastMarker()))
    }

    /// Each unmapping names its window: nothing is inferred.
    @Test func freesAreExact() throws {
        let guest = tracedGuest()
        let running = try RunningAgent.ready(guest)
        guest.populate(16..<20)
        guest.free(virtAddr: window16 + 1 << 16)
        guest.free(virtAddr: FakeKernelMemory.vmemmapBase)
        let answer = try running.sync()
        #expect(answer.number("heals") == 0)
        #expect(answer.number("freed") == 2)
        #expect(try running.mirrorsTheKernel())
        let freed = try running.events().compactMap { event -> UInt64? in
            guard case .blockFreed(let virtAddr, _) = event else { return nil }
            return virtAddr
        }
        #expect(freed == [window16 + 1 << 16, FakeKernelMemory.vmemmapBase])
        guest.populate(20..<23)
        #expect(try running.sync().number("freed") == 0)
        #expect(try running.mirrorsTheKernel())
    }

    /// A call that fails in the middle: its blocks so far are on the list, the last one is not, and the kernel undoes it.
    @Test func aCallThatFails() throws {
        let guest = tracedGuest()
        let running = try RunningAgent.ready(guest)
        let time = guest.clock
        guest.trace.hit(FakeTrace.populate(window16, window16 + 0x4000), at: time)
        guest.trace.hit(FakeTrace.allocated(0xc000_0000_0900_0000), at: time)
        guest.trace.hit(FakeTrace.map(window16, 65536, 0x900_0000), at: time)
        guest.trace.hit(FakeTrace.allocated(0xc000_0000_0901_0000), at: time)
        guest.trace.hit(FakeTrace.populated(-12), at: time)
        guest.trace.free(start: window16, end: window16 + 0x4000, virtAddr: window16, at: time)
        let answer = try running.sync()
        #expect(answer.number("losses") == 0)
        #expect(answer.number("heals") == 0)
        #expect(try running.mirrorsTheKernel())
        let events = try running.events()
        #expect(events.contains(.blockUnused(phys: 0x901_0000)))
        #expect(events.contains(.populateFailed(errno: 12)))
        #expect(events.contains(.blockFreed(virtAddr: window16, phys: 0x900_0000)))
    }

    /// Dynamic debug may be on as well, by the kernel's command line: it tells what the trace has told.
    @Test func dynamicDebugBesideTheTrace() throws {
        let guest = tracedGuest()
        guest.written[FakeGuest.debugControl] = Array("file arch/powerpc/mm/init_64.c +p".utf8)
        let running = try RunningAgent.ready(guest)
        #expect(try running.header(.eventSource) == EventSource.kprobes.rawValue)
        guest.populate(16..<18)
        guest.free(virtAddr: window16)
        guest.log("pseries-hotplug-mem: Memory at 40000000 was hot-removed")
        let answer = try running.sync()
        #expect(answer.number("heals") == 0)
        #expect(try running.mirrorsTheKernel())
        // Two populates with a block each, a free with one, the LMB, the sync.
        let events = try running.events()
        #expect(events.count == 8)
        #expect(events[6] == .lmbRemoved(base: 0x4000_0000))
    }

    /// The first snapshot falls into a call: its block is linked and not told of yet.
    @Test func aCallUnderWayAtTheStart() throws {
        let guest = tracedGuest()
        let time = guest.clock
        guest.beforeKcore[2] = { guest in
            guest.populate(16..<17, told: false)
            guest.trace.hit(FakeTrace.populate(window16, window16 + 0x4000), at: time)
            guest.trace.hit(FakeTrace.allocated(LinearMap.base + guest.entries[0].phys), at: time)
        }
        let running = try RunningAgent.ready(guest)
        guest.trace.hit(FakeTrace.map(window16, 65536, guest.entries[0].phys), at: time)
        guest.trace.hit(FakeTrace.populated(0), at: time)
        #expect(running.agent.step())
        #expect(try running.mirrorsTheKernel())
        #expect(try running.mirror().first?.provenance == .seeded)
        #expect(try running.sync().number("heals") == 1)
        #expect(try running.mirrorsTheKernel())
    }

    @Test func eventsThatTheSnapshotHoldsAreDropped() throws {
        let guest = tracedGuest()
        guest.beforeKcore[2] = { $0.populate(16..<20) }
        let running = try RunningAgent.ready(guest)
        #expect(try running.mirrorsTheKernel())
        #expect(try running.mirror().count == 20)
        #expect(try running.mirror().allSatisfy { $0.provenance == .seeded })
    }
}

struct TraceLossTests {
    private func running() throws -> RunningAgent {
        let running = try RunningAgent.ready(tracedGuest())
        running.guest.populate(16..<17)
        #expect(running.agent.step())
        return running
    }

    /// Each way of losing events is said, healed, and healed once.
    @Test(
        arguments: [
            ("CPU:0 [LOST 4 EVENTS]", 4), ("CPU:15 [LOST EVENTS]", 1), ("[LINE TOO BIG]", 1), ("garbage", 1), ("", 1),
            (String(repeating: "x", count: 20000), 1), ("CPU:0 [LOST 99999999999999999999 EVENTS]", 1),
        ] as [(String, UInt64)])
    func lostLines(line: String, count: UInt64) throws {
        let running = try running()
        let guest = running.guest
        guest.populate(17..<19, told: false)
        guest.trace.line(line)
        guest.populate(19..<20)
        let answer = try running.sync()
        #expect(answer.number("heals") == 1)
        #expect(answer.number("losses") ?? 0 >= 1)
        #expect(try running.events().contains(.lost(recordCount: count)))
        #expect(try running.mirrorsTheKernel())
        #expect(
            try running.mirror().prefix(4).map(\.provenance) == [.observed, .healed, .healed, .observed])
        #expect(try running.sync().number("heals") == 1)
    }

    @Test(arguments: [\FakeTrace.overrunCount, \.droppedCount, \.missCount])
    func countedLosses(counter: any WritableKeyPath<FakeTrace, Int> & Sendable) throws {
        let running = try running()
        running.guest.populate(17..<19, told: false)
        running.guest.trace[keyPath: counter] = 3
        let answer = try running.sync()
        #expect(answer.number("losses") == 1)
        #expect(answer.number("heals") == 1)
        #expect(try running.events().contains(.lost(recordCount: 3)))
        #expect(try running.mirrorsTheKernel())
        #expect(try running.sync().number("losses") == 1)
        // What trace_pipe has said is not counted twice.
        running.guest.trace[keyPath: counter] = 8
        running.guest.trace.line("CPU:0 [LOST 5 EVENTS]")
        #expect(try running.sync().number("losses") == 2)
        #expect(try running.sync().number("heals") == 2)
    }

    /// What is told twice, or what the kernel does not count, makes no later loss go unseen.
    @Test(arguments: ["CPU:0 [LOST 3 EVENTS]", "garbage", "CPU:0 [LOST EVENTS]", String(repeating: "x", count: 20000)])
    func lossesThatAreToldLate(line: String) throws {
        let running = try running()
        let guest = running.guest
        guest.trace.overrunCount = 3
        #expect(try running.sync().number("heals") == 1)
        guest.trace.line(line)
        #expect(try running.sync().number("heals") == 2)
        guest.populate(17..<19, told: false)
        guest.trace.missCount = 1
        #expect(try running.sync().number("heals") == 3)
        #expect(try running.events().contains(.lost(recordCount: 1)))
        #expect(try running.mirrorsTheKernel())
    }

    @Test func hitsWithoutTheirCall() throws {
        let running = try running()
        let guest = running.guest
        guest.populate(17..<18, told: false)
        guest.trace.hit(FakeTrace.map(window16 + 1 << 16, 65536, 0x900_0000), at: guest.clock)
        guest.trace.hit(FakeTrace.populated(0), at: guest.clock)
        let answer = try running.sync()
        #expect(answer.number("losses") == 1)
        #expect(answer.number("heals") == 1)
        #expect(try running.mirrorsTheKernel())
    }

    /// The kernel unmaps what the mirror does not hold.
    @Test func anUnknownFree() throws {
        let running = try running()
        let guest = running.guest
        guest.populate(17..<18, told: false)
        guest.free(virtAddr: window16 + 1 << 16)
        #expect(try running.sync().number("heals") == 1)
        #expect(try running.mirrorsTheKernel())
    }

    /// Freed and populated again while the snapshot is taken: the snapshot holds the new block, the events take it away
    /// and bring it back. Only a second snapshot, at rest, is sure.
    @Test func freesDuringHealing() throws {
        let running = try running()
        running.guest.beforeKcore[5] = { guest in
            guest.free(virtAddr: window16)
            guest.populate(16..<17)
        }
        running.guest.trace.line("CPU:0 [LOST 4 EVENTS]")
        #expect(try running.sync().number("heals") == 2)
        #expect(try running.mirrorsTheKernel())
    }

    /// A call that does not end cannot be healed, and is not passed over.
    @Test func aCallUnderWay() throws {
        let running = try running()
        for opening in stride(from: 5, to: 60, by: 3) {
            running.guest.beforeKcore[opening] = { guest in
                guest.trace.hit(FakeTrace.populate(window16, window16 + 0x4000), task: 99, at: guest.clock)
            }
        }
        running.guest.trace.line("CPU:0 [LOST 4 EVENTS]")
        let answer = try running.ask("sync")
        #expect(answer.has(verb: "error"))
        #expect(text(answer.text("reason")) == "mirror-does-not-settle")
        running.guest.beforeKcore = [:]
        try running.sync()
        #expect(try running.mirrorsTheKernel())
    }

    @Test func aTraceThatStopsAnswering() throws {
        let running = try running()
        running.guest.trace.echoes = false
        #expect(text(try running.ask("sync").text("reason")) == "trace_pipe-does-not-answer")
        running.guest.trace.echoes = true
        try running.sync()
    }

    /// Sources that never run dry keep nobody waiting: the agent goes round, and gives up at its deadline.
    @Test(arguments: [true, false]) func endlessSources(isTraced: Bool) throws {
        let guest = isTraced ? tracedGuest() : FakeGuest()
        let running = try RunningAgent.ready(guest)
        guest.isTalkative = true
        guest.logEchoes = false
        guest.trace.echoes = false
        #expect(running.agent.step())
        #expect(
            text(try running.ask("sync").text("reason"))
                == (isTraced ? "trace_pipe-does-not-answer" : "/dev/kmsg-does-not-answer"))
        guest.isTalkative = false
        guest.logEchoes = true
        guest.trace.echoes = true
        try running.sync()
        #expect(try running.mirrorsTheKernel())
    }
}

struct TraceBufferTests {
    private func kibibytes(_ commandLine: String, memory: UInt64 = 1 << 30, processors: UInt64 = 1) -> UInt64? {
        TraceBuffer.kibibytes(
            commandLine: Array(commandLine.utf8), blockCapacity: 16384, memoryByteCount: memory,
            processorCount: processors)
    }

    @Test func followsTheMirrorsRoom() {
        #expect(kibibytes("console=hvc0") == 16384 * 192 / 1024)
        #expect(kibibytes("", memory: 512 << 20, processors: 16) == 1024)
        #expect(kibibytes("", memory: 1 << 30, processors: 16) == 2048)
        #expect(kibibytes("", memory: 0, processors: 0) == 1024)
    }

    @Test func theCommandLineSaysItInstead() {
        #expect(kibibytes("console=hvc0 qemu_harness.trace_kib=4 panic=-1") == 4)
        #expect(kibibytes("qemu_harness.trace_kib=1048576") == 1 << 20)
        #expect(kibibytes("xqemu_harness.trace_kib=4") == 3072)
        for value in ["", "0", "-1", "4k", "0x4", "1048577", "99999999999999999999", "4,4"] {
            #expect(kibibytes("a qemu_harness.trace_kib=\(value) b") == nil, "\(value)")
        }
    }

    @Test func ofTheGuest() throws {
        let guest = tracedGuest()
        guest.files["/proc/cmdline"] = Array("console=hvc0 qemu_harness.trace_kib=64\n".utf8)
        _ = try RunningAgent.ready(guest)
        #expect(guest.trace.bufferKibibytes == "64")
    }

    @Test func nonsenseOnTheCommandLine() throws {
        let guest = tracedGuest()
        guest.files["/proc/cmdline"] = Array("qemu_harness.trace_kib=many\n".utf8)
        _ = RunningAgent(guest)
        let trouble = try #require(guest.takeLines().first ?? nil)
        #expect(text(trouble.text("missing")) == "size-in-qemu_harness.trace_kib")
    }

    /// 8 processors and 4 GiB, as the guest's files say it.
    @Test func measuresTheGuest() {
        let guest = FakeGuest()
        guest.files["/sys/devices/system/cpu/possible"] = Array("0-7\n".utf8)
        guest.files["/proc/meminfo"] = Array("MemTotal:        4194304 kB\nMemFree: 1 kB\n".utf8)
        #expect(TraceBuffer.kibibytes(system: guest, blockCapacity: 1 << 30) == 16384)
        guest.files["/proc/meminfo"] = Array("garbage".utf8)
        guest.files["/sys/devices/system/cpu/possible"] = nil
        #expect(TraceBuffer.kibibytes(system: guest, blockCapacity: 1 << 30) == 1024)
    }
}
