// SPDX-License-Identifier: Apache-2.0

import AgentProtocol
import GuestMemory
import KernelState
import VmemmapPopulate

/// The agent in a dump-capture kernel: it reads the kernel that died before in /proc/vmcore, and reports it.
///
/// The region is that of the dead kernel's agent, and stays so: only the capture header and the report area behind the
/// first one are written. What is known of the dead kernel comes from the dump; of this kernel nothing is taken for it.
final class CaptureSession<System: AgentSystem> {
    private let system: System
    private let region: SharedRegion
    private let kernel: Kernel
    private let memoryMap: MemoryMap
    private let extent: (pieceCount: UInt64, byteCount: UInt64)

    /// Whether the kernel that runs is a dump-capture kernel, before anything is written: there is a dump, or the kernel was
    /// told where one's header is and has made none of it.
    static func isDue(system: System) -> Bool {
        if let dump = system.open("/proc/vmcore", .read) {
            system.close(dump)
            return true
        }
        let words = (system.content("/proc/cmdline") ?? []).split(separator: 0x20)
        return words.contains { word in
            var word = word
            return word.skip("elfcorehdr=")
        }
    }

    /// No guest of the harness has more than 16 TiB, nor a list of more than the densest one's of 1 TiB.
    private static var bounds: ReadingBounds {
        ReadingBounds(memoryEnd: PhysicalAddress(16 << 40), nodeLimit: 4096 * 1024)
    }

    /// Reads what the dump says of the dead kernel, and writes the capture header.
    init(system: System) throws(SetupTrouble) {
        self.system = system
        guard let words = SharedRegionDevice.map(system: system) else { throw SetupTrouble("ivshmem") }
        region = try Self.region(words)
        guard let dump = CoreFile(.dead, system: system) else { throw SetupTrouble("vmcore-elf") }
        guard let info = dump.vmcoreinfo else { throw SetupTrouble("vmcoreinfo-note") }
        extent = dump.extent
        var kernel: Kernel
        do throws(Kernel.Problem) {
            kernel = try Kernel(note: KernelNote(info: info, order: .native, addresses: [])) { _ in
                SymbolLookup(addresses: [], reason: bytes("a dump has no symbol table"))
            }
        } catch {
            throw SetupTrouble(error.key)
        }
        guard kernel.layout.pageByteCount == region.layout.pageByteCount else { throw SetupTrouble("region-header") }
        do throws(KernelReadError) {
            memoryMap = try kernel.memoryMap(in: dump)
        } catch {
            throw SetupTrouble(Self.reason(error.part))
        }
        do throws(MemoryAccessError) {
            // What a note does not say, the dead kernel's agent had from that kernel's /proc/cpuinfo.
            kernel.learn(mmu: MMU(rawValue: try region.header(.mmu)) ?? .unknown, from: .cpuinfo)
            try region.initializeCapture(release: system.content("/proc/sys/kernel/osrelease") ?? [])
            try region.store(AgentState.ready.rawValue, at: SharedRegionLayout.CaptureField.state.offset)
        } catch {
            throw SetupTrouble("shared-region")
        }
        self.kernel = kernel
    }

    /// The region as the first header lays it out, every word of which has to be as the format has it.
    private static func region(_ words: MappedWords) throws(SetupTrouble) -> SharedRegion {
        let order = ByteOrder.native
        guard let stored = try? words.load(at: SharedRegionLayout.Field.pageByteCount.offset),
            let layout = try? SharedRegionLayout(
                regionByteCount: words.byteCount, pageByteCount: order.value(ofStored: stored))
        else { throw SetupTrouble("region-header") }
        let region = SharedRegion(words: words, layout: layout, order: order)
        for (field, value) in [(.magic, SharedRegionLayout.magic)] + layout.fixedFields() {
            guard (try? region.header(field)) == value else { throw SetupTrouble("region-header") }
        }
        return region
    }

