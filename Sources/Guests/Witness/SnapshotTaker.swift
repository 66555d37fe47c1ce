// SPDX-License-Identifier: Apache-2.0

package import AgentProtocol
import GuestMemory
import HarnessBasics
import Inspection
import KernelState
import Libvirt
import MemoryBackends
package import Verification
package import VmemmapPopulate

/// Collects what the witnesses say of a guest at rest.
package struct SnapshotTaker {
    package let guest: Guest
    package let booted: BootedKernel
    /// The kernel's account at the verification before.
    let lastEntries: [BackedWindow]
    /// What the verifications before leave possible of its start rule.
    let radixStarts: [RadixStart]?
    /// Whether each `struct page` is looked at, and not a sample.
    let looksAtAllStructPages: Bool

    /// Takes snapshots of a guest that is up.
    ///
    /// - Parameters:
    ///   - guest: the guest.
    ///   - lastEntries: its kernel's account at the verification before.
    ///   - radixStarts: what the verifications before leave possible of its kernel's start rule.
    ///   - looksAtAllStructPages: whether each `struct page` is looked at, and not a sample.
    /// - Throws: when no kernel of it is known to run.
    package init(
        of guest: Guest, since lastEntries: [BackedWindow] = [], radixStarts: [RadixStart]? = nil,
        looksAtAllStructPages: Bool = false
    ) async throws {
        self.guest = guest
        booted = try await guest.runningKernel()
        self.lastEntries = lastEntries
        self.radixStarts = radixStarts
        self.looksAtAllStructPages = looksAtAllStructPages
    }

    var kernel: Kernel { booted.kernel }
    var hello: Hello { booted.hello }
    var region: SharedRegion { booted.region }

    /// How often the list may turn out to have changed before the guest counts as never at rest.
    private static let attemptLimit = 3
    /// The most leaves for no memory that are told of.
    private static let strayLeafLimit = 1 << 14
    /// The most present sections that are told of behind the end of memory.
    private static let straySectionLimit = 64
    /// How often the guest is let run for a moment until its CPU can be asked.
    private static let probeAttemptLimit = 20

    /// Syncs, has the guest report, pauses it, and compares: the kernel's state must be the one from before the sync.
    package func snapshot() async throws -> Snapshot {
        for attempt in 1...Self.attemptLimit {
            let memory = await guest.memory.ram
            let before = try await state(memory)
            let sync = try await guest.agent.ask("sync")
            try await guest.observer.drain()
            // A list that changed under the agent's walks cannot be compared, however often that happens.
            let crashKernel = try await crashKernel()
            let isReportSteady = try await guest.agent.ask("report").number("steady") != 0
            try await guest.domain.suspend()
            do {
                let obstacle = try await obstacle(to: before.windows)
                // The agent's other records may have come late. If they never come to rest, the verdict says so.
                let isMirrorAtRest =
                    try MirrorReader.isUnchanged(region, since: sync) || attempt == Self.attemptLimit
                let snapshot =
                    isMirrorAtRest && isReportSteady
                    ? try await takePaused(
                        memory, unchangedFrom: before, sync: sync, obstacle: obstacle, crashKernel: crashKernel,
                        isLastAttempt: attempt == Self.attemptLimit) : nil
                try await guest.domain.resume()
                if let snapshot { return snapshot }
            } catch {
                try? await guest.domain.resume()
                throw error
            }
        }
        throw HarnessError.infrastructure(
            "the kernel's account changed under each of \(Self.attemptLimit) attempts to compare it at rest")
    }

    /// What the host reads in guest RAM, which has to be the same before the sync and in the pause.
    func state(_ memory: GuestRAM) async throws -> KernelState {
        // Tables may map what was unplugged, or never there; the list is as long as the memory that is there can make it.
        let bounds = ReadingBounds(
            memoryEnd: await guest.memory.endAddress,
            nodeLimit: ReadingBounds(memoryEnd: memory.endAddress).nodeLimit,
            // As many base pages as the memory map has, and some that nothing has.
            leafLimit: Int(
                memory.endAddress.rawValue / kernel.layout.pageByteCount * kernel.layout.structPageByteCount
                    / kernel.layout.pageByteCount) + Self.strayLeafLimit,
            searchEnd: PhysicalAddress(LinearMap.byteCount),
            // A few behind the end of memory are enough to show that there are such.
            sectionLimit: Int(memory.endAddress.rawValue >> kernel.layout.sectionSizeBits) + Self.straySectionLimit)
        return try KernelState(of: kernel, in: KernelMemory(memory, order: kernel.order), within: bounds)
    }

    /// The sections of a state, with what else is known of them.
    func sections(_ state: KernelState, in memory: GuestRAM) -> [PresentSection] {
        let memory = KernelMemory(memory, order: kernel.order)
        guard let maps = booted.subsectionMaps else { return state.sections.map { PresentSection($0) } }
        let usages = state.sections.map { try? maps.address(ofMapOf: $0.number, layout: kernel.layout, in: memory) }
        let counts = Dictionary(usages.map { ($0, 1) }, uniquingKeysWith: +)
        return zip(state.sections, usages).map { section, usage in
            let isItsOwn = counts[usage] == 1
            return PresentSection(
                section,
                subsections: isItsOwn ? maps.map(of: section, layout: kernel.layout, in: memory) ?? 0 : 0)
        }
    }

    /// Nil when the kernel's state is not the one from before; and when a `struct page` is not as it must be, which may be
    /// because the pause came while the kernel was at work on it, unless this is the last attempt.
    private func takePaused(
        _ memory: GuestRAM, unchangedFrom before: KernelState, sync: ControlLine, obstacle: String?,
        crashKernel: LoadedCrashKernel?, isLastAttempt: Bool
    ) async throws -> Snapshot? {
        let state = try await state(memory)
        guard state == before else { return nil }
        let mirror = try MirrorReader(region: region, hello: hello, sync: sync).snapshot()
        let (report, reportProblem) = Self.report(in: region)
        var snapshot = Snapshot(
            witnesses: booted.witnesses, kernel: KernelFacts(kernel, state.memoryMap),
            memory: await guest.memory.usable(guest.observer.lmbs), sections: sections(state, in: memory),
            kernelList: state.list, pageTables: state.tables.map(WalkedTables.init),
            peakEntryCount: await guest.observer.notePeak(state.list), mirror: mirror, report: report,
            reportProblem: reportProblem, history: await guest.observer.history)
        snapshot.add(state.freeNodes)
        snapshot.add(try crashKernel?.header(in: memory))
        snapshot.noteProblem = noteProblem(in: memory)
        snapshot.radixStarts = radixStarts
        snapshot.formerWindows = snapshot.windowsGone(from: lastEntries)
        addStructPages(to: &snapshot, memory)
        if let pages = snapshot.structPages, pages.faultCount + pages.freePlaceCount > 0, !isLastAttempt { return nil }
        try await addTranslations(to: &snapshot, memory, obstacle: obstacle)
        snapshot.formerTranslations = try await translations(of: snapshot.formerWindows, obstacle: obstacle)
        try await addHashTable(to: &snapshot)
        return snapshot
    }

    /// The same snapshot of a guest that is paused since, with what the host reads by itself read once more. `sync` is what the
    /// agent has answered last.
    package func rereading(_ snapshot: Snapshot, sync: ControlLine) async throws -> Snapshot {
        let memory = await guest.memory.ram
        let state = try await state(memory)
        var snapshot = snapshot
        snapshot.kernel = KernelFacts(kernel, state.memoryMap)
        snapshot.sections = sections(state, in: memory)
        snapshot.kernelList = state.list
        snapshot.add(state.freeNodes)
        snapshot.pageTables = state.tables.map(WalkedTables.init)
        snapshot.peakEntryCount = max(snapshot.peakEntryCount, state.list.entries.count)
        snapshot.mirror = try MirrorReader(region: region, hello: hello, sync: sync).snapshot()
        snapshot.noteProblem = noteProblem(in: memory)
        addStructPages(to: &snapshot, memory)
        return snapshot
    }

    private func noteProblem(in memory: GuestRAM) -> String? {
        guard !kernel.note.stands(in: memory) else { return nil }
        let places = kernel.note.addresses.map(\.rawValue.hexadecimal).joined(separator: ", ")
        return "the VMCOREINFO note that stood at \(places) is not there any more, or another one"
    }

    /// What the `struct page`s say.
    func addStructPages(to snapshot: inout Snapshot, _ memory: GuestRAM) {
        guard snapshot.witnesses.contains(.structPages) else { return }
        let order = kernel.order
        snapshot.structPages = StructPageSurvey.survey(
            snapshot, booted.structPageLayout, nodeCount: kernel.note.info.decimal("LENGTH(node_data)"),
            looksAtAll: looksAtAllStructPages
        ) { address in
            (try? memory.storedWord(at: address)).map(order.value(ofStored:))
        }
    }

    /// The hashed page table, or why it cannot be had: since the guest came up, or now.
    private func addHashTable(to snapshot: inout Snapshot) async throws {
        guard kernel.mmu == .hash else { return }
        guard let segments = booted.hashSegments else {
            snapshot.hashTableProblem = booted.hashTableProblem
            return
        }
        switch try await guest.hashTable.answer() {
        case .table(let table):
            snapshot.hashTable = HashTableSnapshot(
                table.entries, tableShift: table.shift, segments: segments, kernel: snapshot.kernel)
        case .problem(let problem): snapshot.hashTableProblem = problem
        }
    }

    /// The guest's report, or why the region holds none.
    static func report(in region: SharedRegion) -> (ReportSnapshot?, problem: String?) {
        do {
            return (ReportSnapshot(try GuestReport(from: region)), nil)
        } catch {
            return (nil, "the report area holds no report: \(error)")
        }
    }

    /// Lets the paused guest run on until its CPU is in a state to say how it translates, and its agent is not in the middle of a
    /// change of the region; what keeps the CPU from that, if it never is. An agent that never gets there is the verdict's.
    /// The kernel's state is read after this, so that the guest is asked about what it has.
    ///
    /// A hash guest's CPU has to reach the segments of these windows as well. If it never does, it is asked all the same:
    /// what it says then is judged.
    private func obstacle(to windows: [BackedWindow]) async throws -> String? {
        let probe = MMUProbe(domain: guest.domain)
        let segmentShift = booted.hashSegments?.segmentShift ?? MMUQuestions.usualSegmentShift
        let samples = hello.mmu == .hash ? MMUQuestions.samples(of: windows, segmentShift: segmentShift) : []
        var obstacle = try await probe.obstacle()
        for _ in 0..<Self.probeAttemptLimit {
            if obstacle == nil, try region.isAtRest, try await probe.reaches(oneOfEach: samples) { break }
            try await guest.domain.resume()
            try await Task.sleep(for: .milliseconds(5))
            try await guest.domain.suspend()
            obstacle = try await probe.obstacle()
        }
        return obstacle
    }

    /// What the MMU makes of the account's windows: all of them read through it, or, where QEMU does not do that, an address
    /// at a time.
    private func addTranslations(to snapshot: inout Snapshot, _ memory: GuestRAM, obstacle: String?) async throws {
        if obstacle == nil {
            do {
                let result = try await MemoryMapReader(domain: guest.domain, memory: memory)
                    .read(snapshot.accountEntries)
                snapshot.readBack = result.readBack
                snapshot.translations = result.translations
                return
            } catch let problem as MemoryMapProblem {
                snapshot.readBackProblem = "\(problem)"
            }
        }
        snapshot.translations = try await translations(of: snapshot.accountEntries, obstacle: obstacle)
    }

    /// Asks the MMU about each window, as far as the limit allows.
    private func translations(of windows: [BackedWindow], obstacle: String?) async throws -> [Translation] {
        let virtAddrs = MMUQuestions.addresses(of: windows.filter { $0.byteCount > 0 }, known: lastEntries)
        if let obstacle {
            return virtAddrs.map { Translation(virtAddr: $0, answer: .cannotSay(obstacle)) }
        }
        return try await MMUProbe(domain: guest.domain).translations(of: virtAddrs)
    }
}

extension ReportSnapshot {
    /// Takes over a report of the agent's.
    init(_ report: GuestReport) {
        self.init(
            list: report.list,
            pageTables: report.tables.map { WalkedTables(leaves: $0.leaves, faults: [$0.fault].compactMap { $0 }) },
            blockByteCount: report.blockByteCount,
            blocks: report.blocks.sorted { $0.index < $1.index }.map { Block(index: $0.index, state: $0.state.text) })
    }
}

extension MemoryBlock.State {
    /// As the guest's `state` file says it.
    var text: String {
        switch self {
        case .unknown: "unknown"
        case .online: "online"
        case .offline: "offline"
        case .goingOffline: "going-offline"
        }
    }
}
