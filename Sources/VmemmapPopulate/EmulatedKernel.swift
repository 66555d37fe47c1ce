// SPDX-License-Identifier: Apache-2.0

public import GuestMemory

/// The kernel around an emulated list: which memory is valid, where blocks come from, and what is made to fail.
///
/// Blocks come from present memory at ascending addresses, and freed ones are used again first. A kernel's page
/// allocator chooses otherwise: no physical address here predicts one in a guest.
public struct EmulatedKernel: PopulateEnvironment, ~Copyable {
    /// Memory that there is (memblock, onlined blocks), whether or not its memory map is populated.
    private(set) var present = MemoryRanges() {
        didSet { freshMemory = blockPool ?? 0..<0 }
    }
    /// Memory whose `struct page`s are valid.
    public private(set) var valid = MemoryRanges()
    private var arena: NodeArena

    /// See ``EmulatedLayout/radixStart``.
    private let radixStart: RadixStart
    /// Where blocks come from instead of present memory; nil when they come from there.
    private let blockPool: Range<UInt64>?
    /// Where the next fresh block is looked for. Everything below the first section is the kernel's own.
    private var nextBlock: UInt64
    /// The range of memory that the last fresh block came from, and so will the next, unless memory changes.
    private var freshMemory: Range<UInt64>
    private var freedBlocks: [(byteCount: UInt64, addresses: [UInt64])] = []
    /// Blocks below this came from memblock and are reserved pages.
    private var bootEnd = UInt64.max

    /// Which request is made to fail, counted from 1 over blocks, node pages, page tables and mappings; nil for none.
    public var failingRequest: UInt64?
    /// How many more blocks are given at the most.
    var blocksLeft = UInt64.max
    /// How many requests there were.
    public private(set) var requestCount: UInt64 = 0
    /// The bytes of all blocks that are in use or lost.
    public private(set) var backingByteCount: UInt64 = 0

    init(pageByteCount: UInt64, blockPool: Range<UInt64>?, radixStart: RadixStart) {
        self.radixStart = radixStart
        arena = NodeArena(pageByteCount: pageByteCount)
        self.blockPool = blockPool
        nextBlock = blockPool?.lowerBound ?? EmulatedLayout.sectionByteCount
        freshMemory = blockPool ?? 0..<0
    }

    /// The size of a node page in bytes.
    public var pageByteCount: UInt64 { arena.pageByteCount }

    /// How many node pages were handed out; they are never given back.
    public var nodePageCount: UInt64 { arena.pageCount }

    /// How much memory has a populated memory map, in bytes.
    public var validByteCount: UInt64 {
        valid.ranges.reduce(0) { $0 + ($1.upperBound - $1.lowerBound) }
    }

    mutating func addPresent(_ range: Range<UInt64>) { present.insert(range) }

    mutating func removePresent(_ range: Range<UInt64>) { present.remove(range) }

    mutating func markValid(_ range: Range<UInt64>) { valid.insert(range) }

    mutating func markInvalid(_ range: Range<UInt64>) { valid.remove(range) }

    /// From here on blocks come from the page allocator, in whole pages.
    mutating func endBoot() { bootEnd = nextBlock }

    /// The altmap of the call under way.
    var altmap: Altmap?

    private var isBooting: Bool { bootEnd == .max }

    /// Whether fresh blocks may have been taken from a range, which then cannot go.
    func mayHoldBlocks(_ range: Range<UInt64>) -> Bool { blockPool == nil && range.lowerBound < nextBlock }

    mutating func requestFails() -> Bool {
        requestCount += 1
        return requestCount == failingRequest
    }

    /// Whether any sub-section that these addresses touch is valid. Validity changes in whole sections here, so that
    /// the ranges say it without rounding.
    public func holdsValidMemory(_ addresses: ClosedRange<UInt64>) -> Bool {
        valid.intersects(addresses)
    }

    /// A block, or nil when there is no memory or the request is made to fail.
    public mutating func allocateBlock(byteCount: UInt64, node: UInt64) -> PhysicalAddress? {
        guard !requestFails(), blocksLeft > 0 else { return nil }
        blocksLeft -= 1
        // memblock gives any size; the page allocator gives whole pages.
        let byteCount = isBooting ? byteCount : max(byteCount, pageByteCount)
        if let index = freedBlocks.firstIndex(where: { $0.byteCount == byteCount }),
            let address = freedBlocks[index].addresses.popLast()
        {
            backingByteCount += byteCount
            return PhysicalAddress(address)
        }
        if let block = takeFreshBlock(byteCount: byteCount) { return block }
        guard blockPool == nil else { return nil }
        for range in present.ranges {
            freshMemory = range
            if let block = takeFreshBlock(byteCount: byteCount) { return block }
        }
        freshMemory = 0..<0
        return nil
    }

