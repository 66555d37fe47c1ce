// SPDX-License-Identifier: Apache-2.0

import GuestMemory

/// Why memory could not be added or removed.
public enum HotplugError: Error, Equatable, Sendable {
    /// The range is empty or does not consist of whole units of this many bytes.
    case unaligned(Range<UInt64>, unit: UInt64)
    /// The kernel's layout has no place for memory at or behind this address.
    case outOfReach(Range<UInt64>, end: UInt64)
    /// Some of it is there already (`-EEXIST`).
    case overlaps(Range<UInt64>)
    /// Not all of it is there.
    case notPresent(Range<UInt64>)
    /// It holds the kernel's own data, so that it cannot be taken offline (`-EBUSY`).
    case busy(Range<UInt64>)
    /// Under ``PopulateRules/hash`` and ``PopulateRules/original`` 16 MiB pages need 1 GiB at boot.
    case tooSmallForVmemmapPages(Range<UInt64>)
    /// The memory map could not be populated.
    case populate(PopulateError)
}

/// A kernel's bookkeeping of its memory map, without the kernel: memory in, `vmemmap_list` or page tables out.
///
/// Shaped as the kernel is: memory is added block by block, each block section by section, each section's memory map is
/// allocated by a call of `vmemmap_populate`, and that links one node for each block of memory. There is no lock in it.
/// The kernel has none either: boot is single-threaded and the hot-plug lock (in 2010 `pgdat_resize_lock`) lets one
/// caller in. Here the owner is the lock: the type cannot be copied, and every hook takes it exclusively.
public struct VmemmapEmulator: ~Copyable {
    /// Which kernel this is.
    public let layout: EmulatedLayout
    /// `vmemmap_list`; stays empty under ``PopulateRules/radixTables``.
    public private(set) var list: VmemmapList<EmulatedKernel>
    private var tables = RadixTables()
    /// The altmaps of the memory blocks that carry their own memory map, by the block's address.
    private var altmaps: [UInt64: Altmap] = [:]

    /// A kernel with memory at boot: `sparse_init`, sections ascending.
    ///
    /// A section whose memory map cannot be had is left out with all that follow it on its node (`sparse_init_nid`); in 2010
    /// it alone was. Nothing is undone.
    ///
    /// - Parameters:
    ///   - layout: the kernel.
    ///   - bootMemory: ascending ranges of whole sections.
    ///   - bootNodes: the NUMA node of each of them; ranges without one are node 0's.
    ///   - failingRequest: which request to the rest of the kernel fails, counted from 1; nil for none.
    ///   - blockPool: where blocks come from; nil for the memory itself, which then cannot be removed where it holds some.
    ///   - isIndexed: whether the list is indexed (see ``VmemmapList/init(store:isIndexed:)``).
    ///   - progress: called now and then with the bytes whose memory map is done.
    /// - Throws: what is wrong with the ranges. A memory map that cannot be had is no error but ``bootFailure``.
    public init(
        layout: EmulatedLayout, bootMemory: [Range<UInt64>], bootNodes: [Int] = [], failingRequest: UInt64? = nil,
        blockPool: Range<UInt64>? = nil, isIndexed: Bool = false, progress: (UInt64) -> Void = { _ in }
    ) throws(HotplugError) {
        self.layout = layout
        list = VmemmapList(
            store: EmulatedKernel(
                pageByteCount: layout.geometry.pageByteCount, blockPool: blockPool,
                radixStart: layout.radixStart),
            isIndexed: isIndexed)
        list.store.failingRequest = failingRequest
        var bootByteCount: UInt64 = 0
        for range in bootMemory {
            try check(range, unit: EmulatedLayout.sectionByteCount)
            list.store.addPresent(range)
            bootByteCount += range.upperBound - range.lowerBound
        }
        if layout.rules != .radixList, layout.geometry.vmemmapPageByteCount == 16 << 20, bootByteCount < 1 << 30 {
            throw .tooSmallForVmemmapPages(0..<bootByteCount)
        }
        populateBootMemory(bootMemory, nodes: bootNodes, progress: progress)
        list.store.endBoot()
    }

