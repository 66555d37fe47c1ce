// SPDX-License-Identifier: Apache-2.0

/// The shared region's format, version 3: where everything stands in the memory that host and guest share.
///
/// Every field is a 64-bit word in the guest's byte order, which the byte-order mark tells. The harness creates the
/// region zeroed and a power of two in size; the agent, its only writer until a dump-capture kernel's comes, lays it out.
/// All offsets follow from the region's size and the kernel's page size, so a reader computes them and holds the header
/// against its result.
///
///     0          header: one word per `Field`, then the kernel's release as text
///     4 KiB      capture header: one word per `CaptureField`, then that kernel's release; all zeros until a dump-capture
///                kernel's agent writes here, which writes nowhere else but in its report area
///     64 KiB     event ring: 16,384 slots of 64 bytes
///     +1 MiB     report area: header, memory blocks, list entries of 32 bytes
///     …          the dump-capture kernel's report area, of the same form
///     …          origins: one word per node slot, see `EntryOrigin`
///     …          node pages: whole pages of the kernel's page size, nodes of 24 bytes
public struct SharedRegionLayout: Equatable, Sendable {
    /// `VMEMMAPL` read as a big-endian number.
    public static let magic: UInt64 = 0x564d_454d_4d41_504c
    /// The version that this code reads and writes.
    public static let version: UInt64 = 3
    /// Reads as `0x0807…01` in the other byte order.
    public static let byteOrderMark: UInt64 = 0x0102_0304_0506_0708

    /// Where the event ring starts.
    public static let ringOffset: UInt64 = 65536
    /// How many events the ring holds; enough for 3 GiB of 4 KiB blocks between two looks of the host.
    public static let ringSlotCount: UInt64 = 16384
    /// Eight words: sequence number, kind, when it happened, four operands, when it was published.
    public static let ringSlotByteCount: UInt64 = 64

    /// Where the report area starts.
    public static let reportOffset = ringOffset + ringSlotCount * ringSlotByteCount
    /// The report's header and its memory blocks, one word each.
    public static let reportHeaderByteCount: UInt64 = 4096
    /// How many memory blocks a report holds: 2 TiB of 256 MiB blocks.
    public static let reportBlockCapacity: UInt64 = 8192
    /// Four words: node address, list, phys, virt_addr.
    public static let reportEntryByteCount: UInt64 = 32

    /// Where the release text stands, and how many bytes of it there are at most.
    public static let releaseOffset: UInt64 = 1024
    /// The longest release; `__NEW_UTS_LEN` is 64.
    public static let releaseByteCount: UInt64 = 72

    /// Where the capture header starts; its release stands as far behind it as the first one's behind the header.
    public static let captureHeaderOffset: UInt64 = 4096
    /// `VMEMMAPC` read as a big-endian number.
    public static let captureMagic: UInt64 = 0x564d_454d_4d41_5043
    /// The epoch of a dump-capture kernel's agent.
    public static let captureEpoch: UInt64 = 2

    /// The capture header's words, in order, in the byte order of the first header.
    public enum CaptureField: UInt64, CaseIterable, Sendable {
        /// ``SharedRegionLayout/captureMagic``; stored last.
        case magic = 0
        /// ``SharedRegionLayout/version``.
        case version
        /// ``SharedRegionLayout/captureEpoch``.
        case epoch
        /// Odd while the report area changes.
        case generation
        /// An ``AgentState``.
        case state
        /// Offset of the dump-capture kernel's report area.
        case reportOffset

        /// The word's offset in the region, in bytes.
        public var offset: UInt64 { SharedRegionLayout.captureHeaderOffset + rawValue * 8 }
    }

    /// Whose report it is.
    public enum ReportArea: Sendable {
        /// The first kernel's agent's.
        case first
        /// The dump-capture kernel's agent's.
        case capture
    }

    /// `sizeof(struct vmemmap_backing)`.
    public static let nodeByteCount: UInt64 = 24

