// SPDX-License-Identifier: Apache-2.0

import AgentProtocol
import GuestMemory
import VmemmapPopulate

/// The node pages of the shared region as the memory of a list.
///
/// It stands for the rest of the kernel too, as far as a free asks it: which memory is valid, and what went.
struct RegionNodeStore: PopulateEnvironment {
    let region: SharedRegion
    /// What the next node's origin word says.
    var origin: UInt64 = 0
    /// Memory whose `struct page`s are valid, by physical address.
    var valid = MemoryRanges()
    /// What the last free took off the list.
    var freedBlocks: [(virtAddr: UInt64, phys: UInt64)] = []
    private var pagesUsed: UInt64 = 0

    init(region: SharedRegion) {
        self.region = region
    }

    var pageByteCount: UInt64 { region.layout.pageByteCount }

    func word(at address: UInt64) throws(MemoryAccessError) -> UInt64 {
        try region.word(at: address)
    }

    func store(_ value: UInt64, at address: UInt64) throws(MemoryAccessError) {
        try region.store(value, at: address)
    }

    mutating func allocatePage() -> UInt64? {
        guard pagesUsed < region.layout.nodePageCapacity else { return nil }
        defer { pagesUsed += 1 }
        return region.layout.nodesOffset + pagesUsed * pageByteCount
    }

    func publish(_ state: VmemmapListState, newNode: UInt64?) throws(MemoryAccessError) {
        if let newNode, let slot = region.layout.slot(ofNodeAt: newNode) {
            try region.store(origin, at: region.layout.originsOffset + slot * 8)
        }
        try region.setHeader(.nodePagesUsed, pagesUsed)
        try region.setHeader(.nodesLeft, state.nodesLeft)
        try region.setHeader(.freedCount, state.freedCount)
        try region.setHeader(.liveCount, state.liveCount)
        try region.setHeader(.head, state.head)
    }

    func holdsValidMemory(_ addresses: ClosedRange<UInt64>) -> Bool {
        valid.intersects(addresses)
    }

    /// Blocks are the kernel's to give: the mirror hears of each with its address.
    func allocateBlock(byteCount: UInt64, node: UInt64) -> PhysicalAddress? { nil }

    func createMapping(virtAddr: UInt64, byteCount: UInt64, phys: PhysicalAddress) -> Bool { true }

    mutating func freeBlock(_ address: PhysicalAddress, byteCount: UInt64) {
        freedBlocks.append((virtAddr: 0, phys: address.rawValue))
    }

    /// Comes right after the block, and tells whose it was.
    mutating func removeMapping(virtAddr: UInt64, byteCount: UInt64) {
        if !freedBlocks.isEmpty { freedBlocks[freedBlocks.count - 1].virtAddr = virtAddr }
    }
}

/// The Swift-managed list in the shared region, kept equal to the kernel's, and the ring that tells how it got there.
struct Mirror: ~Copyable {
    let region: SharedRegion
    private let ring: EventRing
    private var list: VmemmapList<RegionNodeStore>
    /// How many events were published.
    private(set) var eventCount: UInt64 = 0
    /// What the kernel's page tables map, where it keeps no list.
    private var tables: RadixTables?
    /// The agent's clock.
    private let now: () -> UInt64
    /// How far the events' clock is ahead of the agent's, at most; nil while no mark has told.
    private var clockLead: Int64?

    /// What a node of the list is made of.
    private struct Block {
        let phys: UInt64
        let virtAddr: UInt64
        /// log2 of the size on a kernel without a list, else 0.
        let byteShift: UInt64
    }

    init(region: SharedRegion, now: @escaping () -> UInt64 = { 0 }) {
        self.region = region
        self.now = now
        ring = EventRing(region)
        list = VmemmapList(store: RegionNodeStore(region: region), isIndexed: true)
    }

    /// Takes in when a mark was written by the agent's clock, and when it came into a source by that one's: somewhat later.
    mutating func noteMark(writtenAt marker: UInt64, microseconds: UInt64) {
        let lead = Int64(truncatingIfNeeded: microseconds &- marker)
        clockLead = min(clockLead ?? lead, lead)
    }

    /// Now, by the events' clock; 0 while that is not known.
    private var eventTime: UInt64 {
        guard let clockLead else { return 0 }
        return UInt64(max(0, Int64(truncatingIfNeeded: now()) &+ clockLead))
    }

    /// The list's variables as the agent has them, whatever stands in the region.
    var state: VmemmapListState { list.state }

    /// Publishes an event.
    mutating func publish(_ event: AgentEvent, microseconds: UInt64) throws(MemoryAccessError) {
        let (kind, operands) = event.encoded
        eventCount += 1
        try ring.publish(
            RingRecord(
                sequence: eventCount, kind: kind, microseconds: microseconds, publishedMicroseconds: eventTime,
                operands: operands))
    }

