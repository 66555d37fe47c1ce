// SPDX-License-Identifier: Apache-2.0

import AgentProtocol
import GuestMemory
import KernelState
import VmemmapPopulate

/// Keeps the mirror equal to the kernel's list: reads the event source and the kernel's log, and heals what they lost.
final class MirrorKeeper<System: AgentSystem> {
    private let system: System
    private let reader: KcoreReader
    /// How the kernel records what backs its memory map.
    let rules: PopulateRules
    private(set) var mirror: Mirror
    /// The kernel's log, which tells of LMBs on every kernel, and of populates where it has dynamic debug.
    private var log: KernelLog<System>?
    /// Kprobe events, where the kernel has what it takes.
    private var trace: TraceSource<System>?
    private var assembler = ProbeAssembler()
    private var faults: FaultLog
    /// What the log told of the time before the agent was there, until there is a ring to tell it in.
    private var past: [AgentEvent]
    /// The sources that were tried; the last one was taken.
    let trials: [SourceTrial]

    private(set) var lossCount: UInt64 = 0
    private(set) var healCount: UInt64 = 0
    /// Set when events were lost, or when an event does not say all that the mirror needs.
    private var needsHealing = false
    /// Between a snapshot and the marker that is written after it, events may tell what the snapshot already holds.
    private var isSeeding = true
    /// The newest marker that was written: the time at which that was, so that nobody writes it beforehand.
    private var marker: UInt64 = 0
    /// Where it has come back.
    private var isMarkerInLog = false
    private var isMarkerInTrace = false
    /// How many lines and records may still be read before the clock and the control channel are looked at again.
    private var readsLeft = 0

    /// How long the agent waits for its own marker.
    private static var markerTimeoutMicroseconds: UInt64 { 20_000_000 }
    /// How many snapshots a `sync` takes before it gives up.
    private static var healingLimit: Int { 8 }
    /// How much is read of sources that never run dry: more than one LMB's events.
    private static var readingLimit: Int { 65536 }

    /// Opens and enables the best source that the kernel has. The mirror is empty until ``start()``.
    init(system: System, reader: KcoreReader, region: SharedRegion, bufferKibibytes: UInt64) {
        self.system = system
        self.reader = reader
        mirror = Mirror(region: region) { system.microseconds() }
        rules = reader.rules(hasHadEntries: reader.kernel.mmu == .radix && reader.keepsList(system: system))
        log = KernelLog(system: system)
        // Only what is wrong with the kernel is of account: the snapshot holds what came of all else.
        var (faults, past): (FaultLog, [AgentEvent]) = (FaultLog(), [])
        let lostCount = log?.readPast { past += faults.take($0) } ?? 0
        if lostCount > 0 { past.append(.logBeginningLost(recordCount: lostCount)) }
        (self.faults, self.past) = (faults, past)
        var trials: [SourceTrial] = []
        do throws(TraceSource<System>.Refused) {
            let probes = rules == .radixTables ? Probe.forTables : Probe.forList(mmu: reader.kernel.mmu)
            trace = try TraceSource(system: system, probes: probes, bufferKibibytes: bufferKibibytes)
            trials.append(SourceTrial(.kprobes))
        } catch {
            trials.append(SourceTrial(.kprobes, refusals: error.refusals))
            // Where there is no list the messages carry no addresses.
            let refusals =
                rules == .radixTables
                ? [.init(bytes("block-addresses"))]
                : log?.enableDynamicDebug() ?? [.init(bytes("/dev/kmsg"))]
            trials.append(SourceTrial(.dynamicDebug, refusals: refusals))
            if !refusals.isEmpty { trials.append(SourceTrial(.snapshots)) }
        }
        self.trials = trials
    }

    /// The source that was taken.
    var eventSource: EventSource { trials.last?.source ?? .snapshots }

    /// What can be waited for.
    var descriptors: [Int] {
        [trace?.descriptor, log?.descriptor].compactMap { $0 }
    }

    /// Takes the first snapshot, then drops events that it already holds. Returns what is missing, or nil.
    func start() throws(MemoryAccessError) -> StaticString? {
        for event in past { try mirror.publish(event, microseconds: system.microseconds()) }
        past = []
        guard try rebuild(newcomers: .seeded) != nil else { return missingAccount }
        let silent = try catchUpWithSnapshot()
        isSeeding = false
        return silent
    }