    /// The first line on the control channel: who is there, and what the dump has.
    func hello() -> ControlLine {
        ControlLine(identifier: 0, verb: "hello")
            .with("protocol", 1)
            .with("role", text: bytes("capture"))
            .with("page", kernel.layout.pageByteCount)
            .with("mmu", kernel.mmu.rawValue)
            .with("vmemmap-base", memoryMap.base ?? 0)
            .with("vmemmap-shift", memoryMap.pageShift ?? 0)
            .with("region", region.layout.regionByteCount)
            .with("loads", extent.pieceCount)
            .with("dump-bytes", extent.byteCount)
    }

    /// Answers a request.
    func answer(to request: ControlLine) -> ControlLine {
        if request.has(verb: "hello") {
            var again = hello()
            again.identifier = request.identifier
            again.verb = bytes("ok")
            return again
        }
        if request.has(verb: "dump") {
            guard var writer = DumpWriter(system: system) else { return Self.refusal(request, "no-dump-area") }
            return writer.answer(to: request, system: system)
        }
        guard request.has(verb: "report") else { return Self.refusal(request, "unknown-verb") }
        guard let dump = CoreFile(.dead, system: system) else { return Self.refusal(request, "vmcore-elf") }
        let state: KernelState
        do throws(KernelReadError) {
            state = try KernelState(of: kernel, in: dump, within: Self.bounds)
        } catch {
            return Self.refusal(request, Self.reason(error.part))
        }
        let report = report(state)
        let missing = blocks(of: state, report, missingIn: dump.memory)
        do throws(MemoryAccessError) {
            try report.write(to: region, area: .capture)
        } catch {
            return Self.refusal(request, "shared-region")
        }
        let answer = ControlLine(identifier: request.identifier, verb: "ok")
            .with("steady", 1)
            .with("entries", UInt64(report.tables?.leaves.count ?? report.list.entries.count))
            .with("blocks", UInt64(report.blocks.count))
        guard let missing else { return answer }
        return answer.with("unreachable", missing.count).with("first-unreachable", missing.first)
    }

    private static func refusal(_ request: ControlLine, _ reason: StaticString) -> ControlLine {
        ControlLine(identifier: request.identifier, verb: "error").with("reason", text: bytes(reason))
    }

    private static func reason(_ part: KernelReadError.Part) -> StaticString {
        switch part {
        case .listHead: "list-head-not-in-dump"
        case .sectionTable: "sections-not-in-dump"
        case .pageSizes: "page-sizes-not-in-dump"
        }
    }

    /// The dead kernel's account, with its sections in the place of memory blocks.
    private func report(_ state: KernelState) -> GuestReport {
        let rules = kernel.rules(of: state.memoryMap, hasHadEntries: state.list.head != 0)
        var tables: GuestReport.Tables?
        if rules == .radixTables, let walk = state.tables {
            tables = GuestReport.Tables(leaves: walk.leaves, fault: walk.faults.first)
        }
        return GuestReport(
            list: state.list, tables: tables, blockByteCount: 1 << kernel.layout.sectionSizeBits,
            blocks: state.sections.map { MemoryBlock(index: $0.number, state: $0.isOnline ? .online : .offline) })
    }

    /// How many entries have a block that is not wholly in a dump with this memory, and the window of the first; nil where
    /// nothing tells how large a block is.
    private func blocks(
        of state: KernelState, _ report: GuestReport, missingIn memory: MemoryRanges
    ) -> (count: UInt64, first: UInt64)? {
        var missing: (count: UInt64, first: UInt64) = (0, 0)
        func look(_ virtAddr: UInt64, _ phys: UInt64, _ byteCount: UInt64) {
            let (end, overflows) = phys.addingReportingOverflow(byteCount)
            if !overflows, memory.contains(phys..<end) { return }
            if missing.count == 0 { missing.first = virtAddr }
            missing.count += 1
        }
        if let tables = report.tables {
            for leaf in tables.leaves { look(leaf.virtAddr, leaf.phys, leaf.byteCount) }
        } else {
            guard let shift = state.memoryMap.pageShift else { return nil }
            for entry in state.list.entries { look(entry.virtAddr, entry.phys, 1 << shift) }
        }
        return missing
    }
}
