// SPDX-License-Identifier: Apache-2.0

public import GuestMemory

/// Where a list's nodes live: the shared region in the guest, plain memory in an emulator.
public protocol NodeStore: WordMemory {
    /// The size in bytes of the pages that ``allocatePage()`` gives.
    var pageByteCount: UInt64 { get }

    /// Stores a node's word; other parties see it no later than anything stored after it.
    mutating func store(_ value: UInt64, at address: UInt64) throws(MemoryAccessError)

    /// A new page for nodes, or nil when there is none: the kernel's `vmemmap_alloc_block(PAGE_SIZE, node)`.
    mutating func allocatePage() -> UInt64?

    /// Makes a new head visible, after every word of its node.
    mutating func publish(_ state: VmemmapListState) throws(MemoryAccessError)
}

/// The variables that the kernel keeps beside the list (`vmemmap_list`, `num_left`; arch/powerpc/mm/init_64.c).
public struct VmemmapListState: Equatable, Sendable {
    /// `vmemmap_list`: the newest node, 0 when the list is empty.
    public var head: UInt64 = 0
    /// `next`: where the next fresh node comes from.
    public var next: UInt64 = 0
    /// `num_left`: fresh nodes in the current page.
    public var nodesLeft: UInt64 = 0
    /// How many nodes are on the list.
    public var liveCount: UInt64 = 0

    /// An empty list without a page.
    public init() {}
}
