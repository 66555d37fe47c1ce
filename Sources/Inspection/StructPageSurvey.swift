// SPDX-License-Identifier: Apache-2.0

public import GuestMemory
public import Verification

/// Looks at the `struct page`s of online memory, reaching them as the kernel's own account says: whether the kernel has made
/// them, and whether what it wrote into them belongs where it stands.
///
/// An initialised page that was never used, and each of those that lead the allocator's free blocks, holds its own effective
/// address: in its links (`INIT_LIST_HEAD`, `__init_single_page`), or in those of its neighbours. So a block's content shows
/// which window it is behind, without MMU, list or page tables.
public struct StructPageSurvey {
    private let layout: Layout
    private let kernel: KernelFacts
    private let index: TranslationIndex
    private var words: Words
    private var result: StructPagesSnapshot
    private let judgesFreeLists: Bool

    /// The members that are looked at.
    private struct Layout {
        let pages: StructPageLayout
        let flags: UInt64
        let refcount: UInt64
        let mapcount: UInt64
        let lru: UInt64
        /// How far `flags` has to be shifted for its NUMA node; nil where the kernel has one node only.
        let nodeShift: UInt64?

        /// Nil where VMCOREINFO does not tell all of them.
        init?(_ pages: StructPageLayout, nodeCount: UInt64?) {
            guard let flags = pages.offsets[.flags], let refcount = pages.offsets[.refcount],
                let mapcount = pages.offsets[.mapcount], let lru = pages.offsets[.lru],
                pages.offsets[.compoundHead] != nil, pages.types.contains(where: { $0.name == "buddy" })
            else { return nil }
            (self.pages, self.flags, self.refcount, self.mapcount, self.lru) = (pages, flags, refcount, mapcount, lru)
            // The node is in the highest bits: of sections there are none with SPARSEMEM_VMEMMAP (page-flags-layout.h).
            nodeShift = nodeCount.flatMap { $0 > 1 && $0.isPowerOfTwo ? 64 - UInt64($0.trailingZeroBitCount) : nil }
        }
    }

    /// Whether a kernel tells what has to be known of its `struct page`s.
    public static func isPossible(_ layout: StructPageLayout) -> Bool { Layout(layout, nodeCount: nil) != nil }

    /// The words of the memory map, and of the linear map, by effective address.
    private struct Words {
        let index: TranslationIndex
        let read: (PhysicalAddress) -> UInt64?
        /// The window that was looked at last: the next word is most often in it.
        private var window: (virtAddr: UInt64, byteCount: UInt64, phys: UInt64) = (0, 0, 0)

        init(index: TranslationIndex, read: @escaping (PhysicalAddress) -> UInt64?) {
            (self.index, self.read) = (index, read)
        }

        mutating func physical(_ virtAddr: UInt64) -> UInt64? {
            if virtAddr &- window.virtAddr >= window.byteCount {
                guard let found = index.window(of: virtAddr) else { return nil }
                window = (found.virtAddr, found.byteCount, found.phys)
            }
            return window.phys &+ (virtAddr &- window.virtAddr)
        }

        mutating func word(_ virtAddr: UInt64) -> UInt64? {
            guard virtAddr % 8 == 0 else { return nil }
            if let phys = LinearMap.physical(virtAddr), !index.isInMemoryMap(virtAddr) { return read(phys) }
            return physical(virtAddr).flatMap { read(PhysicalAddress($0)) }
        }
    }

    /// The most page frames of a block that are looked at for one that proves its place.
    private static let proofLimit: UInt64 = 4096
    /// The most of those in all: windows can be said to be as large and as many as anybody likes.
    private static let proofBudget = 1 << 22
    /// More users than there are tasks, buffers and page tables.
    private static let refcountLimit: Int32 = 1 << 28

