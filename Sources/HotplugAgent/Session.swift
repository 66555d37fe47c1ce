// SPDX-License-Identifier: Apache-2.0

import AgentProtocol
import GuestMemory
import KernelState
import VmemmapPopulate

/// A mirroring agent: the kernel, the mirror with its event sources, and the harness's requests.
final class Session<System: AgentSystem> {
    private let system: System
    private let reader: KcoreReader
    private var kernel: Kernel { reader.kernel }
    private let keeper: MirrorKeeper<System>

    /// Opens and enables the source, then takes the snapshot, then drops events that the snapshot already holds.
    init(system: System) throws(SetupTrouble) {
        self.system = system
        guard let words = SharedRegionDevice.map(system: system) else { throw SetupTrouble("ivshmem") }
        do throws(KcoreReader.Missing) {
            reader = try KcoreReader(system: system)
        } catch {
            throw SetupTrouble(error.what)
        }
        let region: SharedRegion
        do throws(SharedRegionLayout.Problem) {
            let layout = try SharedRegionLayout(
                regionByteCount: words.byteCount, pageByteCount: reader.kernel.layout.pageByteCount)
            region = SharedRegion(words: words, layout: layout, order: .native)
        } catch {
            throw SetupTrouble("ivshmem-size")
        }
        guard
            let kibibytes = TraceBuffer.kibibytes(system: system, blockCapacity: region.layout.nodeCapacity)
        else { throw SetupTrouble("size-in-qemu_harness.trace_kib") }
        keeper = MirrorKeeper(system: system, reader: reader, region: region, bufferKibibytes: kibibytes)
        var missing: StaticString?
        do throws(MemoryAccessError) {
            try publishHeader()
            missing = try keeper.start()
            if missing == nil { try region.setHeader(.state, AgentState.ready.rawValue) }
        } catch {
            missing = "shared-region"
        }
        if let missing { throw SetupTrouble(missing) }
    }

    /// What can be waited for.
    var descriptors: [Int] { keeper.descriptors }

    /// The first line on the control channel: who is there, and what it has.
    func hello() -> ControlLine {
        ControlLine(identifier: 0, verb: "hello")
            .with("protocol", 1)
            .with("page", kernel.layout.pageByteCount)
            .with("mmu", kernel.mmu.rawValue)
            .with("vmemmap-base", reader.memoryMap.base ?? 0)
            .with("vmemmap-shift", reader.memoryMap.pageShift ?? 0)
            .with("vmcoreinfo", reader.noteAddress.rawValue)
            .with("source", keeper.eventSource.rawValue)
            .with("tried", text: SourceTrial.encode(keeper.trials))
            .with("region", keeper.mirror.region.layout.regionByteCount)
    }

    /// Reads what the sources have and mirrors it; false when they have nothing.
    func drain() -> Bool {
        keeper.drain()
    }

    /// Answers a request.
    func answer(to request: ControlLine) -> ControlLine {
        let reply = ControlLine(identifier: request.identifier, verb: "ok")
        do throws(MemoryAccessError) {
            if request.has(verb: "hello") {
                var again = hello()
                again.identifier = request.identifier
                again.verb = reply.verb
                return again
            }
            if request.has(verb: "drain") {
                keeper.drain()
                try keeper.publishUntoldFaults()
                return reply.with("events", keeper.mirror.eventCount)
            }
            if request.has(verb: "sync") {
                if let problem = try keeper.sync() { return Self.refusal(request, problem) }
                // From the agent's own memory: the host holds the region against it.
                return reply.with("events", keeper.mirror.eventCount).with("head", keeper.mirror.state.head)
                    .with("live", keeper.mirror.state.liveCount).with("freed", keeper.mirror.state.freedCount).with(
                        "losses", keeper.lossCount
                    ).with("heals", keeper.healCount)
            }
            if request.has(verb: "report") {
                guard let (report, isSteady) = report() else { return Self.refusal(request, "kcore") }
                try report.write(to: keeper.mirror.region)
                return reply.with("steady", isSteady ? 1 : 0).with(
                    "entries", UInt64(report.tables?.leaves.count ?? report.list.entries.count)
                ).with(
                    "blocks", UInt64(report.blocks.count)
                )
                .with("generation", try keeper.mirror.region.header(.generation))
            }
            return Self.refusal(request, "unknown-verb")
        } catch {
            return Self.refusal(request, "shared-region")
        }
    }

    private static func refusal(_ request: ControlLine, _ reason: StaticString) -> ControlLine {
        ControlLine(identifier: request.identifier, verb: "error").with("reason", text: bytes(reason))
    }

    private func publishHeader() throws(MemoryAccessError) {
        let region = keeper.mirror.region
        try region.initialize(release: kernel.release)
        try region.setHeader(.mmu, kernel.mmu.rawValue)
        try region.setHeader(.vmemmapBase, reader.memoryMap.base ?? 0)
        try region.setHeader(.vmemmapPageShift, reader.memoryMap.pageShift ?? 0)
        try region.setHeader(.eventSource, keeper.eventSource.rawValue)
    }

    /// The kernel's account and the memory blocks as the guest sees them now, and whether the account stands still. While
    /// memory comes and goes the harness asks for the blocks alone.
    private func report() -> (report: GuestReport, isSteady: Bool)? {
        let steadyWalk = reader.steadyList(system: system)
        guard let walk = steadyWalk ?? reader.list(system: system) else { return nil }
        var isSteady = steadyWalk != nil
        var tables: GuestReport.Tables?
        if keeper.rules == .radixTables {
            let steadyWalk = reader.steadyTables(system: system)
            guard let walk = steadyWalk ?? reader.tables(system: system) else { return nil }
            isSteady = isSteady && steadyWalk != nil
            tables = GuestReport.Tables(leaves: walk.leaves, fault: walk.faults.first)
        }
        let report = GuestReport(
            list: walk, tables: tables,
            blockByteCount: MemoryBlocks.byteCount(system: system), blocks: MemoryBlocks.all(system: system))
        return (report, isSteady)
    }
}
