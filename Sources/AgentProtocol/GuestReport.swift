// SPDX-License-Identifier: Apache-2.0

public import GuestMemory
public import VmemmapPopulate

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

/// The guest's own account: the kernel's list as read inside the guest, or its page tables where it keeps no list, and its
/// memory blocks.
///
/// It goes through a report area of the shared region, under an odd generation:
///
///     0     head of the list      8     list entries      16    how the walk ended
///     24    memory blocks         32    block size        40    address where the walk stopped
///     48    which account         56    what is wrong with the page tables first: the reason,
///     64    the entry's address   72    the address that it is for                  80    the entry's word
///     4 KiB one word a block: index << 8 | state
///     …     32 bytes an entry: node address, list, phys, virt_addr
///           or, with page tables: entry address, size in bytes, phys, virt_addr
public struct GuestReport: Equatable, Sendable {
    /// The page tables, walked in the guest.
    public struct Tables: Equatable, Sendable {
        /// What they map, ascending.
        public var leaves: [RadixWalk.Leaf]
        /// The first thing that is wrong with them.
        public var fault: RadixWalk.Fault?

        /// Describes page tables.
        public init(leaves: [RadixWalk.Leaf], fault: RadixWalk.Fault?) {
            self.leaves = leaves
            self.fault = fault
        }
    }

    /// Which account of the kernel's the report holds.
    private enum Account: UInt64 {
        case list = 1
        case pageTables = 2
    }

    /// The kernel's list.
    public var list: ListWalk
    /// The page tables over the memory map where they are the account, which leaves the list without entries; else nil.
    public var tables: Tables?
    /// `/sys/devices/system/memory/block_size_bytes`.
    public var blockByteCount: UInt64
    /// The memory blocks, in no order.
    public var blocks: [MemoryBlock]

    /// Makes a report.
    public init(list: ListWalk, tables: Tables? = nil, blockByteCount: UInt64, blocks: [MemoryBlock]) {
        self.list = list
        self.tables = tables
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
        /// A block's state is not valid.
        case blockState(UInt64)
        /// Neither of the kernel's accounts.
        case account(UInt64)
        /// No known fault of page tables.
        case fault(UInt64)
        /// The region ended.
        case memory(MemoryAccessError)
    }

    /// Writes the report into a region. What does not fit is left out, and the end says `truncated`.
    public func write(
        to region: SharedRegion, area: SharedRegionLayout.ReportArea = .first
    ) throws(MemoryAccessError) {
        let layout = region.layout
        let base = layout.reportOffset(area)
        let records = records
        let kept = records.prefix(Int(layout.reportEntryCapacity))
        let blocks = blocks.prefix(Int(SharedRegionLayout.reportBlockCapacity))
        let isTruncated = kept.count < records.count || blocks.count < self.blocks.count
        try region.beginChange(of: area)
        try region.store(list.head, at: base)
        try region.store(UInt64(kept.count), at: base + 8)
        try region.store((isTruncated ? .truncated : list.end).rawValue, at: base + 16)
        try region.store(UInt64(blocks.count), at: base + 24)
        try region.store(blockByteCount, at: base + 32)
        try region.store(list.endLink, at: base + 40)
        try region.store((tables == nil ? Account.list : .pageTables).rawValue, at: base + 48)
        try region.store(tables?.fault?.reason.encoded.code ?? 0, at: base + 56)
        try region.store(tables?.fault?.entryAddress.rawValue ?? 0, at: base + 64)
        try region.store(tables?.fault?.virtAddr ?? 0, at: base + 72)
        try region.store(tables?.fault?.reason.encoded.word ?? 0, at: base + 80)
        var offset = layout.reportBlocksOffset(area)
        for block in blocks {
            try region.store(block.index << 8 | block.state.rawValue, at: offset)
            offset += 8
        }
        offset = layout.reportEntriesOffset(area)
        for record in kept {
            try region.store(record.node, at: offset)
            try region.store(record.list, at: offset + 8)
            try region.store(record.phys, at: offset + 16)
            try region.store(record.virtAddr, at: offset + 24)
            offset += SharedRegionLayout.reportEntryByteCount
        }
        try region.endChange(of: area)
    }

