// SPDX-License-Identifier: Apache-2.0

import GuestMemory
import VmemmapPopulate

/// Node pages in a dictionary, with a gap behind each, and a limit to them.
struct PlainNodeStore: NodeStore {
    let pageByteCount: UInt64
    var pageLimit = Int.max
    /// Stores at or above this address are refused.
    var firstRefusedAddress = UInt64.max

    private(set) var pages: [UInt64] = []
    private(set) var published: [VmemmapListState] = []
    private var words: [UInt64: UInt64] = [:]

    static let firstPage: UInt64 = 0xc000_0000_0200_0000

    init(pageByteCount: UInt64, pageLimit: Int = .max) {
        self.pageByteCount = pageByteCount
        self.pageLimit = pageLimit
    }

    func word(at address: UInt64) throws(MemoryAccessError) -> UInt64 {
        guard address % 8 == 0 else { throw .misaligned(address) }
        guard pages.contains(address.alignedDown(to: pageByteCount)) else { throw .unmapped(address) }
        // A page is not cleared when it is given.
        return words[address] ?? 0xdead_beef_dead_beef
    }

    mutating func store(_ value: UInt64, at address: UInt64) throws(MemoryAccessError) {
        guard address < firstRefusedAddress else { throw .unmapped(address) }
        _ = try word(at: address)
        words[address] = value
    }

    mutating func allocatePage() -> UInt64? {
        guard pages.count < pageLimit else { return nil }
        let page = Self.firstPage + UInt64(pages.count) * 3 * pageByteCount
        pages.append(page)
        return page
    }

    mutating func publish(_ state: VmemmapListState) throws(MemoryAccessError) {
        // Whoever follows the new head finds a whole node.
        let node = try VmemmapBacking(at: state.head, in: self)
        precondition(node.phys != 0xdead_beef_dead_beef && node.virtAddr != 0xdead_beef_dead_beef)
        published.append(state)
    }
}

/// What `vmemmap_populate` sees of a kernel: valid sections, and blocks from ascending addresses.
struct FakeKernel: PopulateEnvironment {
    /// One entry for each valid sub-section, by its number.
    var validSubsections: Set<UInt64> = []
    /// How many blocks there still are.
    var blocksLeft = Int.max
    /// The window whose mapping is refused.
    var refusedWindow: UInt64?
    var nextBlock: UInt64 = 0x1000_0000

    struct Block: Equatable {
        let address: PhysicalAddress
        let byteCount: UInt64
    }

    private(set) var allocated: [Block] = []
    private(set) var freed: [Block] = []
    private(set) var nodesAsked: Set<UInt64> = []
    private(set) var mapped: [UInt64: PhysicalAddress] = [:]

    mutating func makeValid(_ range: Range<UInt64>) {
        for address in stride(from: range.lowerBound, to: range.upperBound, by: 2 << 20) {
            validSubsections.insert(address >> 21)
        }
    }

    func isValid(_ address: PhysicalAddress) -> Bool {
        validSubsections.contains(address.rawValue >> 21)
    }

    mutating func allocateBlock(byteCount: UInt64, node: UInt64) -> PhysicalAddress? {
        guard blocksLeft > 0 else { return nil }
        blocksLeft -= 1
        nodesAsked.insert(node)
        let block = Block(address: PhysicalAddress(nextBlock), byteCount: byteCount)
        nextBlock += byteCount
        allocated.append(block)
        return block.address
    }

    mutating func freeBlock(_ address: PhysicalAddress, byteCount: UInt64) {
        freed.append(Block(address: address, byteCount: byteCount))
    }

    mutating func createMapping(virtAddr: UInt64, byteCount: UInt64, phys: PhysicalAddress) -> Bool {
        guard virtAddr != refusedWindow else { return false }
        mapped[virtAddr] = phys
        return true
    }
}
