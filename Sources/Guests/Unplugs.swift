// SPDX-License-Identifier: Apache-2.0

import GuestMemory
import HarnessBasics
import Libvirt
package import RunRecord

/// Unplugs of DIMMs: asked for through libvirt, and settled by the guest.
package actor Unplugs {
    private let domain: any GuestDomain
    private let watch: MachineWatch
    private let agent: AgentClient
    private let observer: GuestObserver
    private let memory: MachineMemory
    private let timeouts: Timeouts
    private let events: RunEvents
    /// Those that the guest has not settled.
    private var queue = UnplugQueue()
    /// DIMMs that the guest has refused to give up.
    private var refused: Set<String> = []

    init(
        domain: any GuestDomain, watch: MachineWatch, agent: AgentClient, observer: GuestObserver,
        memory: MachineMemory, timeouts: Timeouts, events: RunEvents
    ) {
        self.domain = domain
        self.watch = watch
        self.agent = agent
        self.observer = observer
        self.memory = memory
        self.timeouts = timeouts
        self.events = events
    }

    /// The DIMMs whose unplug the guest has not settled, in the order in which it was asked.
    package var pending: [String] { queue.requests.map(\.alias) }

    /// The DIMMs of these that the guest was asked for and has not given up.
    func kept(of aliases: [String]) -> [String] {
        let pending = pending
        return aliases.filter { refused.contains($0) || pending.contains($0) }
    }

    /// The machine was reset: QEMU takes a DIMM away on reset if its unplug was pending, and the others are memory like
    /// any other now.
    func forgetAll() async {
        (queue, refused) = (UnplugQueue(), [])
        await watch.forgetRefusals()
    }

    /// Unplugs a DIMM through libvirt and waits until the guest has given it up, refused, or said nothing for too long.
    ///
    /// One that the guest was asked for already is waited for, and not asked for again.
    package func unplug(alias: String) async throws -> UnplugResult {
        if !pending.contains(alias) { try await request(alias: alias) }
        while let settled = try await nextSettled() {
            try await note(settled.result, of: settled.request)
            if settled.request.alias == alias { return settled.result }
            // What is waited for here is the step's to tell.
            try events.note(.unplugSettled(alias: settled.request.alias, settled.result))
        }
        // The guest's log comes first: by then all of the refusal is in it.
        guard await watch.hasRefused(alias), let request = queue.refuse(alias) else { return .silent }
        try await note(.refused, of: request)
        return .refused
    }

    /// The next unplug that is through; nil when the guest has said nothing for too long.
    private func nextSettled() async throws -> UnplugQueue.Settled? {
        try await waitUntil(within: timeouts.unplug) { () async throws -> UnplugQueue.Settled? in
            try await agent.checkAlive()
            try await observer.drain()
            return try await settleOldest()
        }
    }

    private func settleOldest() async throws -> UnplugQueue.Settled? {
        guard let oldest = queue.requests.first else { return nil }
        let lmbs = await observer.lmbs
        var isGone = !LMB.addresses(in: oldest.range).contains(where: lmbs.isAdded)
        if isGone {
            // The guest is through; QEMU takes the DIMM away a moment later.
            isGone = try await !domain.live().dimms.contains { $0.alias == oldest.alias }
        }
        return queue.settleOldest(failureCount: lmbs.failedRemoveCount, isGone: isGone)
    }

    private func note(_ result: UnplugResult, of request: UnplugQueue.Request) async throws {
        switch result {
        case .removed:
            refused.remove(request.alias)
            await observer.forget(request.range)
            try await memory.refresh()
        case .refused:
            refused.insert(request.alias)
            try await blocks.waitForReturn(of: request.alias, in: request.range, blocks: request.blocks)
        case .silent: break
        }
    }

    private var blocks: MemoryBlocks { MemoryBlocks(agent: agent, observer: observer, timeouts: timeouts) }

    /// Asks for an unplug: through libvirt, or in the guest where QEMU takes no second request.
    ///
    /// A kernel that refuses at its first LMB tells QEMU nothing (`dlpar_memory_remove_by_ic` unisolates what it had
    /// removed, which is nothing): QEMU waits on, refuses to ask again, and takes the DIMM away as soon as the guest has
    /// given all of it up.
    private func request(alias: String) async throws {
        guard let range = await memory.range(of: alias) else {
            throw HarnessError.infrastructure("no DIMM \(alias) is plugged any more")
        }
        try await observer.drain()
        await watch.forgetRefusal(of: alias)
        queue.append(
            UnplugQueue.Request(alias: alias, range: range, blocks: try await blocks.states(in: range)),
            failureCount: await observer.lmbs.failedRemoveCount)
        do {
            try await domain.detach(alias: alias)
        } catch let error as LibvirtError where refused.contains(alias) {
            try events.note(.unplugPending(alias: alias, message: String("\(error)".prefix(400))))
            let count = LMB.addresses(in: range).count
            let index = LMB.drcIndex(of: range.lowerBound).hexadecimal
            // What comes of it, the log says.
            _ = try await agent.perform(.dlpar("memory remove indexed-count \(count) \(index)"))
        }
    }
}
