// SPDX-License-Identifier: Apache-2.0

import Foundation
import GuestMemory
import HarnessBasics
import Libvirt
import MemoryBackends
package import Plans
import RunFixture
package import RunRecord
package import SystemPackage
import Verification

/// A guest from its start to its end. What it is made of, each part keeps to itself.
package actor Guest {
    package nonisolated let domain: any GuestDomain
    /// What QEMU and libvirt say of it.
    package nonisolated let watch: MachineWatch
    /// Its agent.
    package nonisolated let agent: AgentClient
    /// What it tells of itself.
    package nonisolated let observer: GuestObserver
    /// Its memory as the host sees it.
    package nonisolated let memory: MachineMemory
    package nonisolated let unplugs: Unplugs
    /// Its hashed page table, where it has one.
    nonisolated let hashTable: HashTableReader
    private let dimms: DIMMs
    private let configuration: GuestConfiguration
    private let regionFile: MappedFile
    private let dumpFile: DumpFile?
    private let timeouts: Timeouts
    /// How it ends.
    package nonisolated let ending: GuestEnding
    /// Its kernel; nil until the guest is up.
    package private(set) var kernel: BootedKernel?
    /// Where its crash kernel is loaded; nil while there is none.
    package private(set) var crashReservation: CrashReservation?

    /// Starts the domain. The guest is not up yet when this returns: see ``waitForAgent()``. What is made for it belongs to
    /// the host.
    package static func start(
        _ configuration: GuestConfiguration, on host: any GuestHost, record: RunDirectory, events: RunEvents,
        timeouts: Timeouts
    ) async throws -> Guest {
        let regionByteCount = configuration.sharedRegionByteCount
        try await host.makeSharedRegionFile(byteCount: regionByteCount)
        let regionFile = try MappedFile(host.id.sharedRegionFile, byteCount: regionByteCount)
        var dumpFile: DumpFile?
        if let byteCount = configuration.dumpAreaByteCount {
            try await host.makeDumpAreaFile(byteCount: byteCount)
            dumpFile = try DumpFile(host.id.dumpAreaFile, byteCount: byteCount)
        }
        if let initramfs = configuration.crashInitramfs { try await host.makeInitramfs(try initramfs.content()) }
        let xml = try configuration.domain(on: host, console: FilePath(record.consoleLog.path)).xml()
        try record.write(domainXML: xml)
        let started = try await answer(to: "start", within: timeouts, orElse: { host.killGuests() }) {
            try await host.start(domain: xml)
        }
        let domain = TimedDomain(started, timeouts)
        let guest = Guest(
            configuration, domain: domain, channel: try AgentChannel(socket: host.controlSocket),
            streamSocket: host.streamSocket,
            regionFile: regionFile, dumpFile: dumpFile, console: record.consoleLog,
            events: events, timeouts: timeouts)
        guest.ending.console.start()
        try await guest.watch.start(domain)
        await guest.agent.start()
        return guest
    }

    private init(
        _ configuration: GuestConfiguration, domain: TimedDomain, channel: AgentChannel, streamSocket: FilePath,
        regionFile: MappedFile, dumpFile: DumpFile?, console: URL, events: RunEvents, timeouts: Timeouts
    ) {
        self.configuration = configuration
        self.domain = domain
        self.regionFile = regionFile
        self.dumpFile = dumpFile
        self.timeouts = timeouts
        watch = MachineWatch(events: events)
        agent = AgentClient(channel, watch: watch, timeouts: timeouts, events: events)
        let keeper = ConsoleKeeper(file: console, limit: configuration.consoleByteLimit)
        observer = GuestObserver(
            agent: agent, watch: watch, timeouts: timeouts, events: events, console: keeper.log)
        memory = MachineMemory(of: domain)
        hashTable = HashTableReader(domain: domain, socket: streamSocket, timeouts: timeouts)
        unplugs = Unplugs(
            domain: domain, watch: watch, agent: agent, observer: observer, memory: memory, timeouts: timeouts,
            events: events)
        dimms = DIMMs(
            configuration, domain: domain, agent: agent, observer: observer, memory: memory, unplugs: unplugs,
            timeouts: timeouts)
        ending = GuestEnding(
            domain: domain, watch: watch, agent: agent, observer: observer,
            console: keeper, timeouts: timeouts)
    }

    // MARK: - Up

    /// Waits for the agent's hello, then finds the kernel in guest RAM.
    package func waitForAgent() async throws {
        let hello = try await agent.waitForHello()
        try await memory.refresh()
        let table = hello.mmu == .hash ? try await hashTableAtHello() : nil
        let ram = await memory.ram
        let booted = try BootedKernel(
            hello, in: ram, image: FilePath(configuration.kernel.path), regionFile: regionFile,
            regionByteCount: configuration.sharedRegionByteCount, hashTable: table)
        await observer.begin(booted, memory: ram)
        kernel = booted
    }

    /// The hashed page table as it is now: which witnesses the guest can give is settled at its hello.
    private func hashTableAtHello() async throws -> HashTableReader.Answer {
        try await domain.suspend()
        let answer: HashTableReader.Answer
        do {
            answer = try await hashTable.answer()
        } catch {
            try? await domain.resume()
            throw error
        }
        try await domain.resume()
        return answer
    }

    /// Has the guest start anew, its DIMMs plugged, and waits for its agent.
    ///
    /// Any other reboot ends the guest. What was known of its kernel is not known of the next one.
    package func reboot() async throws {
        // The next agent lays the region out anew.
        try await observer.readLog()
        try await domain.setRebootAction(.restart)
        try await agent.reboot()
        (kernel, crashReservation) = (nil, nil)
        await observer.end()
        try await waitForAgent()
        try await domain.setRebootAction(.destroy)
        await unplugs.forgetAll()
    }

    /// Crashes its kernel, and waits for the agent of the dump-capture kernel.
    func crash() async throws -> AgentClient.CaptureBeginning {
        try await agent.crash()
        return try await waitForCapture()
    }

    /// Plugs a DIMM, crashes its kernel with an NMI as soon as `hasBegun` says that it has begun to add that, and waits for
    /// the agent of the dump-capture kernel.
    func crash(
        inPlugOf byteCount: UInt64, hasBegun: @Sendable (Range<UInt64>, GuestRAM) async throws -> Bool
    ) async throws -> (AgentClient.CaptureBeginning, added: MemoryRange) {
        let (alias, range) = try await dimms.attach(byteCount: byteCount)
        let ram = await memory.ram
        let hasBegun = try await waitUntil(within: timeouts.plug) { () async throws -> Bool? in
            try await agent.checkAlive()
            return try await hasBegun(range, ram) ? true : nil
        }
        guard hasBegun != nil else {
            throw HarnessError.infrastructure("the guest has not begun to add \(alias) within \(timeouts.plug)")
        }
        await agent.expectCrash()
        try await domain.injectNMI()
        let added = MemoryRange(
            name: alias, base: range.lowerBound, byteCount: range.upperBound - range.lowerBound,
            node: await memory.node(of: alias))
        return (try await waitForCapture(), added)
    }

    private func waitForCapture() async throws -> AgentClient.CaptureBeginning {
        kernel = nil
        await observer.end()
        let beginning = try await agent.waitForCapture()
        if case .silent = beginning { return beginning }
        await observer.passOverConsole()
        return beginning
    }

    /// Has a tool write a dump in the dump-capture kernel, and tells what came out of the guest.
    package func dump(_ tool: Plan.DumpTool) async throws -> DumpResult {
        guard let dumpFile, let package = configuration.dumpTools[tool]?.package else {
            throw HarnessError.infrastructure("the guest was started without '\(tool.rawValue)'")
        }
        let answer = try await agent.dump(tool.rawValue)
        let limit = dumpByteLimit
        return try await blocking { isCancelled in
            try dumpFile.result(answer, package: package, limit: limit, isCancelled: isCancelled)
        }
    }

    /// Copies a dump that came out of the guest into a new file.
    package func copy(_ dump: DumpResult, to target: FilePath) async throws {
        guard let dumpFile else { throw HarnessError.infrastructure("the guest was started without a file for dumps") }
        let limit = dumpByteLimit
        try await blocking { isCancelled in
            try dumpFile.copy(dump, to: target, limit: limit, isCancelled: isCancelled)
        }
    }

    /// How large a dump's file may become: headers, notes and bitmaps are less than the memory that they are about.
    private var dumpByteLimit: UInt64 { 2 * configuration.mostMemoryByteCount }

    /// Loads the crash kernel, or loads it again.
    package func loadCrashKernel() async throws -> AgentClient.CrashKernelLoad {
        let load = try await agent.loadCrashKernel(commandLine: configuration.crashCommandLine)
        if case .loaded = load { crashReservation = try await CrashReservation(askedOf: agent) }
        return load
    }

    /// Its kernel; throws when the guest is not up.
    package func runningKernel() throws -> BootedKernel {
        guard let kernel else { throw HarnessError.infrastructure("the guest is not up") }
        return kernel
    }

    /// Plugs a DIMM through libvirt and waits until the guest has settled every LMB of it.
    ///
    /// The machine chooses the base address where none is given.
    package func plug(byteCount: UInt64, node: Int? = nil, base: UInt64? = nil) async throws -> DIMMs.PlugResult {
        let result = try await dimms.plug(byteCount: byteCount, node: node, base: base)
        await observer.notePeak(try runningKernel().kernel.list(in: await memory.ram))
        return result
    }

    /// Has the agent do something. Throws only when it does not answer, or answers nonsense.
    package func perform(_ action: GuestAction) async throws -> GuestActionResult {
        let result = try await agent.perform(action)
        if let event = action.silentLMBEvent, case .done = result { await observer.take(event) }
        if case .probe(let base) = action, case .done = result { await observer.noteProbe(of: base) }
        return result
    }
}