    /// Looks at the `struct page`s.
    ///
    /// - Parameters:
    ///   - snapshot: the kernel's account, its sections, the machine's memory, and the windows that are gone.
    ///   - layout: what VMCOREINFO tells of `struct page`.
    ///   - nodeCount: `LENGTH(node_data)`, the most NUMA nodes; nil where the kernel knows of none.
    ///   - looksAtAll: whether each one is looked at, and not one in each 4 KiB of the memory map.
    ///   - judgesFreeLists: whether a free page that is not where its neighbours have it is a fault: the kernel may be at work
    ///     on them, and only one that runs on can be looked at again.
    ///   - memory: the words of physical memory, in the kernel's byte order; nil where none is.
    /// - Returns: what was found; nil where ``isPossible(_:)`` is false.
    public static func survey(
        _ snapshot: Snapshot, _ layout: StructPageLayout, nodeCount: UInt64?, looksAtAll: Bool,
        judgesFreeLists: Bool = true, in memory: @escaping (PhysicalAddress) -> UInt64?
    ) -> StructPagesSnapshot? {
        guard let layout = Layout(layout, nodeCount: nodeCount) else { return nil }
        let index = TranslationIndex(snapshot)
        let stride = looksAtAll ? 1 : max(1, 4096 / snapshot.kernel.structPageByteCount)
        var survey = StructPageSurvey(
            layout: layout, kernel: snapshot.kernel, index: index, words: Words(index: index, read: memory),
            result: StructPagesSnapshot(frameStride: stride), judgesFreeLists: judgesFreeLists)
        survey.lookAtPages(of: snapshot, stride: stride)
        survey.lookForProofs(snapshot)
        survey.lookForFreePlaces(snapshot)
        survey.lookAtFormerBlocks(snapshot)
        return survey.result
    }

    // MARK: - Pages

    private mutating func lookAtPages(of snapshot: Snapshot, stride: UInt64) {
        for section in snapshot.onlineSections {
            let start = section.number << kernel.sectionSizeBits
            let memory = snapshot.memory.first { $0.range.contains(start) }
            var node = memory?.node
            let first = start / kernel.pageByteCount
            for frame in Swift.stride(
                from: first, to: first + (1 << kernel.sectionSizeBits) / kernel.pageByteCount, by: Int(stride))
            {
                result.readCount += 1
                guard let fault = fault(of: frame, node: &node) else { continue }
                result.note(fault)
            }
        }
    }

    /// What is wrong with a page's `struct page`. Where the machine does not say which node its memory belongs to, the first
    /// page of a section does.
    private mutating func fault(of frame: UInt64, node: inout UInt64?) -> StructPagesSnapshot.Faulty? {
        guard let page = structPage(of: frame), let phys = words.physical(page),
            let flags = words.word(page + layout.flags)
        else {
            result.unreadableCount += 1
            return nil
        }
        func faulty(_ fault: StructPagesSnapshot.Fault, _ word: UInt64) -> StructPagesSnapshot.Faulty {
            StructPagesSnapshot.Faulty(fault, frame: frame, phys: phys, word: word)
        }
        if flags == .max { return faulty(.poisoned, flags) }
        if flags == 0, isZero(page) { return faulty(.zeroed, 0) }
        if let shift = layout.nodeShift {
            if node == nil { node = flags >> shift }
            if flags >> shift != node { return faulty(.otherNode, flags) }
        }
        if let count = halfWord(page + layout.refcount).map(Int32.init(bitPattern:)),
            !(0...Self.refcountLimit ~= count)
        {
            return faulty(.refcount, UInt64(UInt32(bitPattern: count)))
        }
        switch place(of: page) {
        case .elsewhere(let link): return faulty(.otherPage, link)
        case .torn(let link): return judgesFreeLists ? faulty(.brokenLinks, link) : nil
        case .proven, .unknown: return nil
        }
    }

    /// Where a page's `struct page` is; nil where there is none, or it would not end before all addresses do.
    private func structPage(of frame: UInt64) -> UInt64? {
        index.structPage(ofFrame: frame).flatMap {
            $0.addingReportingOverflow(kernel.structPageByteCount).overflow ? nil : $0
        }
    }

    private mutating func isZero(_ page: UInt64) -> Bool {
        for offset in Swift.stride(from: 0, to: kernel.structPageByteCount, by: 8) where words.word(page + offset) != 0
        {
            return false
        }
        return true
    }

    private mutating func halfWord(_ address: UInt64) -> UInt32? {
        guard let word = words.word(address.alignedDown(to: 8)) else { return nil }
        let takesHighBits = (address % 8 == 4) == (layout.pages.order == .little)
        return UInt32(truncatingIfNeeded: takesHighBits ? word >> 32 : word)
    }

    // MARK: - Places

    /// What a page's links say of where it is.
    private enum Place {
        case proven
        case elsewhere(UInt64)
        case torn(UInt64)
        case unknown
    }