    /// What there is no snapshot without.
    private var missingAccount: StaticString {
        guard rules == .radixTables else { return "vmemmap_list" }
        return reader.kernel.layout.pageTableRootAddress == nil ? "SYMBOL(swapper_pg_dir)" : "page-tables"
    }

    /// Reads what the sources have, up to a limit, and mirrors it; false when they have nothing.
    @discardableResult
    func drain() -> Bool {
        readsLeft = Self.readingLimit
        var hasRead = false
        do throws(MemoryAccessError) {
            hasRead = try drainTrace()
            while try takeRecord() { hasRead = true }
        } catch {
            // The region cannot be written: nothing that is kept there can be trusted, and `sync` will say so.
            needsHealing = true
        }
        return hasRead
    }

    /// Tells of the kernel's faults that were only counted so far.
    func publishUntoldFaults() throws(MemoryAccessError) {
        for event in faults.takeUntold() { try mirror.publish(event, microseconds: system.microseconds()) }
    }

    /// Reads the sources up to now and heals what was lost, until nothing is lost any more. Returns why that cannot be
    /// done, or nil.
    func sync() throws(MemoryAccessError) -> StaticString? {
        if let silent = try catchUp() { return silent }
        var isDue = eventSource == .snapshots
        var attemptCount = 0
        while needsHealing || isDue {
            guard attemptCount < Self.healingLimit else { return "mirror-does-not-settle" }
            attemptCount += 1
            if let problem = try heal() { return problem }
            isDue = false
        }
        try publishUntoldFaults()
        try mirror.publish(.synced(marker: marker), microseconds: system.microseconds())
        return nil
    }

    private func heal() throws(MemoryAccessError) -> StaticString? {
        needsHealing = false
        assembler.reset()
        isSeeding = true
        defer { isSeeding = false }
        guard let count = try rebuild(newcomers: .healed) else {
            needsHealing = true
            return "unreadable-list"
        }
        healCount += 1
        try mirror.region.setHeader(.healCount, healCount)
        try mirror.publish(.healed(entryCount: count), microseconds: system.microseconds())
        return try catchUpWithSnapshot()
    }

    /// Reads what happened while a snapshot was taken. Returns what keeps silent, or nil.
    private func catchUpWithSnapshot() throws(MemoryAccessError) -> StaticString? {
        let silent = try catchUp()
        // A snapshot in the middle of a call holds a part of its blocks.
        if silent != nil || assembler.hasOpenCalls { needsHealing = true }
        return silent
    }

    /// Writes a marker into each source and reads up to it. Returns what keeps silent, or nil.
    private func catchUp() throws(MemoryAccessError) -> StaticString? {
        marker = max(system.microseconds(), marker + 1)
        (isMarkerInLog, isMarkerInTrace) = (false, false)
        if let log, !log.write(marker: marker) { return "/dev/kmsg-does-not-answer" }
        if let trace, !trace.write(marker: marker) { return "trace_pipe-does-not-answer" }
        let deadline = system.microseconds() + Self.markerTimeoutMicroseconds
        var waiting = Waiting()
        var hasRead = true
        while true {
            let isTraceBehind = trace != nil && !isMarkerInTrace
            let isLogBehind = log != nil && !isMarkerInLog
            guard isTraceBehind || isLogBehind else { break }
            guard system.microseconds() < deadline else {
                return isTraceBehind ? "trace_pipe-does-not-answer" : "/dev/kmsg-does-not-answer"
            }
            readsLeft = Self.readingLimit
            let hasHit = try drainTrace()
            let hasRecord = try takeRecord()
            guard !hasHit, !hasRecord else {
                hasRead = true
                continue
            }
            waiting.wait(for: descriptors, milliseconds: 100, hasRead: hasRead, system: system)
            hasRead = false
        }
        if let count = trace?.takeUntoldLosses(), count > 0 {
            try noteLoss(eventCount: count, microseconds: system.microseconds())
        }
        return nil
    }

    /// Rebuilds the mirror from the kernel's account; nil when that cannot be read.
    private func rebuild(newcomers: Provenance) throws(MemoryAccessError) -> UInt64? {
        if rules == .radixTables {
            guard let walk = reader.steadyTables(system: system),
                let valid = reader.presentMemory(system: system)
            else { return nil }
            return try mirror.rebuild(
                from: walk.leaves, pageByteCount: reader.kernel.layout.pageByteCount, valid: valid,
                newcomers: newcomers,
                microseconds: system.microseconds())
        }
        guard let snapshot = reader.steadyList(system: system),
            let valid = reader.presentMemory(system: system)
        else { return nil }
        return try mirror.rebuild(
            from: snapshot.entries, valid: valid, newcomers: newcomers, microseconds: system.microseconds())
    }