    /// The header's words, in order.
    public enum Field: UInt64, CaseIterable, Sendable {
        /// ``SharedRegionLayout/magic``; stored last when the region is laid out.
        case magic = 0
        /// ``SharedRegionLayout/version``.
        case version
        /// ``SharedRegionLayout/byteOrderMark``.
        case byteOrderMark
        /// The region's size in bytes.
        case regionByteCount
        /// The kernel's page size in bytes.
        case pageByteCount
        /// Odd while something wider than a word changes.
        case generation
        /// An ``AgentState``.
        case state
        /// Which agent wrote this: 1 for the first kernel's.
        case epoch
        /// Offset of the newest node, 0 when the list is empty.
        case head
        /// How many nodes are on the list.
        case liveCount
        /// How many node pages were taken.
        case nodePagesUsed
        /// Nodes left in the newest page (the kernel's `num_left`).
        case nodesLeft
        /// How many freed nodes are stacked for reuse (the kernel's `num_freed`).
        case freedCount
        /// How many events were ever published.
        case eventCount
        /// How often events were known to be lost.
        case lossCount
        /// How often the mirror was rebuilt from a snapshot.
        case healCount
        /// Offset of the ring, and so on: held against what the reader computes.
        case ringOffset
        /// Slots in the ring.
        case ringSlotCount
        /// Offset of the report area.
        case reportOffset
        /// Entries that the report area holds.
        case reportEntryCapacity
        /// Offset of the origins.
        case originsOffset
        /// Offset of the first node page.
        case nodesOffset
        /// How many node pages there is room for.
        case nodePageCapacity
        /// ``MMU``: what the guest says it runs on.
        case mmu
        /// Address of the vmemmap, 0 while unknown.
        case vmemmapBase
        /// log2 of a vmemmap page, 0 while unknown.
        case vmemmapPageShift
        /// An ``EventSource``.
        case eventSource

        /// The word's offset in bytes.
        public var offset: UInt64 { rawValue * 8 }
    }

    /// The region's size in bytes.
    public let regionByteCount: UInt64
    /// The kernel's page size in bytes.
    public let pageByteCount: UInt64
    /// How many node pages there is room for.
    public let nodePageCapacity: UInt64

    /// Why no layout fits.
    public enum Problem: Error, Equatable, Sendable {
        /// Not a power of two, or too small for one node page.
        case regionSize(UInt64)
        /// Not 4 KiB or 64 KiB.
        case pageSize(UInt64)
    }

    /// Lays out a region.
    public init(regionByteCount: UInt64, pageByteCount: UInt64) throws(Problem) {
        guard pageByteCount == 4096 || pageByteCount == 65536 else { throw .pageSize(pageByteCount) }
        guard regionByteCount.isPowerOfTwo, regionByteCount >= 1 << 20, regionByteCount <= 1 << 40 else {
            throw .regionSize(regionByteCount)
        }
        let fixed = Self.fixedByteCount + pageByteCount  // the pages are aligned, which costs up to one
        let perPage = Self.byteCountPerNodePage(pageByteCount: pageByteCount)
        guard regionByteCount >= fixed + perPage else { throw .regionSize(regionByteCount) }
        self.regionByteCount = regionByteCount
        self.pageByteCount = pageByteCount
        nodePageCapacity = (regionByteCount - fixed) / perPage
    }

    /// The size of a region for a guest that can grow to `maximumMemoryByteCount`: what so much memory takes, rounded up to
    /// a power of two.
    public static func regionByteCount(maximumMemoryByteCount: UInt64) -> UInt64 {
        let needed = usedByteCount(memoryByteCount: maximumMemoryByteCount)
        var size: UInt64 = 1 << 20
        while size < needed { size *= 2 }
        return size
    }

    /// The most of a region that so much memory takes: 4096 nodes per GiB, which is what the smallest kernel page and the
    /// smallest vmemmap page make of it, and what stands in it whatever the memory. The rest is a hole in the file.
    public static func usedByteCount(memoryByteCount: UInt64) -> UInt64 {
        let nodes = (memoryByteCount >> 30 + 1) * 4096
        var needed: UInt64 = 0
        for pageByteCount: UInt64 in [4096, 65536] {
            let pages = nodes / (pageByteCount / nodeByteCount) + 1
            let perPage = byteCountPerNodePage(pageByteCount: pageByteCount)
            needed = max(needed, fixedByteCount + pageByteCount + pages * perPage)
        }
        return needed
    }

