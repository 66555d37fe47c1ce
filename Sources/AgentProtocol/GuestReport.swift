// SPDX-License-Identifier: Apache-2.0

public import GuestMemory

/// A memory block of the guest (`/sys/devices/system/memory/memoryN`).
public struct MemoryBlock: Equatable, Sendable {
    /// The block's number: its address divided by the block size.
    public var index: UInt64
    /// What its `state` file says.
    public var state: State

    /// The states of drivers/base/memory.c.
    public enum State: UInt64, Sendable, CaseIterable {
        /// The file held something else.
        case unknown = 0
        /// `online`.
        case online = 1
        /// `offline`.
        case offline = 2
        /// `going-offline`.
        case goingOffline = 3
    }

    /// Describes a block.
    public init(index: UInt64, state: State) {
        self.index = index
        self.state = state
    }
}

/// The guest's own account: the kernel's list as read inside the guest, and its memory blocks.
///
/// It goes through the report area of the shared region, under an odd generation:
///
///     0     head of the list      8     list entries      16    how the walk ended
///     24    memory blocks         32    block size        40    address where the walk stopped
///     4 KiB one word a block: index << 8 | state
///     …     32 bytes an entry: node address, list, phys, virt_addr
public struct GuestReport: Equatable, Sendable {
    /// One node of the kernel's list.
    public struct Entry: Equatable, Sendable {
        /// The node's effective address.
        public var node: UInt64
        /// Its `list` word.
        public var list: UInt64
        /// Its `phys` word.
        public var phys: UInt64
        /// Its `virt_addr` word.
        public var virtAddr: UInt64

        /// Makes an entry.
        public init(node: UInt64, list: UInt64, phys: UInt64, virtAddr: UInt64) {
            self.node = node
            self.list = list
            self.phys = phys
            self.virtAddr = virtAddr
        }
    }

    /// How the walk in the guest ended.
    public enum End: UInt64, Sendable, CaseIterable {
        /// At NULL.
        case terminated = 1
        /// At a node that it had seen.
        case cycle = 2
        /// At an address that is no place for a node.
        case misplaced = 3
        /// At an address that /proc/kcore does not have.
        case unreadable = 4
        /// At the limit.
        case limitReached = 5
        /// The report area has no room for more.
        case truncated = 6
    }

    /// The word of `vmemmap_list`.
    public var head: UInt64
    /// The nodes, newest first.
    public var entries: [Entry]
    /// How the walk ended.
    public var end: End
    /// Where it ended, 0 for NULL.
    public var endAddress: UInt64
    /// `/sys/devices/system/memory/block_size_bytes`.
    public var blockByteCount: UInt64
    /// The memory blocks, in no order.
    public var blocks: [MemoryBlock]

    /// Makes a report.
    public init(
        head: UInt64, entries: [Entry], end: End, endAddress: UInt64, blockByteCount: UInt64, blocks: [MemoryBlock]
    ) {
        self.head = head
        self.entries = entries
        self.end = end
        self.endAddress = endAddress
        self.blockByteCount = blockByteCount
        self.blocks = blocks
    }

    /// A report area that does not hold a report.
    public enum Problem: Error, Equatable, Sendable {
        /// More entries than the area has room for.
        case entryCount(UInt64, limit: UInt64)
        /// More blocks than the area has room for.
        case blockCount(UInt64, limit: UInt64)
        /// No known end.
        case end(UInt64)
        /// A block's state is none.
        case blockState(UInt64)
        /// The region ended.
        case memory(MemoryAccessError)
    }

    /// Writes the report into a region. What does not fit is left out, and the end says `truncated`.
    public func write(to region: SharedRegion) throws(MemoryAccessError) {
        let layout = region.layout
        let base = SharedRegionLayout.reportOffset
        let entries = entries.prefix(Int(layout.reportEntryCapacity))
        let blocks = blocks.prefix(Int(SharedRegionLayout.reportBlockCapacity))
        let isTruncated = entries.count < self.entries.count || blocks.count < self.blocks.count
        try region.beginChange()
        try region.store(head, at: base)
        try region.store(UInt64(entries.count), at: base + 8)
        try region.store((isTruncated ? .truncated : end).rawValue, at: base + 16)
        try region.store(UInt64(blocks.count), at: base + 24)
        try region.store(blockByteCount, at: base + 32)
        try region.store(endAddress, at: base + 40)
        var offset = layout.reportBlocksOffset
        for block in blocks {
            try region.store(block.index << 8 | block.state.rawValue, at: offset)
            offset += 8
        }
        offset = layout.reportEntriesOffset
        for entry in entries {
            try region.store(entry.node, at: offset)
            try region.store(entry.list, at: offset + 8)
            try region.store(entry.phys, at: offset + 16)
            try region.store(entry.virtAddr, at: offset + 24)
            offset += SharedRegionLayout.reportEntryByteCount
        }
        try region.endChange()
    }

    /// Reads the report in a region, checking every count and number before it is used.
    public init(from region: SharedRegion) throws(Problem) {
        func word(_ offset: UInt64) throws(Problem) -> UInt64 {
            do throws(MemoryAccessError) {
                return try region.word(at: offset)
            } catch {
                throw .memory(error)
            }
        }
        let layout = region.layout
        let base = SharedRegionLayout.reportOffset
        head = try word(base)
        let entryCount = try word(base + 8)
        let endValue = try word(base + 16)
        let blockCount = try word(base + 24)
        blockByteCount = try word(base + 32)
        endAddress = try word(base + 40)

        guard let end = End(rawValue: endValue) else { throw .end(endValue) }
        self.end = end
        guard entryCount <= layout.reportEntryCapacity else {
            throw .entryCount(entryCount, limit: layout.reportEntryCapacity)
        }
        guard blockCount <= SharedRegionLayout.reportBlockCapacity else {
            throw .blockCount(blockCount, limit: SharedRegionLayout.reportBlockCapacity)
        }
        blocks = []
        for index in 0..<blockCount {
            let packed = try word(layout.reportBlocksOffset + index * 8)
            guard let state = MemoryBlock.State(rawValue: packed & 0xff) else { throw .blockState(packed & 0xff) }
            blocks.append(MemoryBlock(index: packed >> 8, state: state))
        }
        entries = []
        for index in 0..<entryCount {
            let offset = layout.reportEntriesOffset + index * SharedRegionLayout.reportEntryByteCount
            entries.append(
                Entry(
                    node: try word(offset), list: try word(offset + 8), phys: try word(offset + 16),
                    virtAddr: try word(offset + 24)))
        }
    }
}