    /// Mirrors one block that the kernel was seen to populate, and publishes the event that says so.
    mutating func observe(
        virtAddr: UInt64, byteCount: UInt64, phys: UInt64, microseconds: UInt64
    ) throws(MemoryAccessError) {
        let byteShift = tables == nil ? 0 : UInt64(byteCount.trailingZeroBitCount)
        let origin = EntryOrigin(.observed, byteShift: byteShift, eventSequence: eventCount + 1)
        let node = try add(phys: phys, virtAddr: virtAddr, origin: origin.word)
        let event: AgentEvent =
            if let node {
                .blockMirrored(virtAddr: virtAddr, byteCount: byteCount, phys: phys, mirrorNode: node)
            } else {
                .mirrorFull(virtAddr: virtAddr, phys: phys)
            }
        try publish(event, microseconds: microseconds)
    }

    /// Notes that the `struct page`s of a range of memory are valid from now on, or no longer.
    mutating func mark(_ memory: Range<UInt64>, isValid: Bool) {
        if isValid { list.store.valid.insert(memory) } else { list.store.valid.remove(memory) }
    }

    /// Mirrors a call of `vmemmap_free`, whose message does not say which blocks went: the kernel's own rule does, run on
    /// the mirror. Publishes an event for each.
    mutating func free(
        start: UInt64, end: UInt64, geometry: MemoryMapGeometry, microseconds: UInt64
    ) throws(MemoryAccessError) {
        list.store.freedBlocks.removeAll(keepingCapacity: true)
        try region.beginChange()
        do throws(PopulateError) {
            try list.vmemmapFree(start: start, end: end, geometry: geometry)
        } catch {
            // A range that is not valid frees nothing, here as there.
            if case .storage(let problem) = error { throw problem }
        }
        try region.endChange()
        for block in list.store.freedBlocks {
            try publish(.blockFreed(virtAddr: block.virtAddr, phys: block.phys), microseconds: microseconds)
        }
    }

    /// Rebuilds the list from a snapshot of the kernel's, oldest first, as the kernel built it.
    ///
    /// An entry that is in the list already keeps its origin. Returns how many were new.
    mutating func rebuild(
        from entries: [ListEntry], valid: MemoryRanges, newcomers: Provenance, microseconds: UInt64
    ) throws(MemoryAccessError) -> UInt64 {
        tables = nil
        let blocks = entries.reversed().map { Block(phys: $0.phys, virtAddr: $0.virtAddr, byteShift: 0) }
        return try rebuild(from: blocks, valid: valid, newcomers: newcomers, microseconds: microseconds)
    }

    /// Rebuilds the list from a walk of the page tables of a kernel that keeps no list: a node for each leaf, ascending.
    mutating func rebuild(
        from leaves: [RadixWalk.Leaf], pageByteCount: UInt64, valid: MemoryRanges, newcomers: Provenance,
        microseconds: UInt64
    ) throws(MemoryAccessError) -> UInt64 {
        let backings = leaves.map {
            RadixTables.Backing(virtAddr: $0.virtAddr, byteCount: $0.byteCount, phys: $0.phys)
        }
        tables = RadixTables(backings, pageByteCount: pageByteCount)
        return try rebuild(
            from: backings.map {
                Block(phys: $0.phys, virtAddr: $0.virtAddr, byteShift: UInt64($0.byteCount.trailingZeroBitCount))
            }, valid: valid, newcomers: newcomers, microseconds: microseconds)
    }

    private mutating func rebuild(
        from blocks: [Block], valid: MemoryRanges, newcomers: Provenance, microseconds: UInt64
    ) throws(MemoryAccessError) -> UInt64 {
        var origins: [UInt64: (phys: UInt64, origin: UInt64)] = [:]
        for entry in current() {
            guard let slot = region.layout.slot(ofNodeAt: entry.node) else { continue }
            let origin = try region.word(at: region.layout.originsOffset + slot * 8)
            origins[entry.virtAddr] = (entry.phys, origin)
        }
        var newCount: UInt64 = 0
        try region.beginChange()
        list = VmemmapList(store: RegionNodeStore(region: region), isIndexed: true)
        list.store.valid = valid
        try list.store.publish(list.state, newNode: nil)
        for block in blocks {
            var origin = EntryOrigin(newcomers, byteShift: block.byteShift).word
            if let known = origins[block.virtAddr], known.phys == block.phys,
                EntryOrigin(word: known.origin)?.byteShift == block.byteShift
            {
                origin = known.origin
            } else {
                newCount += 1
            }
            if try link(phys: block.phys, virtAddr: block.virtAddr, origin: origin) == nil {
                try publish(.mirrorFull(virtAddr: block.virtAddr, phys: block.phys), microseconds: microseconds)
                break
            }
        }
        try region.endChange()
        return newCount
    }