    private static let fixedByteCount = reportOffset + 2 * (reportHeaderByteCount + reportBlockCapacity * 8)

    private static func byteCountPerNodePage(pageByteCount: UInt64) -> UInt64 {
        pageByteCount + pageByteCount / nodeByteCount * (8 + 2 * reportEntryByteCount)
    }

    /// 2730 on 64 KiB pages, 170 on 4 KiB pages; 16 bytes of each stay unused.
    public var nodesPerPage: UInt64 { pageByteCount / Self.nodeByteCount }

    /// How many nodes fit.
    public var nodeCapacity: UInt64 { nodePageCapacity * nodesPerPage }

    /// How many list entries a report holds.
    public var reportEntryCapacity: UInt64 { nodeCapacity }

    /// Where a report area starts.
    public func reportOffset(_ area: ReportArea) -> UInt64 {
        switch area {
        case .first: Self.reportOffset
        case .capture: Self.reportOffset + reportAreaByteCount
        }
    }

    private var reportAreaByteCount: UInt64 {
        Self.reportHeaderByteCount + Self.reportBlockCapacity * 8 + reportEntryCapacity * Self.reportEntryByteCount
    }

    /// Where a report's memory blocks start.
    public func reportBlocksOffset(_ area: ReportArea) -> UInt64 { reportOffset(area) + Self.reportHeaderByteCount }

    /// Where a report's list entries start.
    public func reportEntriesOffset(_ area: ReportArea) -> UInt64 {
        reportBlocksOffset(area) + Self.reportBlockCapacity * 8
    }

    /// Where the origins start: one word per node slot, in slot order.
    public var originsOffset: UInt64 { Self.reportOffset + 2 * reportAreaByteCount }

    /// Where the node pages start, a multiple of the page size.
    public var nodesOffset: UInt64 {
        (originsOffset + nodeCapacity * 8 + pageByteCount - 1).alignedDown(to: pageByteCount)
    }

    /// The slot of the node at `offset`, or nil when no node can stand there.
    public func slot(ofNodeAt offset: UInt64) -> UInt64? {
        guard offset >= nodesOffset, offset < nodesOffset + nodePageCapacity * pageByteCount else { return nil }
        let (page, inPage) = (offset - nodesOffset).quotientAndRemainder(dividingBy: pageByteCount)
        guard inPage % Self.nodeByteCount == 0, inPage / Self.nodeByteCount < nodesPerPage else { return nil }
        return page * nodesPerPage + inPage / Self.nodeByteCount
    }

    /// The header words whose value follows from the layout alone.
    public func fixedFields() -> [(field: Field, value: UInt64)] {
        [
            (.version, Self.version), (.byteOrderMark, Self.byteOrderMark), (.regionByteCount, regionByteCount),
            (.pageByteCount, pageByteCount), (.ringOffset, Self.ringOffset), (.ringSlotCount, Self.ringSlotCount),
            (.reportOffset, Self.reportOffset), (.reportEntryCapacity, reportEntryCapacity),
            (.originsOffset, originsOffset), (.nodesOffset, nodesOffset), (.nodePageCapacity, nodePageCapacity),
        ]
    }
}

/// What the agent is doing.
public enum AgentState: UInt64, Sendable {
    /// Laying out the region, opening sources.
    case starting = 1
    /// Mirroring.
    case ready = 2
}

/// The MMU mode that the guest's kernel uses.
public enum MMU: UInt64, Sendable, CaseIterable {
    /// Nothing tells.
    case unknown = 0
    /// Hashed page table.
    case hash = 1
    /// Radix tree.
    case radix = 2
}

/// Where the agent hears of populates.
public enum EventSource: UInt64, Sendable {
    /// Nowhere: it only takes snapshots.
    case snapshots = 1
    /// Dynamic debug's messages on /dev/kmsg.
    case dynamicDebug = 2
    /// Kprobe events through tracefs.
    case kprobes = 3
}
