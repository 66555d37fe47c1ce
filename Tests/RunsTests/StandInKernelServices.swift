// SPDX-License-Identifier: Apache-2.0

import GuestMemory
import TestGuests
import VmemmapPopulate

/// What `vmemmap_populate` asks of the rest of a kernel, in a stand-in machine: pages, blocks, the MMU, and `mem_section`.
struct StandInKernelServices: PopulateEnvironment {
    typealias Mapping = (virtAddr: UInt64, phys: PhysicalAddress)

    let pageByteCount: UInt64 = 65536
    private let memory: StandInMemory
    private let mmu: StandInMMU
    private var valid = MemoryRanges()
    /// Where the next page for nodes comes from.
    private var nextNodePage = FakeKernelMemory.firstNodePage
    /// Where the next block comes from: boot memory, which never goes.
    private var nextBlock: UInt64 = 0x200_0000
    private var freedBlocks: [PhysicalAddress] = []
    /// What was told to the MMU and is not taken yet.
    private var mapped: [Mapping] = []
    private var unmapped: [Mapping] = []

    init(memory: StandInMemory, mmu: StandInMMU) {
        self.memory = memory
        self.mmu = mmu
    }

    // MARK: - Nodes

    func word(at address: UInt64) throws(MemoryAccessError) -> UInt64 {
        try KernelMemory(memory, order: .native).word(at: address)
    }

    func store(_ value: UInt64, at address: UInt64) throws(MemoryAccessError) {
        guard let phys = LinearMap.physical(address) else { throw .unmapped(address) }
        try memory.store(value, at: phys.rawValue)
    }

    mutating func allocatePage() -> UInt64? {
        defer { nextNodePage += 2 * pageByteCount }
        return nextNodePage
    }

    func publish(_ state: VmemmapListState, newNode: UInt64?) throws(MemoryAccessError) {
        try store(state.head, at: FakeKernelMemory.listHead)
    }

    // MARK: - Blocks and the MMU

    mutating func allocateBlock(byteCount: UInt64, node: UInt64) -> PhysicalAddress? {
        if let block = freedBlocks.popLast() { return block }
        defer { nextBlock += byteCount }
        return PhysicalAddress(nextBlock)
    }

    mutating func freeBlock(_ address: PhysicalAddress, byteCount: UInt64) { freedBlocks.append(address) }

    mutating func createMapping(virtAddr: UInt64, byteCount: UInt64, phys: PhysicalAddress) -> Bool {
        mmu.map(virtAddr, to: phys.rawValue)
        mapped.append((virtAddr, phys))
        return true
    }

    mutating func removeMapping(virtAddr: UInt64, byteCount: UInt64) {
        if let phys = mmu.translation(of: virtAddr) { unmapped.append((virtAddr, PhysicalAddress(phys))) }
        mmu.unmap(virtAddr)
    }

    /// What was mapped since the last time.
    mutating func takeMapped() -> [Mapping] {
        defer { mapped = [] }
        return mapped
    }

    /// What was unmapped since the last time.
    mutating func takeUnmapped() -> [Mapping] {
        defer { unmapped = [] }
        return unmapped
    }

    // MARK: - Sections

    func holdsValidMemory(_ addresses: ClosedRange<UInt64>) -> Bool { valid.intersects(addresses) }

    /// Gives a section these flags in `mem_section`; none: it is not present.
    mutating func setValid(_ section: Range<UInt64>, _ flags: SectionFlags) {
        let number = section.lowerBound / EmulatedLayout.sectionByteCount
        let entry = FakeKernelMemory.sectionRoot + number * 32
        memory.store(
            FakeKernelMemory.bytes(of: flags.isEmpty ? 0 : FakeKernelMemory.vmemmapBase | flags.rawValue),
            at: entry - LinearMap.base)
        if flags.contains(.present) { valid.insert(section) } else { valid.remove(section) }
    }
}
