// SPDX-License-Identifier: Apache-2.0

import GuestMemory
import TestSupport
import VmemmapPopulate

/// What `vmemmap_populate` sees of a kernel: valid sections, blocks from ascending addresses, and node pages.
struct FakeKernel: PopulateEnvironment {
    var nodes: PlainNodeStore
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

    init(pageByteCount: UInt64 = 65536) {
        nodes = PlainNodeStore(pageByteCount: pageByteCount)
    }

    var pageByteCount: UInt64 { nodes.pageByteCount }

    func word(at address: UInt64) throws(MemoryAccessError) -> UInt64 { try nodes.word(at: address) }

    mutating func store(_ value: UInt64, at address: UInt64) throws(MemoryAccessError) {
        try nodes.store(value, at: address)
    }

    mutating func allocatePage() -> UInt64? { nodes.allocatePage() }

    mutating func publish(_ state: VmemmapListState, newNode: UInt64?) throws(MemoryAccessError) {
        try nodes.publish(state, newNode: newNode)
    }

    func holdsValidMemory(_ addresses: ClosedRange<UInt64>) -> Bool {
        (addresses.lowerBound >> 21...addresses.upperBound >> 21).contains { validSubsections.contains($0) }
    }

    mutating func makeInvalid(_ range: Range<UInt64>) {
        for address in stride(from: range.lowerBound, to: range.upperBound, by: 2 << 20) {
            validSubsections.remove(address >> 21)
        }
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

    mutating func removeMapping(virtAddr: UInt64, byteCount: UInt64) {
        mapped[virtAddr] = nil
    }
}
