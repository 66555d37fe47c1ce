// SPDX-License-Identifier: Apache-2.0

import GuestMemory
import HarnessBasics
import Libvirt
import Plans

/// The DIMMs of a guest, as they are plugged.
package actor DIMMs {
    private let configuration: GuestConfiguration
    private let domain: any GuestDomain
    private let agent: AgentClient
    private let observer: GuestObserver
    private let memory: MachineMemory
    private let unplugs: Unplugs
    private let timeouts: Timeouts
    /// How many were ever plugged.
    private var count = 0

    init(
        _ configuration: GuestConfiguration, domain: any GuestDomain, agent: AgentClient, observer: GuestObserver,
        memory: MachineMemory, unplugs: Unplugs, timeouts: Timeouts
    ) {
        self.configuration = configuration
        self.domain = domain
        self.agent = agent
        self.observer = observer
        self.memory = memory
        self.unplugs = unplugs
        self.timeouts = timeouts
    }

    /// The name of a DIMM, counted from 1 in the order of the plugs; libvirt requires a user's alias to begin so.
    package static func alias(_ number: Int) -> String { aliasPrefix + "\(number)" }

    /// What the names of all DIMMs begin with.
    static let aliasPrefix = "ua-dimm"

    /// What a plug came to.
    package struct PlugResult: Sendable {
        package let alias: String
        package let range: Range<UInt64>
        /// The LMBs that the guest did not take.
        package let refusedLMBs: [UInt64]
        /// The section whose memory map could not be populated, by address; nil when none was seen.
        package let failedSection: UInt64?
    }

    /// Plugs a DIMM through libvirt and waits until the guest has settled every LMB of it.
    ///
    /// The machine chooses the base address where none is given.
    func plug(byteCount: UInt64, node: Int? = nil, base: UInt64? = nil) async throws -> PlugResult {
        let failuresBefore = await observer.lmbs.failedAddCount
        let sectionsFailedBefore = await observer.failedSections.count
        let (alias, range) = try await attach(byteCount: byteCount, node: node, base: base)
        let bases = LMB.addresses(in: range)
        let settled = try await waitUntil(within: timeouts.plug) { () async throws -> Bool? in
            try await agent.checkAlive()
            try await observer.drain()
            let lmbs = await observer.lmbs
            return lmbs.failedAddCount > failuresBefore || bases.allSatisfy(lmbs.isAdded) ? true : nil
        }
        guard settled != nil else {
            let lmbs = await observer.lmbs
            let missing = bases.filter { !lmbs.isAdded($0) }
            throw HarnessError.infrastructure(
                "the guest has settled \(bases.count - missing.count) of \(bases.count) LMBs of \(alias) within "
                    + "\(timeouts.plug); the first that is missing is at \((missing.first ?? 0).hexadecimal)")
        }
        if await observer.lmbs.failedAddCount > failuresBefore {
            try await MemoryBlocks(agent: agent, observer: observer, timeouts: timeouts).waitForRollback(of: range)
        }
        let lmbs = await observer.lmbs
        return PlugResult(
            alias: alias, range: range, refusedLMBs: bases.filter { !lmbs.isAdded($0) },
            failedSection: await observer.failedSections.dropFirst(sectionsFailedBefore).first)
    }

    /// Plugs a DIMM through libvirt, and waits for nothing. The guest has begun to add it or not.
    func attach(
        byteCount: UInt64, node: Int? = nil, base: UInt64? = nil
    ) async throws -> (alias: String, range: Range<UInt64>) {
        count += 1
        let alias = Self.alias(count)
        var device = MemoryDevice(alias: alias, byteCount: byteCount, node: node ?? 0)
        if let base {
            let taken = Set(try await domain.live().dimms.map(\.slot))
            let slot = (0..<configuration.slotCount).first { !taken.contains($0) } ?? configuration.slotCount
            device.address = MemoryDevice.Address(slot: slot, base: base)
        }
        do {
            try await domain.attach(device)
        } catch let error as LibvirtError {
            guard let lack = await lackOfRoom(for: byteCount, at: base) else { throw error }
            throw HarnessError.infrastructure("\(lack) (\(error))")
        }
        try await memory.refresh()
        guard let range = await memory.range(of: alias) else {
            throw HarnessError.infrastructure("libvirt took the DIMM \(alias) and does not list it")
        }
        return (alias, range)
    }

    /// What keeps a DIMM from being plugged, by where the others lie; nil when there is a place for it.
    ///
    /// A plan is held against a machine in which every unplug succeeds: one that the guest refused, or is silent about,
    /// leaves less room than that.
    private func lackOfRoom(for byteCount: UInt64, at base: UInt64?) async -> String? {
        guard let dimms = try? await domain.live().dimms else { return nil }
        var space = configuration.deviceMemory
        for dimm in dimms { space.take(dimm.base..<dimm.base + dimm.byteCount) }
        let isFree: Bool
        if let base {
            let place = base..<base + byteCount
            isFree = space.free.contains { $0.clamped(to: place) == place }
        } else {
            isFree = space.place(for: byteCount) != nil
        }
        let hasSlot = dimms.count < configuration.slotCount
        guard !isFree || !hasSlot else { return nil }
        let kept = await unplugs.kept(of: dimms.map(\.alias))
        return "there is no room for DIMM \(count) of \(ByteCount(byteCount).text)"
            + (base.map { " at \(ByteCount($0).text)" } ?? "") + ": "
            + (hasSlot ? space.largestFreeText : "all \(configuration.slotCount) slots are taken")
            + (kept.isEmpty ? "" : "; the guest has not given up \(kept.joined(separator: ", "))")
            + "; 'maximum-memory' and 'slots' of a plan make more"
    }
}