    private func noteLoss(eventCount: UInt64, microseconds: UInt64) throws(MemoryAccessError) {
        lossCount += 1
        needsHealing = true
        assembler.reset()
        try mirror.region.setHeader(.lossCount, lossCount)
        try mirror.publish(.lost(recordCount: eventCount), microseconds: microseconds)
    }

    // MARK: - Kprobe events

    /// Reads all that the trace has, up to the limit; false when that is nothing.
    @discardableResult
    private func drainTrace() throws(MemoryAccessError) -> Bool {
        var hasAny = false
        while readsLeft > 0 {
            readsLeft -= 1
            switch trace?.next() {
            case .hit(let hit): try take(hit)
            case .lost(let count): try noteLoss(eventCount: count, microseconds: system.microseconds())
            case .nothingYet, nil: return hasAny
            }
            hasAny = true
        }
        return hasAny
    }

    private func take(_ hit: ProbeHit) throws(MemoryAccessError) {
        switch hit.event {
        case .populate, .allocate, .allocated, .map, .populated:
            switch assembler.take(hit.event, task: hit.task, microseconds: hit.microseconds) {
            case .pending: break
            case .populated(let call): try take(call, returnedAt: hit.microseconds)
            // What follows a loss belongs to calls whose beginning is lost: that was said.
            case .unmatched: if !needsHealing { try noteLoss(eventCount: 1, microseconds: hit.microseconds) }
            }
        case .free(let start, let end):
            try mirror.publish(.freeCalled(start: start, end: end), microseconds: hit.microseconds)
            if let memory = memory(describedIn: start, end) { mirror.mark(memory, isValid: false) }
            if rules == .radixTables { try freeFromTables(start, end, microseconds: hit.microseconds) }
        case .unmap(let virtAddr, _):
            let isKnown = try mirror.remove(virtAddr: virtAddr, microseconds: hit.microseconds)
            // The snapshot may hold what was populated there since.
            if isSeeding || !isKnown { needsHealing = true }
        case .marker(let marker):
            guard marker == self.marker else { return }
            isMarkerInTrace = true
            mirror.noteMark(writtenAt: marker, microseconds: hit.microseconds)
        case .other:
            break
        }
    }

    private func take(_ call: PopulateCall, returnedAt microseconds: UInt64) throws(MemoryAccessError) {
        try mirror.publish(
            .populateCalled(start: call.start, end: call.end, node: call.node, altmap: call.altmap),
            microseconds: call.microseconds)
        if let memory = memory(describedIn: call.start, call.end) { mirror.mark(memory, isValid: true) }
        if rules == .radixTables {
            try populateTables(call, microseconds: microseconds)
        } else {
            for mapping in call.mappings {
                try observe(
                    virtAddr: mapping.virtAddr, byteCount: mapping.byteCount, phys: mapping.phys,
                    microseconds: mapping.microseconds)
            }
            for block in call.unusedBlocks {
                let phys = LinearMap.physical(block)?.rawValue ?? block
                try mirror.publish(.blockUnused(phys: phys), microseconds: microseconds)
            }
        }
        if call.errno != 0 { try mirror.publish(.populateFailed(errno: call.errno), microseconds: microseconds) }
    }

    /// Mirrors a block, unless a snapshot has brought it: the kernel links it first and tells of it then, and what was
    /// not freed since cannot be given out again.
    private func observe(
        virtAddr: UInt64, byteCount: UInt64, phys: UInt64, microseconds: UInt64
    ) throws(MemoryAccessError) {
        guard try !mirror.holds(virtAddr: virtAddr, phys: phys) else { return }
        try mirror.observe(virtAddr: virtAddr, byteCount: byteCount, phys: phys, microseconds: microseconds)
    }

    private func populateTables(_ call: PopulateCall, microseconds: UInt64) throws(MemoryAccessError) {
        // What does not come out may be in the snapshot already.
        guard let geometry = tablesGeometry(call.start, call.end),
            try mirror.populateTables(call, geometry: geometry, microseconds: microseconds)
        else {
            needsHealing = true
            return
        }
    }

