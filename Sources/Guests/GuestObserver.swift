// SPDX-License-Identifier: Apache-2.0

import AgentProtocol
import GuestMemory
import KernelState
import MemoryBackends
package import RunRecord
package import Verification
package import VmemmapPopulate

/// What a guest tells of itself: the events of its agent, and what follows from them.
package actor GuestObserver {
    private let agent: AgentClient
    private let watch: MachineWatch
    private let timeouts: Timeouts
    private let events: RunEvents
    private let console: ConsoleLog
    /// Whether an agent was ever there: until then a panic may be the fault of what the guest was made of.
    private var wasUp = false
    private var feed: EventFeed?
    /// The shared region as its agent has laid it out; nil until the guest is up.
    private var region: SharedRegion?
    private var historyKeeper: HistoryKeeper?
    /// What the guest has said of its LMBs.
    private(set) var lmbs = LMBLedger()
    /// What the guest's kernel has said of its own faults.
    private var faults = FaultLedger()
    /// The most entries that the kernel's list has had.
    private var peak = EntryPeak()
    /// How long after the kernel the mirror had its changes, since that was last asked for.
    private var lags: [UInt64] = []
    /// More changes than one step makes.
    private static let lagLimit = 1 << 20

    init(agent: AgentClient, watch: MachineWatch, timeouts: Timeouts, events: RunEvents, console: ConsoleLog) {
        self.agent = agent
        self.watch = watch
        self.timeouts = timeouts
        self.events = events
        self.console = console
    }

    /// A kernel is up, with this memory. What was known of another one is not known of this one.
    func begin(_ booted: BootedKernel, memory: GuestRAM) {
        feed = EventFeed(region: booted.region)
        region = booted.region
        historyKeeper = HistoryKeeper(
            bootMemory: memory.regions.map(MemoryRange.init), layout: booted.kernel.layout,
            hello: booted.hello)
        lmbs = LMBLedger(present: memory.regions.map(\.range))
        peak = EntryPeak()
        notePeak(booted.list)
        wasUp = true
    }

    /// The kernel is gone.
    func end() {
        (feed, region) = (nil, nil)
    }

    /// The kernel has died as it was meant to, and another one runs: what the console holds of it is no fault.
    func passOverConsole() { console.passOver() }

    // MARK: - Events

    /// Takes what is new in the event ring into the record, and into account.
    package func drain() throws {
        guard var feed else { return }
        for (ringRecord, event) in try feed.drain() {
            guard let event else {
                try events.note(.unknownGuestEvent(kind: ringRecord.kind))
                continue
            }
            let lag = MirrorLag.lag(of: event, in: ringRecord)
            if let lag, lags.count < Self.lagLimit { lags.append(lag) }
            try events.note(
                .guest(event, sequence: ringRecord.sequence, microseconds: ringRecord.microseconds, lag: lag))
            take(event)
        }
        historyKeeper?.takeMissed(count: feed.missedCount)
        self.feed = feed
    }

    /// Has the agent read its sources up to now, and takes in what it tells.
    ///
    /// A dump-capture kernel's agent has none.
    func readLog() async throws {
        guard feed != nil else { return }
        _ = try await agent.ask("drain")
        try drain()
    }

    /// Takes into account what has happened in the guest, once, though the log and an answer may both have said it.
    func take(_ event: AgentEvent) {
        peak.take(event)
        faults.note(event)
        if lmbs.note(event) { historyKeeper?.take(event) }
    }

    /// How far the mirror was behind the kernel since the last time; nil when it has not changed.
    package func takeMirrorLag() -> MirrorLag? {
        defer { lags = [] }
        return MirrorLag(lags)
    }

    // MARK: - Memory

    /// The LMB at an address was added by that alone.
    func noteProbe(of base: UInt64) { lmbs.noteProbe(of: base) }

    /// The memory blocks in a range that the guest's newest report has, by address.
    func reportedBlocks(in range: Range<UInt64>) -> [UInt64: MemoryBlock.State] {
        guard let region, let report = try? GuestReport(from: region), report.blockByteCount > 0 else { return [:] }
        let numbers = range.lowerBound / report.blockByteCount..<range.upperBound / report.blockByteCount
        let blocks = report.blocks.filter { numbers.contains($0.index) }
        return Dictionary(blocks.map { ($0.index * report.blockByteCount, $0.state) }) { first, _ in first }
    }

    /// What is known of the guest's memory since it booted; nil until the guest is up.
    package var history: HotplugHistory? { historyKeeper?.history }

    /// The sections whose populate failed, by address, in order.
    var failedSections: [UInt64] { history?.steps.filter { $0.change == .failed }.map(\.base) ?? [] }

    /// The guest has the LMBs at these addresses of a range, and no others, and has not said how it came to that.
    func takeBack(_ range: Range<UInt64>, present: Set<UInt64>) { lmbs.takeBack(range, present: present) }

    /// The machine has no memory in a range any more.
    func forget(_ range: Range<UInt64>) { lmbs.forget(range) }

    /// Takes the length of the kernel's list into account, and gives the longest so far. A walk that does not end counts
    /// nothing.
    @discardableResult
    package func notePeak(_ list: ListWalk) -> Int {
        if list.end == .terminated { peak.note(entryCount: list.entries.count) }
        return max(peak.entryCount, list.entries.count)
    }

    // MARK: - The kernel's own faults

    /// What the kernel has reported of itself since the last time, up to now.
    package func takeFaults() async throws -> (findings: [Finding], note: String?) {
        if await watch.end == nil { try await readLog() } else { noteConsole() }
        return faults.take()
    }

    /// What the kernel has reported of itself before the guest was lost, by the agent or on the console alone.
    ///
    /// Nothing as long as no agent has been there: then there was no guest yet.
    package func takeLastFaults(after error: any Error) async -> [Finding] {
        guard wasUp, !(error is CancellationError) else { return [] }
        await watch.waitForCause(of: error, within: timeouts.ending)
        try? drain()
        noteConsole()
        return faults.take().findings
    }

    /// The console counts only when the guest is gone: any program may write there.
    private func noteConsole() { faults.note(console: console.messages()) }
}
