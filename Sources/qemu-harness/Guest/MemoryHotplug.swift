// SPDX-License-Identifier: Apache-2.0

import AgentProtocol
import GuestMemory
import HarnessBasics
import Libvirt
import MemoryBackends
import Plans
import RunRecord
import SystemPackage
import Verification

/// Memory that comes and goes.
extension GuestMachine {
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
        var regions: [GuestRAM.Region] = []
        let nodes = live.bootMemoryByNode
        var base: UInt64 = 0
        for (node, (byteCount, path)) in zip(nodes, files.boot).enumerated() {
            let name = nodes.count == 1 ? "boot" : "boot-node\(node)"
            regions.append(try region(name, base: base, byteCount: byteCount, path: path))
            base += byteCount
        }
        guard base == live.bootMemoryByteCount else {
            throw HarnessError.infrastructure(
                "the NUMA nodes have \(ByteCount(base).text) of boot memory, the domain has "
                    + ByteCount(live.bootMemoryByteCount).text)
        }
        for dimm in live.dimms {
            guard let path = files.dimms[dimm.alias] else {
                throw HarnessError.infrastructure("qemu names no file for the memory of \(dimm.alias)")
            }
            regions.append(try region(dimm.alias, base: dimm.base, byteCount: dimm.byteCount, path: path))
        }
        memory = GuestRAM(regions)
        memoryEnd = max(memoryEnd, memory.endAddress)
    }

    /// The memory that the guest may use: all of it but the LMBs that it was seen to give up.
    var usableMemory: [MemoryRange] {
        memory.regions.flatMap { region in
            lmbs.usable(of: region.range).map {
                MemoryRange(name: region.name, base: $0.lowerBound, byteCount: $0.upperBound - $0.lowerBound)
            }
        }
    }

    /// Where a DIMM lies; throws when it is not plugged.
    func range(of alias: String) throws -> Range<UInt64> {
        guard let region = memory.regions.first(where: { $0.name == alias }) else {
            throw HarnessError.infrastructure("no DIMM \(alias) is plugged any more")
        }
        return region.range
    }

    /// Unplugs a DIMM through libvirt and waits until the guest has given it up, refused, or said nothing for too long.
    ///
    /// One that the guest was asked for already is waited for, and not asked for again.
    func unplug(alias: String) async throws -> UnplugResult {
        if !unplugs.requests.contains(where: { $0.alias == alias }) { try await requestUnplug(alias: alias) }
        while let settled = try await nextSettledUnplug() {
            try await note(settled.result, of: settled.request)
            if settled.request.alias == alias { return settled.result }
            // What is waited for here is the step's to tell.
            try record.append(
                "unplug.settled", ["alias": settled.request.alias, "result": settled.result.rawValue])
        }
        // The guest's log comes first: by then all of the refusal is in it.
        guard machineRefusals.contains(alias), let request = unplugs.refuse(alias) else { return .silent }
        try await note(.refused, of: request)
        return .refused
    }

    /// The next unplug that is through; nil when the guest has said nothing for too long.
    private func nextSettledUnplug() async throws -> UnplugQueue.Settled? {
        try await waitUntil(within: timeouts.unplug) { () async throws -> UnplugQueue.Settled? in
            try await checkAlive()
            try drainEvents()
            return try await settleOldestUnplug()
        }
    }

    private func settleOldestUnplug() async throws -> UnplugQueue.Settled? {
        guard let oldest = unplugs.requests.first else { return nil }
        var isGone = !LMB.addresses(in: oldest.range).contains(where: lmbs.isAdded)
        if isGone {
            // The guest is through; QEMU takes the DIMM away a moment later.
            isGone = try await !LiveDomain(xml: domain.liveXML()).dimms.contains { $0.alias == oldest.alias }
        }
        return unplugs.settleOldest(failureCount: lmbs.failedRemoveCount, isGone: isGone)
    }

    private func note(_ result: UnplugResult, of request: UnplugQueue.Request) async throws {
        switch result {
        case .removed:
            refusedUnplugs.remove(request.alias)
            lmbs.forget(request.range)
            try await refreshMemory()
        case .refused:
            refusedUnplugs.insert(request.alias)
            try await waitForBlocks(of: request)
        case .silent: break
        }
    }

    /// Asks for an unplug: through libvirt, or in the guest where QEMU takes no second request.
    ///
    /// A kernel that refuses at its first LMB tells QEMU nothing (`dlpar_memory_remove_by_ic` unisolates what it had
    /// removed, which is none): QEMU waits on, refuses to ask again, and takes the DIMM away as soon as the guest has
    /// given all of it up.
    private func requestUnplug(alias: String) async throws {
        let range = try range(of: alias)
        try drainEvents()
        machineRefusals.remove(alias)
        unplugs.append(
            UnplugQueue.Request(alias: alias, range: range, onlineBlocks: try await onlineBlocks(in: range)),
            failureCount: lmbs.failedRemoveCount)
        do {
            try await domain.detachDevice(alias: alias)
        } catch let error as LibvirtError where refusedUnplugs.contains(alias) {
            try record.append("unplug.pending", ["alias": alias, "message": String("\(error)".prefix(400))])
            let count = LMB.addresses(in: range).count
            let index = LMB.drcIndex(of: range.lowerBound).hexadecimal
            // What comes of it, the log says.
            _ = try await perform(.dlpar("memory remove indexed-count \(count) \(index)"))
        }
    }

    /// The memory blocks in a range that the guest says are online, by address.
    private func onlineBlocks(in range: Range<UInt64>) async throws -> Set<UInt64> {
        try await Set(blocks(in: range).filter { $0.value == .online }.keys)
    }

    /// The memory blocks in a range that the guest has, by address.
    private func blocks(in range: Range<UInt64>) async throws -> [UInt64: MemoryBlock.State] {
        _ = try await ask("report")
        guard let region, let report = try? GuestReport(from: region), report.blockByteCount > 0 else { return [:] }
        let numbers = range.lowerBound / report.blockByteCount..<range.upperBound / report.blockByteCount
        let blocks = report.blocks.filter { numbers.contains($0.index) }
        return Dictionary(blocks.map { ($0.index * report.blockByteCount, $0.state) }) { first, _ in first }
    }

    /// After a refusal the kernel adds the LMBs again that it had removed, without a message for each.
    private func waitForBlocks(of request: UnplugQueue.Request) async throws {
        let settled = try await waitUntil(within: timeouts.plug) { () async throws -> Bool? in
            try await onlineBlocks(in: request.range).isSuperset(of: request.onlineBlocks) ? true : nil
        }
        guard settled != nil else {
            throw HarnessError.infrastructure(
                "the guest refused to give \(request.alias) up and has not taken it back within \(timeouts.plug)")
        }
        try drainEvents()
        lmbs.takeBack(request.range, present: Set(try await blocks(in: request.range).keys))
    }

    /// After a hot-add that failed the kernel removes the LMBs again that it had added, without a message for each. One
    /// that it cannot remove stays.
    private func waitForRollback(of range: Range<UInt64>) async throws {
        var present = try await blocks(in: range)
        var unchangedSince = ContinuousClock.now
        let settled = try await waitUntil(within: timeouts.plug) { () async throws -> Bool? in
            if present.isEmpty || ContinuousClock.now - unchangedSince > timeouts.rollback { return true }
            try await Task.sleep(for: .milliseconds(100))
            let next = try await blocks(in: range)
            if next != present { (present, unchangedSince) = (next, .now) }
            return nil
        }
        guard settled != nil else {
            throw HarnessError.infrastructure(
                "the guest could not add the memory at \(range.lowerBound.hexadecimal) and has not taken it all back within "
                    + "\(timeouts.plug)")
        }
        try drainEvents()
        lmbs.takeBack(range, present: Set(present.keys))
    }

    /// What keeps a DIMM from being plugged, by where the others lie; nil when there is a place for it.
    ///
    /// A plan is held against a machine in which every unplug succeeds: one that the guest refused, or is silent about,
    /// leaves less room than that.
    private func lackOfRoom(for byteCount: UInt64, at base: UInt64?) async -> String? {
        guard let xml = try? await domain.liveXML(), let dimms = try? LiveDomain(xml: xml).dimms else { return nil }
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
        let kept = dimms.map(\.alias).filter { alias in
            refusedUnplugs.contains(alias) || unplugs.requests.contains { $0.alias == alias }
        }
        return "there is no room for DIMM \(dimmCount) of \(ByteCount(byteCount).text)"
            + (base.map { " at \(ByteCount($0).text)" } ?? "") + ": "
            + (hasSlot ? space.largestFreeText : "all \(configuration.slotCount) slots are taken")
            + (kept.isEmpty ? "" : "; the guest has not given up \(kept.joined(separator: ", "))")
            + "; 'maximum-memory' and 'slots' of a plan make more"
    }

    /// The sections whose populate failed, by address, in order.
    private var failedSections: [UInt64] {
        history?.steps.filter { $0.change == .failed }.map(\.base) ?? []
    }

    /// What a plug came to.
    struct PlugResult {
        let alias: String
        let range: Range<UInt64>
        /// The LMBs that the guest did not take.
        let refusedLMBs: [UInt64]
        /// The section whose memory map could not be populated, by address; nil when none was seen.
        let failedSection: UInt64?
    }

    /// Plugs a DIMM through libvirt and waits until the guest has settled every LMB of it.
    ///
    /// The machine chooses the base address where none is given.
    func plug(byteCount: UInt64, node: Int? = nil, base: UInt64? = nil) async throws -> PlugResult {
        dimmCount += 1
        let alias = "ua-dimm\(dimmCount)"
        let failuresBefore = lmbs.failedAddCount
        let sectionsFailedBefore = failedSections.count
        var device = MemoryDevice(alias: alias, byteCount: byteCount, node: node ?? 0)
        if let base {
            let taken = Set(try LiveDomain(xml: try await domain.liveXML()).dimms.map(\.slot))
            let slot = (0..<configuration.slotCount).first { !taken.contains($0) } ?? configuration.slotCount
            device.address = MemoryDevice.Address(slot: slot, base: base)
        }
        do {
            try await domain.attachDevice(xml: try device.xml())
        } catch let error as LibvirtError {
            guard let lack = await lackOfRoom(for: byteCount, at: base) else { throw error }
            throw HarnessError.infrastructure("\(lack) (\(error))")
        }
        try await refreshMemory()
        guard let region = memory.regions.first(where: { $0.name == alias }) else {
            throw HarnessError.infrastructure("libvirt took the DIMM \(alias) and does not list it")
        }
        let bases = LMB.addresses(in: region.range)
        let settled = try await waitUntil(within: timeouts.plug) { () async throws -> Bool? in
            try await checkAlive()
            try drainEvents()
            if lmbs.failedAddCount > failuresBefore { return true }
            return bases.allSatisfy(lmbs.isAdded) ? true : nil
        }
        guard settled != nil else {
            let missing = bases.filter { !lmbs.isAdded($0) }
            throw HarnessError.infrastructure(
                "the guest has settled \(bases.count - missing.count) of \(bases.count) LMBs of \(alias) within "
                    + "\(timeouts.plug); the first that is missing is at \((missing.first ?? 0).hexadecimal)")
        }
        if lmbs.failedAddCount > failuresBefore { try await waitForRollback(of: region.range) }
        notePeak(try kernelList())
        return PlugResult(
            alias: alias, range: region.range, refusedLMBs: bases.filter { !lmbs.isAdded($0) },
            failedSection: failedSections.dropFirst(sectionsFailedBefore).first)
    }
}