    private func freeFromTables(_ start: UInt64, _ end: UInt64, microseconds: UInt64) throws(MemoryAccessError) {
        // The snapshot may hold what was populated there since.
        guard !isSeeding, let geometry = tablesGeometry(start, end) else {
            needsHealing = true
            return
        }
        try mirror.freeTables(start: start, end: end, geometry: geometry, microseconds: microseconds)
    }

    /// The memory map's arithmetic for a call of this range, nil when no section's memory map is there.
    private func tablesGeometry(_ start: UInt64, _ end: UInt64) -> MemoryMapGeometry? {
        guard let geometry = reader.geometry, geometry.vmemmapBase <= start, start < end,
            end - start <= reader.kernel.layout.memoryMapBytesPerSection,
            end - geometry.vmemmapBase <= LinearMap.byteCount
        else { return nil }
        return geometry
    }

    // MARK: - The kernel's log

    /// Reads one record of the log; false when there is none for now, or the limit is reached.
    private func takeRecord() throws(MemoryAccessError) -> Bool {
        guard readsLeft > 0 else { return false }
        readsLeft -= 1
        switch log?.next() {
        case .record(let record):
            try take(record)
        case .lost(let recordCount, let record):
            try noteLoss(eventCount: recordCount, microseconds: record.microseconds)
            try take(record)
        case .nothingYet, .failed, nil:
            return false
        }
        return true
    }

    private func take(_ record: KernelRecord) throws(MemoryAccessError) {
        let time = record.microseconds
        for event in faults.take(record) { try mirror.publish(event, microseconds: time) }
        // Whoever has switched dynamic debug on: the trace tells the same, and nothing is mirrored twice.
        let isSource = eventSource == .dynamicDebug
        switch record.message {
        case .populate where !isSource, .block where !isSource, .free where !isSource:
            break
        case .populate(let start, let end, let node):
            try mirror.publish(.populateCalled(start: start, end: end, node: node), microseconds: time)
            // The section is valid once the call is through; should it fail, a free of the same range follows.
            if let memory = memory(describedIn: start, end) { mirror.mark(memory, isValid: true) }
        case .block(let start, let end, let pointer):
            // A pointer that the kernel hashed (no `no_hash_pointers`) says nothing: the entry is lost.
            guard let phys = LinearMap.physical(pointer)?.rawValue, end > start else {
                return try noteLoss(eventCount: 1, microseconds: time)
            }
            try observe(virtAddr: start, byteCount: end - start, phys: phys, microseconds: time)
        case .mappingFailed(let errno):
            // Whether the caller undid the populate, only the list tells.
            needsHealing = true
            try mirror.publish(.mappingFailed(errno: errno), microseconds: time)
        case .free(let start, let end):
            try mirror.publish(.freeCalled(start: start, end: end), microseconds: time)
            // The snapshot may hold what was populated there since.
            if isSeeding { needsHealing = true }
            guard let geometry = reader.geometry, let memory = memory(describedIn: start, end) else {
                needsHealing = true
                return
            }
            mirror.mark(memory, isValid: false)
            try mirror.free(start: start, end: end, geometry: geometry, microseconds: time)
        case .lmbAdded(let base, let drcIndex):
            try settle(.lmbAdded(base: base, drcIndex: drcIndex), microseconds: time)
        case .lmbRemoved(let base):
            try settle(.lmbRemoved(base: base), microseconds: time)
        case .hotplugFailed(let failure):
            try settle(.hotplugFailed(failure), microseconds: time)
        case .marker(let marker):
            guard marker == self.marker else { return }
            isMarkerInLog = true
            mirror.noteMark(writtenAt: marker, microseconds: time)
        case .other:
            break
        }
    }

    /// Publishes what came of an LMB, behind everything that the trace tells of how it came.
    private func settle(_ event: AgentEvent, microseconds: UInt64) throws(MemoryAccessError) {
        try drainTrace()
        try mirror.publish(event, microseconds: microseconds)
    }

    /// The memory that a call of `vmemmap_populate` or `vmemmap_free` was about; nil when its range is not valid.
    private func memory(describedIn start: UInt64, _ end: UInt64) -> Range<UInt64>? {
        reader.geometry?.memory(
            describedIn: start, end, mapBytesPerSection: reader.kernel.layout.memoryMapBytesPerSection)
    }
}