    private mutating func populateBootMemory(
        _ ranges: [Range<UInt64>], nodes: [Int], progress: (UInt64) -> Void
    ) {
        var done: UInt64 = 0
        // Ranges of one node that follow one another are one call; the next one goes on with another node's.
        var failedNode: Int?
        for (index, range) in ranges.enumerated() {
            let node = index < nodes.count ? nodes[index] : 0
            if node == failedNode { continue }
            failedNode = nil
            for section in Self.sections(of: range) {
                var altmap: Altmap?
                do throws(PopulateError) {
                    try populateSectionMemmap(section, altmap: &altmap)
                    list.store.markValid(section)
                } catch {
                    bootFailure = bootFailure ?? error
                    guard layout.rules == .original else {
                        failedNode = node
                        break
                    }
                    // In 2010 a mapping that failed was a BUG_ON: nothing follows it.
                    if error != .outOfMemory { return }
                }
                done += EmulatedLayout.sectionByteCount
                if done % (64 << 30) == 0 { progress(done) }
            }
        }
    }

    /// What kept the memory map of some boot memory from being populated.
    public private(set) var bootFailure: PopulateError?

    /// Plugs memory as a pseries guest does: `dlpar_memory_add_by_ic`, memory block by memory block. When one fails, those
    /// before it are removed again.
    ///
    /// - Parameters:
    ///   - range: whole memory blocks.
    ///   - memmapOnMemory: whether each block carries its own memory map. Only radix does it, since 6.6.
    /// - Throws: what is wrong with the range, or what failed, with all of the range as it was: except that sections
    ///   before the failed one in its memory block stay (see ``addMemory(_:memmapOnMemory:)``).
    public mutating func plug(_ range: Range<UInt64>, memmapOnMemory: Bool = false) throws(HotplugError) {
        let unit = LMB.byteCount
        try check(range, unit: unit)
        for start in stride(from: range.lowerBound, to: range.upperBound, by: Int(unit)) {
            do throws(HotplugError) {
                try addMemory(start..<start + unit, memmapOnMemory: memmapOnMemory)
            } catch {
                for added in stride(from: range.lowerBound, to: start, by: Int(unit)) {
                    try removeMemory(added..<added + unit)
                }
                throw error
            }
        }
    }

    /// Unplugs memory: `dlpar_memory_remove_by_ic`, memory blocks ascending.
    public mutating func unplug(_ range: Range<UInt64>) throws(HotplugError) {
        let unit = LMB.byteCount
        try checkRemovable(range, unit: unit)
        for start in stride(from: range.lowerBound, to: range.upperBound, by: Int(unit)) {
            try removeMemory(start..<start + unit)
        }
    }

    /// Adds one memory block: `__add_pages`, section by section.
    ///
    /// A section that fails is undone; those before it stay, valid and populated, though the block as a whole was
    /// refused: nobody removes them, and adding the block again fails.
    public mutating func addMemory(_ range: Range<UInt64>, memmapOnMemory: Bool = false) throws(HotplugError) {
        try check(range, unit: EmulatedLayout.sectionByteCount)
        var altmap =
            memmapOnMemory && layout.rules == .radixTables ? Altmap(memory: range, geometry: layout.geometry) : nil
        for section in Self.sections(of: range) {
            do throws(PopulateError) {
                try populateSectionMemmap(section, altmap: &altmap)
            } catch {
                depopulateSectionMemmap(section, altmap: &altmap)
                throw .populate(error)
            }
            list.store.markValid(section)
        }
        altmaps[range.lowerBound] = altmap
        list.store.addPresent(range)
    }

    /// Fails to add a section, as ``addMemory(_:memmapOnMemory:)`` does when its populate fails: what was put on the list
    /// comes off it again.
    ///
    /// - Parameters:
    ///   - section: one section.
    ///   - linkedCount: how many blocks the call had put on the list. Page tables are as they were, whatever it was, but
    ///     for what ``RadixStart/blockAligned`` may leave before the section: nobody tells whether it came to that.
    /// - Throws: what is wrong with the range.
    public mutating func failToAdd(_ section: Range<UInt64>, linkedCount: UInt64) throws(HotplugError) {
        try check(section, unit: EmulatedLayout.sectionByteCount)
        guard layout.rules != .radixTables else { return }
        list.store.blocksLeft = linkedCount
        defer { list.store.blocksLeft = .max }
        var altmap: Altmap?
        try? populateSectionMemmap(section, altmap: &altmap)
        depopulateSectionMemmap(section, altmap: &altmap)
    }

