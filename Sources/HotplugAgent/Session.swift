// SPDX-License-Identifier: Apache-2.0

import AgentProtocol
import GuestMemory
import VmemmapPopulate

/// A mirroring agent: the kernel, its log, and the mirror.
final class Session<System: AgentSystem> {
    private let system: System
    private let kernel: GuestKernel
    private var mirror: Mirror
    /// The kernel's log, which tells of LMBs on every kernel, and of populates where it has dynamic debug.
    private(set) var log: KernelLog<System>?
    private let eventSource: EventSource

    private var lossCount: UInt64 = 0
    private var healCount: UInt64 = 0
    /// Set when events were lost, or when an event does not say all that the mirror needs.
    private var needsHealing = false
    /// Between a snapshot and the marker that is written after it, events may tell what the snapshot already holds.
    private var isSeeding = true
    /// Whether the kernel's list was ever seen to have entries.
    private var hasHadEntries = false
    /// The newest marker that came back out of the log.
    private var markerReached: UInt64 = 0
    private var nextMarker: UInt64 = 1

    /// How long the agent waits for its own marker.
    private static var markerTimeoutMicroseconds: UInt64 { 20_000_000 }

    /// Opens and enables the source, then takes the snapshot, then drops events that the snapshot already holds.
    init(system: System) throws(SetupTrouble) {
        self.system = system
        guard let words = SharedRegionDevice.map(system: system) else { throw SetupTrouble("ivshmem") }
        do throws(GuestKernel.Missing) {
            kernel = try GuestKernel(system: system)
        } catch {
            throw SetupTrouble(error.what)
        }
        do throws(SharedRegionLayout.Problem) {
            let layout = try SharedRegionLayout(
                regionByteCount: words.byteCount, pageByteCount: kernel.layout.pageByteCount)
            mirror = Mirror(region: SharedRegion(words: words, layout: layout, order: .native))
        } catch {
            throw SetupTrouble("ivshmem-size")
        }
        log = KernelLog(system: system)
        eventSource = log?.enableDynamicDebug() == true ? .dynamicDebug : .snapshots
        do throws(MemoryAccessError) {
            guard try publishHeader(), try rebuild(newcomers: .seeded) != nil, try catchUp() else {
                throw MemoryAccessError.unmapped(0)
            }
            isSeeding = false
            try mirror.region.setHeader(.state, AgentState.ready.rawValue)
        } catch {
            throw SetupTrouble("vmemmap_list")
        }
    }

    /// The first line on the control channel: who is there, and what it has.
    func hello() -> ControlLine {
        ControlLine(identifier: 0, verb: "hello")
            .with("protocol", 1)
            .with("release", text: kernel.release)
            .with("page", kernel.layout.pageByteCount)
            .with("mmu", kernel.mmu.rawValue)
            .with("vmemmap-base", kernel.vmemmapBase)
            .with("vmemmap-shift", kernel.vmemmapPageShift)
            .with("vmcoreinfo", kernel.vmcoreinfoAddress.rawValue)
            .with("source", eventSource.rawValue)
            .with("region", mirror.region.layout.regionByteCount)
    }

