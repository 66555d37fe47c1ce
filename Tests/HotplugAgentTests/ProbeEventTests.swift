// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import HotplugAgent

struct ProbeEventTests {
    private func parse(_ line: String) -> ProbeHit? {
        ProbeHit(parsing: Array(line.utf8)[...])
    }

    @Test(
        arguments: [
            (
                "qh_populate: (vmemmap_populate+0x8/0x40) start=0xc0003f0001000000 end=0xc0003f0001040000 node=0x0 altmap=0x0",
                .populate(start: 0xc000_3f00_0100_0000, end: 0xc000_3f00_0104_0000, node: 0, altmap: 0)
            ),
            (
                "qh_populate: (x) start=0x0 end=0x1 node=0xffffffffffffffff altmap=0xc000000002345678",
                .populate(start: 0, end: 1, node: .max, altmap: 0xc000_0000_0234_5678)
            ),
            (
                "qh_populated: (__populate_section_memmap+0x9c/0x100 <- vmemmap_populate) result=0x0",
                .populated(errno: 0)
            ),
            ("qh_populated: (a <- b) result=0xfffffffffffffff4", .populated(errno: 12)),
            ("qh_allocated: (a <- b) pointer=0xc000000004ff0000", .allocated(pointer: 0xc000_0000_04ff_0000)),
            (
                "qh_allocate: (vmemmap_alloc_block_buf+0x8/0x40) bytes=0x200000 altmap=0x0",
                .allocate(byteCount: 2 << 20, altmap: 0)
            ),
            ("qh_allocated: (a <- b) pointer=0x0", .allocated(pointer: 0)),
            ("qh_map: (f+0x8/0x9) virt=0x1000 bytes=0x10 phys=0x20", .map(virtAddr: 0x1000, byteCount: 16, phys: 32)),
            ("qh_unmap: (f+0x8/0x9) virt=0x1000 bytes=0x10", .unmap(virtAddr: 0x1000, byteCount: 16)),
            ("qh_free: (f+0x8/0x9) start=0x1000 end=0x1010", .free(start: 0x1000, end: 0x1010)),
            ("tracing_mark_write: qemu-harness sync 17", .marker(17)),
            ("whatever_function_it_is: qemu-harness sync 1", .marker(1)),
            ("sched_switch: prev_comm=x", .other),
        ] as [(String, ProbeEvent)])
    func events(text: String, event: ProbeEvent) {
        #expect(
            parse("     kworker/0:1-77      [000] .....    12.345678: \(text)")
                == ProbeHit(task: 77, microseconds: 12_345_678, event: event))
    }

    /// A task's name is 16 columns wide and may hold anything, also what looks like the rest of a line.
    @Test(arguments: ["           <...>", " x-1 [0] . 1.0: ", "qh_map: (f) v=0x", "                "])
    func names(name: String) {
        #expect(name.count == 16)
        #expect(
            parse("\(name)-1234567 [015] d..2. 98765.000001: qh_free: (f) start=0x1 end=0x2")
                == ProbeHit(task: 1_234_567, microseconds: 98_765_000_001, event: .free(start: 1, end: 2)))
    }

    @Test(arguments: [
        "", " ", "CPU:0 [LOST 5 EVENTS]", "[LINE TOO BIG]", String(repeating: "x", count: 5000),
        "     kworker/0:1-77 [000] ..... 12.345678:", "     kworker/0:1-77 [000] ..... 12.345678: ",
        "     kworker/0:1-x [000] ..... 1.000000: a: b", "     kworker/0:1-7 000 ..... 1.000000: a: b",
        "     kworker/0:1-7 [000] ..... 1.00000: a: b", "     kworker/0:1-7 [000] ..... 1: a: b",
        "     kworker/0:1-7 [000] ..... 99999999999999999999.000000: a: b",
        "     kworker/0:1-7 [000] ..... 18446744073709.999999: a: b",
        "    kworker/0:1-7 [000] ..... 1.000000: a: b",
    ])
    func garbageLines(line: String) {
        #expect(parse(line) == nil)
    }

    @Test(arguments: [
        "qh_free:", "qh_free: ", "qh_free: start=0x1 end=0x2", "qh_free: (f start=0x1 end=0x2", "qh_free: (f) ",
        "qh_free: (f) start=0x1", "qh_free: (f) start=0x1 end=", "qh_free: (f) start=0x1 end=0x",
        "qh_free: (f) start=0x1 end=0x2 ", "qh_free: (f) start=0x1 end=0x2 more=0x3",
        "qh_free: (f) start=1 end=2", "qh_free: (f) end=0x2 start=0x1", "qh_free: (f) start=(fault) end=0x2",
        "qh_free: (f) start=0x10000000000000000 end=0x2", "tracing_mark_write: qemu-harness sync ",
        "tracing_mark_write: qemu-harness sync x", ": x",
    ])
    func garbageEvents(text: String) {
        #expect(parse("     kworker/0:1-77      [000] .....    12.345678: \(text)") == nil)
    }
}

struct ProbeAssemblerTests {
    private let mapping = PopulateCall.Mapping(virtAddr: 0x10, byteCount: 16, phys: 0x100, microseconds: 3)

