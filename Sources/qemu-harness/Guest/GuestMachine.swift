// SPDX-License-Identifier: Apache-2.0

import AgentProtocol
import Foundation
import Glibc
import GuestMemory
import Libvirt
import MemoryBackends
import RunRecord
import SystemPackage
import Verification

/// A real guest: its domain, its QEMU, its agent, and its memory as the host sees it.
actor GuestMachine {
    let configuration: GuestConfiguration
    let patience: Patience
    let record: RunDirectory
    let domain: Domain
    private let process: QemuProcess
    private let channel: AgentChannel
    private let regionFile: MappedFile
    private var processEnd: QemuProcess.ExitStatus?

    /// What the agent said first; nil until it did.
    private(set) var hello: Hello?
    /// The kernel as its own memory describes it; nil until the guest is up.
    private(set) var kernel: RunningKernel?
    /// Boot RAM and DIMMs.
    private(set) var memory = GuestRAM([])
    private var feed: EventFeed?
    private var historyKeeper: HistoryKeeper?
    /// The LMBs of which the guest said that they were added and not removed since.
    private var addedLMBs: Set<UInt64> = []
    private var failedAddCount = 0
    private var failedRemoveCount = 0
    /// DIMMs whose unplug the guest has neither done nor refused: QEMU takes no second request for them.
    private var pendingUnplugs: Set<String> = []
    /// The end of the highest memory that the guest ever had.
    private(set) var memoryEnd = PhysicalAddress(0)
    private var dimmCount = 0

    /// Starts the domain. The guest is not up yet when this returns: see ``waitForAgent()``.
    ///
    /// The shared region's file is made first, for this user only and in full size: QEMU would make it readable for all.
    static func start(
        _ configuration: GuestConfiguration, root: EmbeddedRoot, connection: Connection,
        owner: (user: UInt32, group: UInt32)?, record: RunDirectory, patience: Patience
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
                name: "qh-" + root.runID, console: FilePath(record.consoleLog.path), control: root.controlSocket,
                sharedName: root.sharedMemoryName)
            let xml = try description.xml()
            try record.write(domainXML: xml)
            let created = try await root.reaping { try await connection.createTransient(xml: xml) }
            domain = created
            let process = try await QemuProcess(of: created)
            let channel = try AgentChannel(socket: root.controlSocket)
            let machine = GuestMachine(
                configuration: configuration, patience: patience, record: record, domain: created, process: process,
                channel: channel, regionFile: regionFile)
            await machine.watch()
            return machine
        } catch {
            try? await domain?.destroy()
            unlink(region.string)
            throw error
        }
    }

    private init(
        configuration: GuestConfiguration, patience: Patience, record: RunDirectory, domain: Domain,
        process: QemuProcess, channel: AgentChannel, regionFile: MappedFile
    ) {
        self.configuration = configuration
        self.patience = patience
        self.record = record
        self.domain = domain
        self.process = process
        self.channel = channel
        self.regionFile = regionFile
    }

    private func watch() async {
        await channel.start()
        Task { [weak self, process] in
            let status = try? await process.exit()
            await self?.note(end: status ?? .unknown)
        }
    }

    private func note(end: QemuProcess.ExitStatus) {
        processEnd = end
    }

    // MARK: - Up and down

    /// Waits for the agent's hello, then finds the kernel in guest RAM.
    func waitForAgent() async throws {
        let heard = try await waitUntil(within: patience.boot) { () async throws -> Hello? in
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
            throw HarnessError.infrastructure("the agent has not said hello within \(patience.boot)")
        }
        try await refreshMemory()
        let kernel = try RunningKernel(in: memory)
        try heard.check(against: kernel.layout, regionByteCount: configuration.sharedRegionByteCount)
        hello = heard
        self.kernel = kernel
        historyKeeper = HistoryKeeper(
            bootMemory: memory.regions.map(MemoryRange.init), layout: kernel.layout, hello: heard)
        try openRegion(kernel: kernel)
    }

    private func openRegion(kernel: RunningKernel) throws {
        let layout = try SharedRegionLayout(
            regionByteCount: configuration.sharedRegionByteCount, pageByteCount: kernel.layout.pageByteCount)
        feed = EventFeed(region: SharedRegion(words: regionFile.words, layout: layout, order: kernel.order))
        region = SharedRegion(words: regionFile.words, layout: layout, order: kernel.order)
    }

    /// The shared region, laid out as the host computes it; nil until the guest is up.
    private(set) var region: SharedRegion?

    /// Asks the agent to switch the guest off, and waits until QEMU has ended; false when it does not.
    func powerOff() async throws -> Bool {
        do {
            _ = try await ask("poweroff")
        } catch is Ended {
            // The guest was faster than its answer.
        }
        return try await waitUntil(within: patience.powerOff) { processEnd == nil ? nil : true } ?? false
    }

    /// Ends the guest, whatever state it is in, and everything that was opened for it.
    func destroy() async {
        await channel.close()
        if processEnd == nil { try? await domain.destroy() }
        if await !hasEnded(within: patience.powerOff) {
            process.kill()
            _ = await hasEnded(within: patience.powerOff)
        }
        // libvirt hears of the end by itself, and then cleans up: until then it knows the domain.
        _ = try? await waitUntil(within: patience.powerOff) { (try? await domain.state()) == nil ? true : nil }
        unlink(regionFile.path.string)
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
        if !(error is HarnessError) { _ = await hasEnded(within: patience.ending) }
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

    // MARK: - Talking

    /// Sends a request to the agent and waits for its answer.
    func ask(_ verb: StaticString) async throws -> ControlLine {
        try await checkAlive()
        let identifier = try await channel.send(verb)
        let answer = try await waitUntil(within: patience.answer) { () async throws -> ControlLine? in
            if let answer = await channel.takeAnswer(to: identifier) { return answer }
            try await checkAlive()
            return nil
        }
        guard let answer else {
            throw HarnessError.infrastructure("the agent has not answered '\(verb)' within \(patience.answer)")
        }
        guard answer.has(verb: "ok") else {
            let reason = String(decoding: answer.text("reason") ?? [], as: UTF8.self)
            throw HarnessError.infrastructure("the agent cannot do '\(verb)': \(reason)")
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
            historyKeeper?.take(event)
            switch event {
            case .lmbAdded(let base, _): addedLMBs.insert(base)
            case .lmbRemoved(let base): addedLMBs.remove(base)
            case .hotplugFailed(.add): failedAddCount += 1
            case .hotplugFailed(.remove): failedRemoveCount += 1
            default: break
            }
        }
        historyKeeper?.takeMissed(count: feed.missedCount)
        self.feed = feed
    }

    /// What is known of the guest's memory since it booted; nil until the guest is up.
    var history: HotplugHistory? { historyKeeper?.history }

    // MARK: - Memory

    /// Maps the files of memory that libvirt says the domain has now.
    func refreshMemory() async throws {
        let live = try LiveDomain(xml: try await domain.liveXML())
        let files = try await domain.memoryFiles(of: live)
        let known = Dictionary(memory.regions.map { ($0.name, $0) }, uniquingKeysWith: { first, _ in first })
        func region(_ name: String, base: UInt64, byteCount: UInt64, path: FilePath) throws -> GuestRAM.Region {
            if let region = known[name], region.base.rawValue == base, region.file.words.byteCount == byteCount {
                return region
            }
            return GuestRAM.Region(
                name: name, base: PhysicalAddress(base), file: try MappedFile(path, byteCount: byteCount))
        }
        var regions = [try region("boot", base: 0, byteCount: live.bootMemoryByteCount, path: files.boot)]
        for dimm in live.dimms {
            guard let path = files.dimms[dimm.alias] else {
                throw HarnessError.infrastructure("qemu names no file for the memory of \(dimm.alias)")
            }
            regions.append(try region(dimm.alias, base: dimm.base, byteCount: dimm.byteCount, path: path))
        }
        memory = GuestRAM(regions)
        memoryEnd = max(memoryEnd, memory.endAddress)
    }

    /// What an unplug came to.
    enum UnplugResult: String {
        /// The guest gave every LMB up, and the DIMM is gone.
        case removed
        /// The guest said no, and has taken back what it had given up already.
        case refused
        /// The guest has said nothing: the DIMM is still there, and its unplug pending.
        case silent
    }

    /// Unplugs a DIMM through libvirt and waits until the guest has given it up, refused, or said nothing for too long.
    func unplug(alias: String) async throws -> UnplugResult {
        guard let region = memory.regions.first(where: { $0.name == alias }) else {
            throw HarnessError.usage("no DIMM \(alias) is plugged")
        }
        guard !pendingUnplugs.contains(alias) else { return .silent }
        let lmbs = Array(stride(from: region.range.lowerBound, to: region.range.upperBound, by: Self.lmbStride))
        let failuresBefore = failedRemoveCount
        try await domain.detachDevice(alias: alias)
        let result = try await waitUntil(within: patience.plug) { () async throws -> UnplugResult? in
            try await checkAlive()
            try drainEvents()
            if failedRemoveCount > failuresBefore { return .refused }
            guard !lmbs.contains(where: addedLMBs.contains) else { return nil }
            // The guest is through; QEMU takes the DIMM away a moment later.
            let live = try LiveDomain(xml: try await domain.liveXML())
            return live.dimms.contains { $0.alias == alias } ? nil : .removed
        }
        switch result {
        case .removed: try await refreshMemory()
        case .refused: try await waitForBlocks(of: region.range)
        case .silent, nil: pendingUnplugs.insert(alias)
        }
        return result ?? .silent
    }

    /// After a refusal the kernel adds the LMBs again that it had removed, without a message for each.
    private func waitForBlocks(of range: Range<UInt64>) async throws {
        let settled = try await waitUntil(within: patience.plug) { () async throws -> Bool? in
            _ = try await ask("report")
            guard let region, let report = try? GuestReport(from: region), report.blockByteCount > 0 else { return nil }
            let online = Set(report.blocks.filter { $0.state == .online }.map(\.index))
            let needed = range.lowerBound / report.blockByteCount..<range.upperBound / report.blockByteCount
            return needed.allSatisfy(online.contains) ? true : nil
        }
        guard settled != nil else {
            throw HarnessError.infrastructure(
                "the guest refused to give memory up and has not taken it back within \(patience.plug)")
        }
        try drainEvents()
        addedLMBs.formUnion(stride(from: range.lowerBound, to: range.upperBound, by: Self.lmbStride))
    }

    /// What a plug came to.
    struct PlugResult {
        let alias: String
        let range: Range<UInt64>
        /// The LMBs that the guest did not take.
        let refusedLMBs: [UInt64]
    }

    /// Plugs a DIMM through libvirt and waits until the guest has settled every LMB of it.
    func plug(byteCount: UInt64) async throws -> PlugResult {
        dimmCount += 1
        let alias = "ua-dimm\(dimmCount)"
        let failuresBefore = failedAddCount
        try await domain.attachDevice(xml: try MemoryDevice(alias: alias, byteCount: byteCount).xml())
        try await refreshMemory()
        guard let region = memory.regions.first(where: { $0.name == alias }) else {
            throw HarnessError.infrastructure("libvirt took the DIMM \(alias) and does not list it")
        }
        let lmbs = Array(stride(from: region.range.lowerBound, to: region.range.upperBound, by: Self.lmbStride))
        let settled = try await waitUntil(within: patience.plug) { () async throws -> Bool? in
            try await checkAlive()
            try drainEvents()
            if failedAddCount > failuresBefore { return true }
            return lmbs.allSatisfy(addedLMBs.contains) ? true : nil
        }
        guard settled != nil else {
            let missing = lmbs.filter { !addedLMBs.contains($0) }
            throw HarnessError.infrastructure(
                "the guest has settled \(lmbs.count - missing.count) of \(lmbs.count) LMBs of \(alias) within "
                    + "\(patience.plug); the first that is missing is at \((missing.first ?? 0).hexadecimal)")
        }
        return PlugResult(alias: alias, range: region.range, refusedLMBs: lmbs.filter { !addedLMBs.contains($0) })
    }

    private static let lmbStride = Int(GuestConfiguration.lmbByteCount)
}

extension MemoryRange {
    /// What libvirt says of a piece of memory.
    init(_ region: GuestRAM.Region) {
        self.init(name: region.name, base: region.base.rawValue, byteCount: region.file.words.byteCount)
    }
}
