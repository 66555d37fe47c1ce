// SPDX-License-Identifier: Apache-2.0

import AgentProtocol
import Foundation
import Glibc
import GuestMemory
import HarnessBasics
import Libvirt
import MemoryBackends
import RunRecord
import SystemPackage
import Verification
import VmemmapPopulate

/// A real guest: its domain, its QEMU, its agent, and its memory as the host sees it.
actor GuestMachine {
    let configuration: GuestConfiguration
    let timeouts: Timeouts
    let record: RunDirectory
    let domain: Domain
    private let process: QemuProcess
    private let channel: AgentChannel
    private let regionFile: MappedFile
    private let console: ConsoleKeeper
    private var processEnd: QemuProcess.ExitStatus?
    /// QEMU's and libvirt's words for the guest's end.
    private var shutdownReason: String?
    private var stopReason: DomainEvent.StopReason?
    private var hasCrashed = false
    private var machineEvents: Task<Void, Never>?
    /// DIMMs that the machine says the guest refused to give up, since they were last asked for.
    var machineRefusals: Set<String> = []

    /// What the agent said first; nil until it did.
    private(set) var hello: Hello?
    /// The kernel as its own memory describes it; nil until the guest is up.
    private(set) var kernel: RunningKernel?
    /// The witnesses that the guest can give; none until it is up.
    private(set) var witnesses: [Witness] = []
    /// Boot RAM and DIMMs.
    var memory = GuestRAM([])
    private var feed: EventFeed?
    private var historyKeeper: HistoryKeeper?
    /// What the guest has said of its LMBs.
    var lmbs = LMBLedger()
    /// What the guest's kernel has said of its own faults.
    private var faults = FaultLedger()
    /// Whether an agent was ever there: until then a panic may be the fault of what the guest was made of.
    private var wasUp = false
    /// Unplugs that the guest has not settled.
    var unplugs = UnplugQueue()
    /// DIMMs that the guest has refused to give up.
    var refusedUnplugs: Set<String> = []
    /// The end of the highest memory that the guest ever had.
    var memoryEnd = PhysicalAddress(0)
    /// The most entries that the kernel's list has had.
    var peak = EntryPeak()
    /// How many DIMMs were ever plugged.
    var dimmCount = 0

    /// Starts the domain. The guest is not up yet when this returns: see ``waitForAgent()``.
    ///
    /// The shared region's file is made first, for this user only and in full size: QEMU would make it readable for all.
    static func start(
        _ configuration: GuestConfiguration, root: EmbeddedRoot, connection: Connection,
        owner: (user: UInt32, group: UInt32)?, record: RunDirectory, timeouts: Timeouts
    ) async throws -> GuestMachine {
        let region = root.sharedMemoryFile
        let descriptor = try FileDescriptor.open(
            region, .readWrite, options: [.create, .exclusiveCreate], permissions: [.ownerReadWrite])
        var domain: Domain?
        do {
            try descriptor.closeAfter {
                try descriptor.resize(to: Int64(configuration.sharedRegionByteCount))
                // A daemon may run QEMU as another user; only root can give it the file, and only root reads its memory.
                if let owner, owner.user != geteuid(), fchown(descriptor.rawValue, owner.user, owner.group) != 0 {
                    throw Errno(rawValue: errno)
                }
            }
            let regionFile = try MappedFile(region, byteCount: configuration.sharedRegionByteCount)
            let description = configuration.domain(
                name: root.domainName, console: FilePath(record.consoleLog.path), control: root.controlSocket,
                sharedName: root.sharedMemoryName)
            let xml = try description.xml()
            try record.write(domainXML: xml)
            let created = try await root.reaping { try await connection.createTransient(xml: xml) }
            domain = created
            let process = try await QemuProcess(of: created)
            let channel = try AgentChannel(socket: root.controlSocket)
            let machine = GuestMachine(
                configuration: configuration, timeouts: timeouts, record: record, domain: created, process: process,
                channel: channel, regionFile: regionFile)
            await machine.watch(try await created.events())
            return machine
        } catch {
            try? await domain?.destroy()
            unlink(region.string)
            throw error
        }
    }

    private init(
        configuration: GuestConfiguration, timeouts: Timeouts, record: RunDirectory, domain: Domain,
        process: QemuProcess, channel: AgentChannel, regionFile: MappedFile
    ) {
        self.configuration = configuration
        self.timeouts = timeouts
        self.record = record
        self.domain = domain
        self.process = process
        self.channel = channel
        self.regionFile = regionFile
        console = ConsoleKeeper(file: record.consoleLog, limit: configuration.consoleByteLimit)
        console.start()
    }

    private func watch(_ events: AsyncStream<DomainEvent>) async {
        await channel.start()
        machineEvents = Task { [weak self] in
            for await event in events { await self?.note(event) }
        }
        Task { [weak self, process] in
            let status = try? await process.exit()
            await self?.note(end: status ?? .unknown)
        }
    }

    private func note(_ event: DomainEvent) {
        switch event {
        case .deviceRemovalFailed(let alias): machineRefusals.insert(alias)
        // The first counts: libvirt ends a QEMU whose guest has ended with a signal, of which QEMU tells likewise.
        case .emulatorShutDown(let reason): shutdownReason = shutdownReason ?? reason
        case .crashed: hasCrashed = true
        case .stopped(let reason): stopReason = reason
        default: break
        }
        let (name, fields) = event.recorded
        // A record that cannot be written any more ends the run at its next step.
        try? record.append("machine.\(name)", fields)
    }

    private func note(end: QemuProcess.ExitStatus) {
        processEnd = end
    }

    // MARK: - Up and down

    /// Waits for the agent's hello, then finds the kernel in guest RAM.
    func waitForAgent() async throws {
        let heard = try await waitUntil(within: timeouts.boot) { () async throws -> Hello? in
            try await checkAlive()
            while let line = await channel.takeAnnouncement() {
                if line.has(verb: "hello") { return try Hello(line) }
                try note(line)
                if let missing = line.text("missing") {
                    throw HarnessError.infrastructure(
                        "the agent cannot work in this guest: it has no \(String(decoding: missing, as: UTF8.self))")
                }
            }
            return nil
        }
        guard let heard else {
            throw HarnessError.infrastructure("the agent has not said hello within \(timeouts.boot)")
        }
        try await refreshMemory()
        let kernel = try RunningKernel(in: memory, image: FilePath(configuration.kernel.path))
        try heard.check(against: kernel, in: memory, regionByteCount: configuration.sharedRegionByteCount)
        hello = heard
        wasUp = true
        self.kernel = kernel
        historyKeeper = HistoryKeeper(
            bootMemory: memory.regions.map(MemoryRange.init), layout: kernel.layout, hello: heard)
        try openRegion(kernel: kernel)
        peak = EntryPeak()
        notePeak(try kernelList())
        let rules = PopulateRules(
            isRadix: heard.mmu == .radix, vmemmapPageShift: heard.vmemmapPageShift,
            hasHadEntries: peak.entryCount > 0)
        witnesses = Witness.given(by: rules == .radixTables ? .pageTables : .list, heard.mmu(of: kernel.layout).mmu)
    }

    /// Has the guest start anew, its DIMMs plugged, and waits for its agent.
    ///
    /// Any other reboot ends the guest. What was known of its kernel is not known of the next one.
    func reboot() async throws {
        // The next agent lays the region out anew.
        try await readLog()
        try await domain.setRebootAction(.restart)
        _ = try await ask("reboot")
        (hello, kernel, region, feed) = (nil, nil, nil, nil)
        try await waitForAgent()
        try await domain.setRebootAction(.destroy)
        // QEMU takes a DIMM away on reset if its unplug was pending; the others are memory like any other now.
        (unplugs, refusedUnplugs, machineRefusals) = (UnplugQueue(), [], [])
        lmbs = LMBLedger(present: memory.regions.map(\.range))
    }

    private func openRegion(kernel: RunningKernel) throws {
        let layout = try SharedRegionLayout(
            regionByteCount: configuration.sharedRegionByteCount, pageByteCount: kernel.layout.pageByteCount)
        feed = EventFeed(region: SharedRegion(words: regionFile.words, layout: layout, order: kernel.order))
        region = SharedRegion(words: regionFile.words, layout: layout, order: kernel.order)
    }

    /// The shared region, laid out as the host computes it; nil until the guest is up.
    private(set) var region: SharedRegion?

    /// Has the agent switch the guest off, and waits until QEMU has ended. Throws when it does not, and when anything else
    /// than the guest's own power-off was the reason.
    func powerOff() async throws {
        do {
            try await readLog()
            _ = try await ask("poweroff")
        } catch let error where error is Ended || error is Errno {
            // The guest was faster than its answer, or QEMU had ended before it was asked.
        }
        let end = try await waitUntil(within: timeouts.powerOff) { processEnd }
        guard let end else {
            throw HarnessError.infrastructure("the guest has not switched itself off within \(timeouts.powerOff)")
        }
        // libvirt hears of the end by itself, and all that QEMU said before is told before.
        _ = try await waitUntil(within: timeouts.powerOff) { stopReason }
        if ConsoleLog(file: record.consoleLog).panicLine() != nil { throw Ended() }
        let powerOff = PowerOff(
            processEnd: end, shutdownReason: shutdownReason, stopReason: stopReason, hasCrashed: hasCrashed)
        if let problem = powerOff.problem { throw HarnessError.infrastructure(problem) }
    }

    /// Ends the guest, whatever state it is in, and everything that was opened for it.
    func destroy() async {
        await channel.close()
        if processEnd == nil { try? await domain.destroy() }
        if await !hasEnded(within: timeouts.powerOff) {
            kill()
            _ = await hasEnded(within: timeouts.powerOff)
        }
        // libvirt hears of the end by itself, and then cleans up: until then it knows the domain.
        _ = try? await waitUntil(within: timeouts.powerOff) { (try? await domain.state()) == nil ? true : nil }
        machineEvents?.cancel()
        await machineEvents?.value
        await console.finish()
        unlink(regionFile.path.string)
    }

    /// About how many bytes of the console are not in the record.
    var leftOutConsoleByteCount: Int { console.leftOutByteCount }

    /// Whether QEMU is not known to have ended.
    var isAlive: Bool { processEnd == nil }

    /// Kills QEMU, whatever libvirt is doing.
    nonisolated func kill() {
        // A QEMU that may not be killed is one that has not ended, which destroy() finds out.
        try? process.kill()
    }

    private func hasEnded(within limit: Duration) async -> Bool {
        (try? await waitUntil(within: limit) { processEnd }) != nil
    }

    // MARK: - Losing it

    /// QEMU is gone; what that means is found out in ``explained(_:)``.
    private struct Ended: Error {}

    /// Throws when QEMU has ended, when the guest has started anew, or when it says more than it may.
    func checkAlive() async throws {
        if processEnd != nil { throw Ended() }
        if await channel.isFlooded() {
            throw HarnessError.infrastructure(
                "the guest has written more than \(AgentInbox.unaskedByteLimit) bytes to the control channel that nobody "
                    + "asked for")
        }
        guard hello != nil else { return }
        while let line = await channel.takeAnnouncement() {
            try note(line)
            if line.has(verb: "hello") {
                throw HarnessError.infrastructure("the guest has started anew: its agent said hello a second time")
            }
        }
    }

    private func note(_ announcement: ControlLine) throws {
        try record.append(
            "agent.announced", ["line": String(decoding: announcement.encoded.dropLast().prefix(400), as: UTF8.self)])
    }

    /// What a run says about an error: the end of the guest if that was its cause, and the last that the guest said.
    func explained(_ error: any Error) async -> any Error {
        if error is CancellationError { return error }
        if case HarnessError.usage = error { return error }
        // Calls fail a moment before the end of QEMU, which made them fail, is known.
        if !(error is HarnessError) { _ = await hasEnded(within: timeouts.ending) }
        let console = ConsoleLog(file: record.consoleLog)
        var causes: [String] = []
        if let panic = console.panicLine() {
            causes.append("the guest's kernel has panicked (\(panic))")
        } else if let processEnd {
            causes.append("qemu \(processEnd), which this program has not asked for")
        }
        if !(error is Ended) { causes.append("\(error)") }
        if let complaint = await channel.complaint() { causes.append(complaint) }
        let lines = console.lastLines(10)
        causes.append(
            lines.isEmpty ? "the console is empty" : "the console ends:\n  " + lines.joined(separator: "\n  "))
        return HarnessError.infrastructure(causes.joined(separator: "; "))
    }

    // MARK: - The kernel's own faults

    /// What the kernel has reported of itself since the last time, up to now.
    func takeFaults() async throws -> (findings: [Finding], note: String?) {
        if processEnd == nil { try await readLog() } else { noteConsole() }
        return faults.take()
    }

    /// Has the agent read its sources up to now, and takes in what it tells.
    private func readLog() async throws {
        _ = try await ask("drain")
        try drainEvents()
    }

    /// What the kernel has reported of itself before the guest was lost, by the agent or on the console alone.
    ///
    /// Nothing as long as no agent has been there: then the guest was none yet.
    func takeLastFaults(after error: any Error) async -> [Finding] {
        guard wasUp, !(error is CancellationError) else { return [] }
        // Calls fail a moment before the end of QEMU, which made them fail, is known.
        if !(error is HarnessError) { _ = await hasEnded(within: timeouts.ending) }
        try? drainEvents()
        noteConsole()
        return faults.take().findings
    }

    private func noteConsole() {
        faults.note(console: ConsoleLog(file: record.consoleLog).messages())
    }

    // MARK: - Talking

    /// Sends a request to the agent and waits for it to be done.
    func ask(_ verb: StaticString) async throws -> ControlLine {
        let answer = try await answer(to: ControlLine(identifier: 0, verb: verb), within: timeouts.answer)
        guard answer.has(verb: "ok") else {
            let reason = String(decoding: answer.text("reason") ?? [], as: UTF8.self)
            throw HarnessError.infrastructure("the agent cannot do '\(verb)': \(reason)")
        }
        return answer
    }

    /// Sends a request to the agent and waits for its answer, which may be an error.
    func answer(to request: ControlLine, within limit: Duration) async throws -> ControlLine {
        try await checkAlive()
        let identifier = try await channel.send(request)
        let answer = try await waitUntil(within: limit) { () async throws -> ControlLine? in
            if let answer = await channel.takeAnswer(to: identifier) { return answer }
            try await checkAlive()
            return nil
        }
        guard let answer else {
            let verb = String(decoding: request.verb, as: UTF8.self)
            throw HarnessError.infrastructure("the agent has not answered '\(verb)' within \(limit)")
        }
        return answer
    }

    /// Takes what is new in the event ring into the record, and notes which LMBs have settled.
    func drainEvents() throws {
        guard var feed else { return }
        for (ringRecord, event) in try feed.drain() {
            guard let event else {
                try record.append("guest.unknown-event", ["kind": "\(ringRecord.kind)"])
                continue
            }
            var (kind, fields) = event.recorded
            fields["ring_seq"] = "\(ringRecord.sequence)"
            fields["guest_us"] = "\(ringRecord.microseconds)"
            try record.append(kind, fields)
            take(event)
        }
        historyKeeper?.takeMissed(count: feed.missedCount)
        self.feed = feed
    }

    /// Takes into account what has happened in the guest, once, though the log and an answer may both have said it.
    func take(_ event: AgentEvent) {
        peak.take(event)
        faults.note(event)
        if lmbs.note(event) { historyKeeper?.take(event) }
    }

    /// What is known of the guest's memory since it booted; nil until the guest is up.
    var history: HotplugHistory? { historyKeeper?.history }
}

extension MemoryRange {
    /// What libvirt says of a piece of memory.
    init(_ region: GuestRAM.Region) {
        self.init(name: region.name, base: region.base.rawValue, byteCount: region.file.words.byteCount)
    }
}