    @Test func aCall() {
        var assembler = ProbeAssembler()
        func take(_ event: ProbeEvent, _ time: UInt64) -> ProbeAssembler.Outcome {
            assembler.take(event, task: 1, microseconds: time)
        }
        #expect(take(.populate(start: 1, end: 2, node: 3, altmap: 0), 1) == .pending)
        #expect(assembler.hasOpenCalls)
        #expect(take(.allocated(pointer: 0), 2) == .pending)
        #expect(take(.allocated(pointer: 0xc000_0000_0000_0100), 2) == .pending)
        #expect(take(.map(virtAddr: 0x10, byteCount: 16, phys: 0x100), 3) == .pending)
        #expect(take(.allocated(pointer: 0xc000_0000_0000_0200), 4) == .pending)
        guard case .populated(let call) = take(.populated(errno: 12), 5) else {
            Issue.record("the call is complete")
            return
        }
        #expect((call.start, call.end, call.node, call.microseconds) == (1, 2, 3, 1))
        #expect(call.mappings == [mapping])
        #expect(call.allocations.map(\.pointer) == [0, 0xc000_0000_0000_0100, 0xc000_0000_0000_0200])
        #expect(call.unusedBlocks == [0xc000_0000_0000_0200])
        #expect(call.errno == 12)
        #expect(!assembler.hasOpenCalls)
    }

    /// Two tasks on two processors, hit by hit in turn: each call gets what is its own.
    @Test func interleavedCalls() throws {
        var assembler = ProbeAssembler()
        var calls: [UInt64: PopulateCall] = [:]
        for step in 0..<5 {
            for task: UInt64 in [1, 2] {
                let base = task << 32
                let event: ProbeEvent =
                    switch step {
                    case 0: .populate(start: base, end: base + 0x4000, node: task, altmap: 0)
                    case 1: .allocated(pointer: 0xc000_0000_0000_0000 + task << 16)
                    case 2: .map(virtAddr: base, byteCount: 65536, phys: task << 16)
                    case 3: .map(virtAddr: base + 65536, byteCount: 65536, phys: task << 24)
                    default: .populated(errno: 0)
                    }
                if case .populated(let call) = assembler.take(event, task: task, microseconds: 7) { calls[task] = call }
            }
        }
        for task: UInt64 in [1, 2] {
            let call = try #require(calls[task])
            #expect(call.start == task << 32)
            #expect(call.node == task)
            #expect(call.mappings.map(\.phys) == [task << 16, task << 24])
            #expect(call.unusedBlocks.isEmpty)
        }
        #expect(!assembler.hasOpenCalls)
    }

    @Test(
        arguments: [
            .populated(errno: 0), .allocated(pointer: 1), .map(virtAddr: 1, byteCount: 1, phys: 1),
        ] as [ProbeEvent])
    func withoutACall(event: ProbeEvent) {
        var assembler = ProbeAssembler()
        #expect(assembler.take(event, task: 1, microseconds: 1) == .unmatched)
        // Another task's call is not this one's.
        _ = assembler.take(.populate(start: 1, end: 2, node: 0, altmap: 0), task: 2, microseconds: 1)
        #expect(assembler.take(event, task: 1, microseconds: 1) == .unmatched)
    }

    /// Requests and their answers go together; one without an answer is followed by the next one.
    @Test func requests() {
        var assembler = ProbeAssembler()
        func take(_ event: ProbeEvent) -> ProbeAssembler.Outcome { assembler.take(event, task: 1, microseconds: 1) }
        _ = take(.populate(start: 1, end: 2, node: 0, altmap: 9))
        #expect(take(.allocate(byteCount: 2 << 20, altmap: 9)) == .pending)
        #expect(take(.allocated(pointer: 0)) == .pending)
        #expect(take(.allocate(byteCount: 4096, altmap: 0)) == .pending)
        #expect(take(.allocate(byteCount: 65536, altmap: 0)) == .unmatched)
        #expect(take(.allocated(pointer: 7)) == .pending)
        guard case .populated(let call) = take(.populated(errno: 0)) else {
            Issue.record("the call is complete")
            return
        }
        #expect(call.altmap == 9)
        #expect(
            call.allocations == [
                .init(byteCount: 2 << 20, altmap: 9, pointer: 0), .init(byteCount: 65536, altmap: 0, pointer: 7),
            ])
    }

    /// A call whose return is missing is followed by the task's next one.
    @Test func withoutAReturn() {
        var assembler = ProbeAssembler()
        _ = assembler.take(.populate(start: 1, end: 2, node: 0, altmap: 0), task: 1, microseconds: 1)
        _ = assembler.take(.map(virtAddr: 1, byteCount: 1, phys: 1), task: 1, microseconds: 1)
        #expect(
            assembler.take(.populate(start: 5, end: 6, node: 0, altmap: 0), task: 1, microseconds: 2) == .unmatched)
        guard case .populated(let call) = assembler.take(.populated(errno: 0), task: 1, microseconds: 3) else {
            Issue.record("the second call is complete")
            return
        }
        #expect(call.start == 5)
        #expect(call.mappings.isEmpty)
    }
}