    // MARK: - Page tables

    /// Mirrors a call of `radix__vmemmap_populate`, whose blocks come without the addresses that they back: the kernel's
    /// own rule says them, run on the mirror with what the kernel was seen to get. False when that does not come out.
    mutating func populateTables(
        _ call: PopulateCall, geometry: MemoryMapGeometry, microseconds: UInt64
    ) throws(MemoryAccessError) -> Bool {
        guard tables != nil else { return false }
        var kernel = ObservedRadix(valid: list.store.valid, call: call)
        // Which rule the kernel has is not known. They differ in what base pages back, and by how many it asked for: where
        // the one gives the right number, the other gives more of them, or the same ones.
        let hasOtherStart =
            call.altmap == 0 && call.start % EmulatedLayout.pmdByteCount != 0
            && call.allocations.contains { $0.byteCount == geometry.pageByteCount }
        let before = hasOtherStart ? tables : nil
        populateTables(call, by: .asGiven, geometry: geometry, kernel: &kernel)
        if let before, !kernel.isExplained {
            let first = (tables, kernel)
            tables = before
            kernel = ObservedRadix(valid: list.store.valid, call: call)
            populateTables(call, by: .blockAligned, geometry: geometry, kernel: &kernel)
            if !kernel.isExplained { (tables, kernel) = first }
        }
        for backing in kernel.populated {
            try observe(
                virtAddr: backing.virtAddr, byteCount: backing.byteCount, phys: backing.phys, microseconds: microseconds
            )
        }
        return kernel.isExplained
    }

    private mutating func populateTables(
        _ call: PopulateCall, by rule: RadixStart, geometry: MemoryMapGeometry, kernel: inout ObservedRadix
    ) {
        do throws(PopulateError) {
            try tables?.populate(
                start: call.start, end: call.end, rule: rule, hasAltmap: call.altmap != 0, geometry: geometry,
                kernel: &kernel)
        } catch {
            kernel.noteFailure()
        }
    }

    /// Mirrors a call of `vmemmap_free` on page tables: the kernel's own rule says what went. Publishes an event for each.
    mutating func freeTables(
        start: UInt64, end: UInt64, geometry: MemoryMapGeometry, microseconds: UInt64
    ) throws(MemoryAccessError) {
        var kernel = ObservedRadix(valid: list.store.valid, call: nil)
        // A range that is not valid frees nothing, here as there.
        _ = try? tables?.free(start: start, end: end, geometry: geometry, kernel: &kernel)
        for backing in kernel.released {
            _ = try remove(virtAddr: backing.virtAddr, microseconds: microseconds)
        }
    }

    /// Whether the newest entry of this address says this block.
    func holds(virtAddr: UInt64, phys: UInt64) throws(MemoryAccessError) -> Bool {
        try list.indexedPhys(virtAddr: virtAddr) == phys
    }

    /// Mirrors the removal of one block, and publishes the event that says so; false when the mirror does not hold it.
    mutating func remove(virtAddr: UInt64, microseconds: UInt64) throws(MemoryAccessError) -> Bool {
        try region.beginChange()
        var phys: UInt64 = 0
        do throws(PopulateError) {
            phys = try list.free(virtAddr: virtAddr)
        } catch {
            if case .storage(let problem) = error { throw problem }
        }
        try region.endChange()
        guard phys != 0 else { return false }
        try publish(.blockFreed(virtAddr: virtAddr, phys: phys), microseconds: microseconds)
        return true
    }

    /// The list as it stands in the region.
    private func current() -> [ListEntry] {
        let layout = region.layout
        return ListWalk(
            head: list.state.head, in: region, pageByteCount: layout.pageByteCount, limit: Int(layout.nodeCapacity)
        ).entries
    }

    private mutating func add(phys: UInt64, virtAddr: UInt64, origin: UInt64) throws(MemoryAccessError) -> UInt64? {
        try region.beginChange()
        let node = try link(phys: phys, virtAddr: virtAddr, origin: origin)
        try region.endChange()
        return node
    }

    /// Links a node through `vmemmap_list_populate`; nil when the region has no page left for it.
    private mutating func link(phys: UInt64, virtAddr: UInt64, origin: UInt64) throws(MemoryAccessError) -> UInt64? {
        list.store.origin = origin
        do throws(PopulateError) {
            return try list.populate(phys: phys, virtAddr: virtAddr)
        } catch {
            guard case .storage(let problem) = error else { return nil }
            throw problem
        }
    }
}