    private mutating func takeFreshBlock(byteCount: UInt64) -> PhysicalAddress? {
        let address = (max(nextBlock, freshMemory.lowerBound) &+ (byteCount - 1)).alignedDown(to: byteCount)
        guard address < freshMemory.upperBound, freshMemory.upperBound - address >= byteCount else { return nil }
        nextBlock = address + byteCount
        backingByteCount += byteCount
        return PhysicalAddress(address)
    }

    /// Takes a block back, unless it is a part of a reserved page: such a part stays where it is, used for nothing.
    public mutating func freeBlock(_ address: PhysicalAddress, byteCount: UInt64) {
        let isReserved = address.rawValue < bootEnd
        guard !isReserved || byteCount >= pageByteCount else { return }
        let byteCount = max(byteCount, pageByteCount)
        // What outlived its altmap was never counted.
        backingByteCount -= min(byteCount, backingByteCount)
        if let index = freedBlocks.firstIndex(where: { $0.byteCount == byteCount }) {
            freedBlocks[index].addresses.append(address.rawValue)
        } else {
            freedBlocks.append((byteCount, [address.rawValue]))
        }
    }

    /// Accepts a mapping unless the request is made to fail.
    public mutating func createMapping(virtAddr: UInt64, byteCount: UInt64, phys: PhysicalAddress) -> Bool {
        !requestFails()
    }

    /// There is no MMU to tell.
    public func removeMapping(virtAddr: UInt64, byteCount: UInt64) {}

    /// The word at an address in the node pages.
    public func word(at address: UInt64) throws(MemoryAccessError) -> UInt64 {
        try arena.word(at: address)
    }

    /// Stores a word in the node pages.
    public mutating func store(_ value: UInt64, at address: UInt64) throws(MemoryAccessError) {
        try arena.store(value, at: address)
    }

    /// A node page, or nil when the request is made to fail.
    public mutating func allocatePage() -> UInt64? {
        requestFails() ? nil : arena.allocatePage()
    }

    /// Nobody else looks at the list while it changes.
    public func publish(_ state: VmemmapListState, newNode: UInt64?) {}
}

/// With an altmap an empty PMD entry gets a block when the populate comes to it from its start, and only if the altmap's memory
/// holds all that it describes; without one ``RadixStart`` says. A base page that the altmap cannot give comes from other
/// memory.
extension EmulatedKernel: RadixEnvironment {
    /// 2 MiB, or nil.
    public mutating func allocateBlock(pmd: UInt64, from address: UInt64, geometry: MemoryMapGeometry) -> UInt64? {
        let byteCount = EmulatedLayout.pmdByteCount
        guard let map = altmap else {
            guard radixStart.takesBlock(at: address, pmd: pmd) else { return nil }
            return allocateBlock(byteCount: byteCount, node: 0)?.rawValue
        }
        guard address == pmd, !map.isCrossed(byWindow: pmd, byteCount: byteCount, geometry: geometry) else {
            return nil
        }
        return altmap?.allocate(byteCount: byteCount)
    }

    /// A base page, or nil.
    public mutating func allocatePage(for address: UInt64, geometry: MemoryMapGeometry) -> UInt64? {
        let byteCount = geometry.pageByteCount
        if let map = altmap, !map.isCrossed(byWindow: address, byteCount: byteCount, geometry: geometry),
            let page = altmap?.allocate(byteCount: byteCount)
        {
            return page
        }
        return allocateBlock(byteCount: byteCount, node: 0)?.rawValue
    }

    /// Tables take no block, but may be made to fail.
    public mutating func allocateTable() -> Bool { !requestFails() }

    /// Gives a block or page back to the altmap that it came from, or to memory.
    public mutating func release(_ backing: RadixTables.Backing) {
        if let map = altmap, map.holds(backing.phys) {
            altmap?.free(byteCount: backing.byteCount)
        } else {
            freeBlock(PhysicalAddress(backing.phys), byteCount: backing.byteCount)
        }
    }
}