    /// What the account's records are in the area: a leaf's size stands in the place of a node's link.
    private var records: [ListEntry] {
        guard let tables else { return list.entries }
        return tables.leaves.map {
            ListEntry(node: $0.entryAddress.rawValue, list: $0.byteCount, phys: $0.phys, virtAddr: $0.virtAddr)
        }
    }

    /// Reads the report in a region, checking every count and number before it is used.
    public init(from region: SharedRegion, area: SharedRegionLayout.ReportArea = .first) throws(Problem) {
        func word(_ offset: UInt64) throws(Problem) -> UInt64 {
            do throws(MemoryAccessError) {
                return try region.word(at: offset)
            } catch {
                throw .memory(error)
            }
        }
        let layout = region.layout
        let base = layout.reportOffset(area)
        let head = try word(base)
        let entryCount = try word(base + 8)
        let endValue = try word(base + 16)
        let blockCount = try word(base + 24)
        blockByteCount = try word(base + 32)
        let endLink = try word(base + 40)
        let accountValue = try word(base + 48)
        let faultCode = try word(base + 56)
        let faultEntry = try word(base + 64)
        let faultVirtAddr = try word(base + 72)
        let faultWord = try word(base + 80)

        guard let end = ListWalk.End(rawValue: endValue) else { throw .end(endValue) }
        guard let account = Account(rawValue: accountValue) else { throw .account(accountValue) }
        guard entryCount <= layout.reportEntryCapacity else {
            throw .entryCount(entryCount, limit: layout.reportEntryCapacity)
        }
        guard blockCount <= SharedRegionLayout.reportBlockCapacity else {
            throw .blockCount(blockCount, limit: SharedRegionLayout.reportBlockCapacity)
        }
        blocks = []
        for index in 0..<blockCount {
            let packed = try word(layout.reportBlocksOffset(area) + index * 8)
            guard let state = MemoryBlock.State(rawValue: packed & 0xff) else { throw .blockState(packed & 0xff) }
            blocks.append(MemoryBlock(index: packed >> 8, state: state))
        }
        var records: [ListEntry] = []
        for index in 0..<entryCount {
            let offset = layout.reportEntriesOffset(area) + index * SharedRegionLayout.reportEntryByteCount
            records.append(
                ListEntry(
                    node: try word(offset), list: try word(offset + 8), phys: try word(offset + 16),
                    virtAddr: try word(offset + 24)))
        }
        list = ListWalk(head: head, entries: account == .list ? records : [], end: end, endLink: endLink)
        guard account == .pageTables else { return }
        var fault: RadixWalk.Fault?
        if faultCode != 0 {
            guard let reason = RadixWalk.Reason(code: faultCode, word: faultWord) else { throw .fault(faultCode) }
            fault = RadixWalk.Fault(
                entryAddress: PhysicalAddress(faultEntry), virtAddr: faultVirtAddr, reason: reason)
        }
        tables = Tables(
            leaves: records.map {
                RadixWalk.Leaf(
                    entryAddress: PhysicalAddress($0.node), virtAddr: $0.virtAddr, phys: $0.phys, byteCount: $0.list)
            }, fault: fault)
    }
}

extension RadixWalk.Reason {
    /// The reason's number in a report, and the entry's word.
    fileprivate var encoded: (code: UInt64, word: UInt64) {
        switch self {
        case .unreadable: (1, 0)
        case .tableSize(let word): (2, word)
        case .tableAlignment(let word): (3, word)
        case .leafInRoot(let word): (4, word)
        case .tableBelowLastLevel(let word): (5, word)
        case .attributes(let word): (6, word)
        case .notValid(let word): (7, word)
        }
    }

    /// Reads a number and a word; nil when the number is not valid.
    fileprivate init?(code: UInt64, word: UInt64) {
        switch code {
        case 1: self = .unreadable
        case 2: self = .tableSize(word: word)
        case 3: self = .tableAlignment(word: word)
        case 4: self = .leafInRoot(word: word)
        case 5: self = .tableBelowLastLevel(word: word)
        case 6: self = .attributes(word: word)
        case 7: self = .notValid(word: word)
        default: return nil
        }
    }
}