    /// Removes memory: `__remove_pages`, section by section; each one is invalid before its memory map goes
    /// (`section_deactivate`).
    public mutating func removeMemory(_ range: Range<UInt64>) throws(HotplugError) {
        try checkRemovable(range, unit: EmulatedLayout.sectionByteCount)
        list.store.removePresent(range)
        var altmap: Altmap?
        for section in Self.sections(of: range) {
            if let next = altmaps.removeValue(forKey: section.lowerBound) { altmap = next }
            list.store.markInvalid(section)
            depopulateSectionMemmap(section, altmap: &altmap)
        }
    }

    /// Ends the emulation and leaves the list, to be read.
    public consuming func exit() -> VmemmapList<EmulatedKernel> {
        list
    }

    /// What the page tables map under ``PopulateRules/radixTables``: blocks of 2 MiB and base pages.
    public var tableCounts: (blocks: Int, pages: Int) { tables.count }

    /// What backs the memory map under ``PopulateRules/radixTables``, ascending by address.
    public func tableBacking() -> [RadixTables.Backing] {
        tables.backings(pageByteCount: layout.geometry.pageByteCount)
    }
}

extension VmemmapEmulator {
    private static func sections(of range: Range<UInt64>) -> LazyMapSequence<StrideTo<UInt64>, Range<UInt64>> {
        let byteCount = EmulatedLayout.sectionByteCount
        return stride(from: range.lowerBound, to: range.upperBound, by: Int(byteCount)).lazy.map { $0..<$0 + byteCount }
    }

    /// `populate_section_memmap` and `vmemmap_populate`.
    private mutating func populateSectionMemmap(
        _ section: Range<UInt64>, altmap: inout Altmap?
    ) throws(PopulateError) {
        let map = layout.memoryMap(of: section)
        if layout.rules == .radixTables {
            swap(&list.store.altmap, &altmap)
            defer { swap(&list.store.altmap, &altmap) }
            try tables.populate(
                start: map.start, end: map.end, rule: layout.radixStart, hasAltmap: list.store.altmap != nil,
                geometry: layout.geometry, kernel: &list.store)
        } else {
            try list.vmemmapPopulate(
                start: map.start, end: map.end, node: 0, geometry: layout.geometry, rules: layout.rules)
        }
    }

    /// `depopulate_section_memmap` and `vmemmap_free`, which was empty in 2010.
    private mutating func depopulateSectionMemmap(_ section: Range<UInt64>, altmap: inout Altmap?) {
        let map = layout.memoryMap(of: section)
        switch layout.rules {
        case .original: break
        // Where it was populated it can be freed: the range is a section's, and the arena holds all that was stored in it.
        case .hash, .radixList:
            _ = try? list.vmemmapFree(start: map.start, end: map.end, geometry: layout.geometry)
        case .radixTables:
            swap(&list.store.altmap, &altmap)
            defer { swap(&list.store.altmap, &altmap) }
            _ = try? tables.free(start: map.start, end: map.end, geometry: layout.geometry, kernel: &list.store)
        }
    }

    private func check(_ range: Range<UInt64>, unit: UInt64) throws(HotplugError) {
        guard !range.isEmpty, range.lowerBound % unit == 0, range.upperBound % unit == 0 else {
            throw .unaligned(range, unit: unit)
        }
        guard range.upperBound <= layout.memoryEnd else { throw .outOfReach(range, end: layout.memoryEnd) }
        let addresses = range.lowerBound...range.upperBound - 1
        guard !list.store.present.intersects(addresses), !list.store.valid.intersects(addresses) else {
            throw .overlaps(range)
        }
    }

    private func checkRemovable(_ range: Range<UInt64>, unit: UInt64) throws(HotplugError) {
        guard !range.isEmpty, range.lowerBound % unit == 0, range.upperBound % unit == 0 else {
            throw .unaligned(range, unit: unit)
        }
        guard list.store.present.contains(range) else { throw .notPresent(range) }
        guard !list.store.mayHoldBlocks(range) else { throw .busy(range) }
        // Memory that carries its own memory map goes as it came.
        for block in altmaps.values.map({ $0.memory }) where block.overlaps(range) && block.clamped(to: range) != block
        {
            throw .unaligned(range, unit: LMB.byteCount)
        }
    }
}