    private mutating func place(of page: UInt64) -> Place {
        let links = page + layout.lru
        guard let next = words.word(links), let previous = words.word(links + 8) else { return .unknown }
        if next == links, previous == links { return .proven }
        if isBuddy(page) {
            // Both neighbours lead back here: pages in front of this one or behind it, or the list's head.
            guard let back = words.word(next &+ 8), let forth = words.word(previous) else { return .unknown }
            return back == links && forth == links ? .proven : .torn(next)
        }
        // The links of another page that is on no list. A list's head is in no struct page, so that two pages alone are on none.
        if next == previous, index.isInMemoryMap(next), index.frame(whoseStructPageIsAt: next &- layout.lru) != nil {
            return .elsewhere(next)
        }
        return .unknown
    }

    private mutating func isBuddy(_ page: UInt64) -> Bool {
        halfWord(page + layout.mapcount).flatMap { layout.pages.type(of: $0) } == "buddy"
    }

    private mutating func lookForProofs(_ snapshot: Snapshot) {
        var online = OnlineFrames(snapshot)
        var budget = Self.proofBudget
        for window in snapshot.accountEntries {
            guard let first = index.frame(describedAt: window.virtAddr) else { continue }
            let count = window.byteCount / kernel.structPageByteCount
            for frame in first..<first + min(count, Self.proofLimit) {
                budget -= 1
                guard budget >= 0 else { return }
                guard online.contains(frame), let page = structPage(of: frame), page >= window.virtAddr
                else { continue }
                guard case .proven = place(of: page) else { continue }
                result.provenBlockCount += 1
                break
            }
        }
    }

    // MARK: - Free memory

    /// What the allocator has of the page that holds a physical address: whether it is free. Nil where its section is not
    /// online, and where it is a part of another page.
    private mutating func isFree(_ phys: UInt64, _ online: inout OnlineFrames, countsUsers: Bool) -> Bool? {
        let frame = phys / kernel.pageByteCount
        guard online.contains(frame), let page = structPage(of: frame),
            let head = words.word(page + (layout.pages.offsets[.compoundHead] ?? 0)), head & 1 == 0
        else { return nil }
        if isBuddy(page) { return true }
        return countsUsers ? halfWord(page + layout.refcount) == 0 : false
    }

    private mutating func lookForFreePlaces(_ snapshot: Snapshot) {
        var online = OnlineFrames(snapshot)
        var seen: Set<UInt64> = []
        for window in snapshot.accountEntries {
            if isFree(window.phys, &online, countsUsers: true) == true {
                result.note(StructPagesSnapshot.FreePlace(.block, phys: window.phys, virtAddr: window.virtAddr))
            }
            guard let place = snapshot.account == .list ? LinearMap.physical(window.place)?.rawValue : window.place,
                seen.insert(place / kernel.pageByteCount).inserted
            else { continue }
            // A page of the slab allocator's, in which small tables are, has no users to count in newer kernels.
            let isNode = snapshot.account == .list
            if isFree(place, &online, countsUsers: isNode) == true {
                result.note(
                    StructPagesSnapshot.FreePlace(isNode ? .node : .table, phys: place, virtAddr: window.virtAddr))
            }
        }
    }

    private mutating func lookAtFormerBlocks(_ snapshot: Snapshot) {
        var online = OnlineFrames(snapshot)
        for window in snapshot.formerWindows {
            guard let isFree = isFree(window.phys, &online, countsUsers: true) else { continue }
            result.formerBlockCount += 1
            if isFree { result.formerFreeCount += 1 }
        }
    }
}

/// Which page frames are those of online sections.
private struct OnlineFrames {
    private let sections: Set<UInt64>
    private let framesPerSection: UInt64
    private var last: (section: UInt64, isOnline: Bool)?

    init(_ snapshot: Snapshot) {
        sections = Set(snapshot.onlineSections.map(\.number))
        framesPerSection = (1 << snapshot.kernel.sectionSizeBits) / snapshot.kernel.pageByteCount
    }

    mutating func contains(_ frame: UInt64) -> Bool {
        let section = frame / framesPerSection
        if let last, last.section == section { return last.isOnline }
        let isOnline = sections.contains(section)
        last = (section, isOnline)
        return isOnline
    }
}