    /// Reads what the log has and mirrors it.
    func drain() {
        do throws(MemoryAccessError) {
            while try takeRecord() {}
        } catch {
            // The region cannot be written: nothing that is kept there can be trusted, and `sync` will say so.
            needsHealing = true
        }
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
            if request.has(verb: "sync") {
                guard try sync() else { return Self.refusal(request, "source-does-not-answer") }
                // From the agent's own memory: the host holds the region against it.
                return reply.with("events", mirror.eventCount).with("head", mirror.state.head)
                    .with("live", mirror.state.liveCount).with("freed", mirror.state.freedCount).with(
                        "losses", lossCount
                    ).with("heals", healCount)
            }
            if request.has(verb: "report") {
                guard let report = report() else { return Self.refusal(request, "kcore") }
                try report.write(to: mirror.region)
                return reply.with("entries", UInt64(report.tables?.leaves.count ?? report.entries.count)).with(
                    "blocks", UInt64(report.blocks.count)
                )
                .with("generation", try mirror.region.header(.generation))
            }
            return Self.refusal(request, "unknown-verb")
        } catch {
            return Self.refusal(request, "shared-region")
        }
    }

    private static func refusal(_ request: ControlLine, _ reason: StaticString) -> ControlLine {
        ControlLine(identifier: request.identifier, verb: "error").with("reason", text: bytes(reason))
    }

    private func publishHeader() throws(MemoryAccessError) -> Bool {
        let region = mirror.region
        try region.initialize(release: kernel.release)
        try region.setHeader(.mmu, kernel.mmu.rawValue)
        try region.setHeader(.vmemmapBase, kernel.vmemmapBase)
        try region.setHeader(.vmemmapPageShift, kernel.vmemmapPageShift)
        try region.setHeader(.eventSource, eventSource.rawValue)
        return true
    }

    /// Reads the source up to now and heals what was lost; false when the source does not give the marker back.
    private func sync() throws(MemoryAccessError) -> Bool {
        guard try catchUp() else { return false }
        if needsHealing || eventSource == .snapshots {
            guard let count = try rebuild(newcomers: .healed) else { return false }
            healCount += 1
            try mirror.region.setHeader(.healCount, healCount)
            try mirror.publish(.healed(entryCount: count), microseconds: system.microseconds())
            needsHealing = false
            isSeeding = true
            defer { isSeeding = false }
            guard try catchUp() else {
                needsHealing = true
                return false
            }
        }
        try mirror.publish(.synced(marker: markerReached), microseconds: system.microseconds())
        return true
    }

    /// Writes a marker into the source and reads up to it.
    private func catchUp() throws(MemoryAccessError) -> Bool {
        guard let log else { return true }
        let marker = nextMarker
        nextMarker += 1
        guard log.write(marker: marker) else { return false }
        let deadline = system.microseconds() + Self.markerTimeoutMicroseconds
        while markerReached < marker {
            guard system.microseconds() < deadline else { return false }
            if try !takeRecord() {
                _ = system.wait(log.descriptor, nil, milliseconds: 100)
            }
        }
        return true
    }

    /// Rebuilds the mirror from the kernel's list; nil when that cannot be read.
    private func rebuild(newcomers: Provenance) throws(MemoryAccessError) -> UInt64? {
        guard let snapshot = kernel.listSnapshot(system: system),
            let valid = kernel.presentMemory(system: system)
        else { return nil }
        hasHadEntries = hasHadEntries || snapshot.head != 0
        return try mirror.rebuild(
            from: snapshot.nodes, valid: valid, newcomers: newcomers, microseconds: system.microseconds())
    }

    /// Reads one record of the log; false when there is none for now.
    private func takeRecord() throws(MemoryAccessError) -> Bool {
        switch log?.next() {
        case .record(let record):
            try take(record)
        case .lost(let recordCount, let record):
            try noteLoss(recordCount: recordCount, microseconds: record.microseconds)
            try take(record)
        case .nothingYet, .failed, nil:
            return false
        }
        return true
    }

    private func noteLoss(recordCount: UInt64, microseconds: UInt64) throws(MemoryAccessError) {
        lossCount += 1
        needsHealing = true
        try mirror.region.setHeader(.lossCount, lossCount)
        try mirror.publish(.lost(recordCount: recordCount), microseconds: microseconds)
    }

    private func take(_ record: KernelRecord) throws(MemoryAccessError) {
        let time = record.microseconds
        switch record.message {
        case .populate(let start, let end, let node):
            try mirror.publish(.populateCalled(start: start, end: end, node: node), microseconds: time)
            // The section is valid once the call is through; should it fail, a free of the same range follows.
            if let memory = memory(describedIn: start, end) { mirror.mark(memory, isValid: true) }
        case .block(let start, let end, let pointer):
            // A pointer that the kernel hashed (no `no_hash_pointers`) says nothing: the entry is lost.
            guard let phys = LinearMap.physical(pointer)?.rawValue, end > start else {
                return try noteLoss(recordCount: 1, microseconds: time)
            }
            if isSeeding, mirror.holds(virtAddr: start, phys: phys) { return }
            try mirror.observe(virtAddr: start, byteCount: end - start, phys: phys, microseconds: time)
        case .mappingFailed(let errno):
            // Whether the caller undid the populate, only the list tells.
            needsHealing = true
            try mirror.publish(.mappingFailed(errno: errno), microseconds: time)
        case .free(let start, let end):
            try mirror.publish(.freeCalled(start: start, end: end), microseconds: time)
            guard let geometry = kernel.geometry, let memory = memory(describedIn: start, end) else {
                needsHealing = true
                return
            }
            mirror.mark(memory, isValid: false)
            try mirror.free(start: start, end: end, geometry: geometry, microseconds: time)
        case .lmbAdded(let base, let drcIndex):
            try mirror.publish(.lmbAdded(base: base, drcIndex: drcIndex), microseconds: time)
        case .lmbRemoved(let base):
            try mirror.publish(.lmbRemoved(base: base), microseconds: time)
        case .hotplugFailed(let failure):
            try mirror.publish(.hotplugFailed(failure), microseconds: time)
        case .marker(let marker):
            markerReached = max(markerReached, marker)
        case .other:
            break
        }
    }

    /// The memory that a call of `vmemmap_populate` or `vmemmap_free` was about; nil when its range is none.
    private func memory(describedIn start: UInt64, _ end: UInt64) -> Range<UInt64>? {
        kernel.geometry?.memory(
            describedIn: start, end, mapBytesPerSection: kernel.layout.memoryMapBytesPerSection)
    }

    /// The kernel's account and the memory blocks as the guest sees them now.
    private func report() -> GuestReport? {
        guard let walk = kernel.listSnapshot(system: system) else { return nil }
        hasHadEntries = hasHadEntries || walk.head != 0
        var tables: GuestReport.Tables?
        if kernel.rules(hasHadEntries: hasHadEntries) == .radixTables {
            guard let walk = kernel.memoryMapTables(system: system) else { return nil }
            tables = GuestReport.Tables(leaves: walk.leaves, fault: walk.faults.first)
        }
        let (end, endAddress): (GuestReport.End, UInt64) =
            switch walk.end {
            case .terminated: (.terminated, 0)
            case .cycle(let address): (.cycle, address)
            case .misplaced(let address): (.misplaced, address)
            case .unreadable(let error): (.unreadable, error.address)
            case .limitReached: (.limitReached, 0)
            }
        return GuestReport(
            head: walk.head,
            entries: walk.nodes.map {
                GuestReport.Entry(
                    node: $0.address, list: $0.backing.list, phys: $0.backing.phys, virtAddr: $0.backing.virtAddr)
            },
            tables: tables, end: end, endAddress: endAddress,
            blockByteCount: MemoryBlocks.byteCount(system: system), blocks: MemoryBlocks.all(system: system))
    }
}
