// SPDX-License-Identifier: Apache-2.0

import GuestMemory

/// What a kernel's bookkeeping must look like after a history of hot-plugs, predicted without looking at the kernel.
///
/// The prediction holds the set of windows and, since every rule that decides it is known, the order: a list is the
/// populate calls in reverse, sections ascending at boot and in each memory block. It says nothing of physical addresses,
/// which the kernel's page allocator chooses. It also holds each node's place, as the ordinal of its page (in the order
/// in which the kernel took them) and the byte offset in it.
public struct ListModel: Equatable, Sendable {
    /// One step of a guest's history.
    public enum Step: Equatable, Sendable {
        /// Sections that were added, ascending; each memory block may carry its own memory map.
        case add(Range<UInt64>, memmapOnMemory: Bool = false)
        /// A section whose populate failed with so many blocks on the list, and was undone.
        case failToAdd(Range<UInt64>, linkedCount: UInt64)
        /// Sections that were removed, ascending. A refused unplug is the sections that went, and then their addition.
        case remove(Range<UInt64>)
    }

    /// Where a node stands.
    public struct Place: Equatable, Hashable, Sendable {
        /// Which of the kernel's node pages, the first one being 0.
        public let page: UInt64
        /// The byte offset in it, a multiple of 24.
        public let offset: UInt64

        /// Names a place.
        public init(page: UInt64, offset: UInt64) {
            self.page = page
            self.offset = offset
        }
    }

    /// An entry that the list must have.
    public struct Entry: Equatable, Sendable {
        /// The window.
        public let virtAddr: UInt64
        /// Its node.
        public let place: Place

        /// Makes an entry.
        public init(virtAddr: UInt64, place: Place) {
            self.virtAddr = virtAddr
            self.place = place
        }
    }

    /// A leaf that the page tables must have.
    public struct Leaf: Equatable, Hashable, Sendable {
        /// The window.
        public let virtAddr: UInt64
        /// 2 MiB or a base page.
        public let byteCount: UInt64

        /// Makes a leaf.
        public init(virtAddr: UInt64, byteCount: UInt64) {
            self.virtAddr = virtAddr
            self.byteCount = byteCount
        }
    }

    /// The entries from the head, newest first. Empty under ``PopulateRules/radixTables``.
    public let entries: [Entry]
    /// The leaves of the page tables under ``PopulateRules/radixTables``, ascending; empty under the other rules.
    public let leaves: [Leaf]
    /// Which `struct page` stands where.
    public let geometry: MemoryMapGeometry
    /// The memory whose `struct page`s are valid.
    public let validMemory: MemoryRanges
    /// Whether any memory came whose memory map begins in the middle of a PMD entry's part: without it, a kernel's page
    /// tables do not depend on its ``RadixStart``.
    public let hasStartInMiddle: Bool
    /// The parts of the memory map where ``RadixStart/blockAligned`` leaves base pages for memory that never came, if it gets
    /// no block for what came behind them. Empty under the other rules.
    public let leakableMap: MemoryRanges

    /// Predicts.
    ///
    /// - Parameters:
    ///   - layout: the kernel.
    ///   - bootMemory: the ranges of memory at boot, ascending.
    ///   - history: what happened since.
    /// - Throws: what keeps such a history from happening.
    public init(
        layout: EmulatedLayout, bootMemory: [Range<UInt64>], history: [Step] = []
    ) throws(HotplugError) {
        // Where a guest has its blocks is not known here, so they are taken from where no guest has memory.
        let pool = LinearMap.byteCount..<2 * LinearMap.byteCount
        // What is never freed from is never searched.
        let isFreedFrom = history.contains { if case .add = $0 { false } else { true } }
        var emulator = try VmemmapEmulator(
            layout: layout, bootMemory: bootMemory, blockPool: pool, isIndexed: isFreedFrom)
        if let failure = emulator.bootFailure { throw .populate(failure) }
        var starts = RadixStarts(geometry: layout.geometry)
        for range in bootMemory { starts.note(range.lowerBound, hasAltmap: false) }
        for step in history {
            switch step {
            case .add(let range, let memmapOnMemory):
                for part in Self.memoryBlocks(of: range) {
                    try emulator.addMemory(part, memmapOnMemory: memmapOnMemory)
                    starts.note(part.lowerBound, hasAltmap: memmapOnMemory)
                }
            case .failToAdd(let section, let linkedCount):
                try emulator.failToAdd(section, linkedCount: linkedCount)
                starts.note(section.lowerBound, hasAltmap: false)
            case .remove(let range):
                for part in Self.memoryBlocks(of: range) { try emulator.removeMemory(part) }
            }
        }
        leaves = emulator.tableBacking().map { Leaf(virtAddr: $0.virtAddr, byteCount: $0.byteCount) }
        geometry = layout.geometry
        hasStartInMiddle = starts.isAnyInMiddle
        let canLeak = layout.rules == .radixTables && layout.radixStart == .blockAligned
        leakableMap = canLeak ? starts.before : MemoryRanges()
        let list = emulator.exit()
        validMemory = list.store.valid
        let pageByteCount = layout.geometry.pageByteCount
        let walk = ListWalk(
            head: list.state.head, in: list.store, pageByteCount: pageByteCount, limit: Int(list.state.liveCount))
        entries = walk.entries.map {
            let offset = $0.node - LinearMap.base
            return Entry(
                virtAddr: $0.virtAddr,
                place: Place(page: offset / pageByteCount, offset: offset % pageByteCount))
        }
    }

    /// The parts of a range by memory block: what one hot-plug call adds or removes.
    private static func memoryBlocks(of range: Range<UInt64>) -> [Range<UInt64>] {
        let unit = LMB.byteCount
        let first = range.lowerBound.alignedDown(to: unit)
        return stride(from: first, to: range.upperBound, by: Int(unit)).map {
            max($0, range.lowerBound)..<min($0 + unit, range.upperBound)
        }
    }
}

/// Where the memory map of what came begins, within a PMD entry's part.
private struct RadixStarts {
    let geometry: MemoryMapGeometry
    /// Whether one of them is in the middle.
    private(set) var isAnyInMiddle = false
    /// What lies between the part's start and theirs, where there is no altmap.
    private(set) var before = MemoryRanges()

    init(geometry: MemoryMapGeometry) { self.geometry = geometry }

    mutating func note(_ memoryStart: UInt64, hasAltmap: Bool) {
        let start = geometry.virtAddr(describing: PhysicalAddress(memoryStart))
        let pmd = start.alignedDown(to: EmulatedLayout.pmdByteCount)
        guard start != pmd else { return }
        isAnyInMiddle = true
        if !hasAltmap { before.insert(pmd..<start) }
    }
}
