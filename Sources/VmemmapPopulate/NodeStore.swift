// SPDX-License-Identifier: Apache-2.0

public import GuestMemory

/// Where a list's nodes live: the shared region in the guest, plain memory in an emulator.
public protocol NodeStore: WordMemory, ~Copyable {
    /// The size in bytes of the pages that ``allocatePage()`` gives.
    var pageByteCount: UInt64 { get }

    /// Stores a node's word; other parties see it no later than anything stored after it.
    mutating func store(_ value: UInt64, at address: UInt64) throws(MemoryAccessError)

    /// A new page for nodes, or nil when there is none: the kernel's `vmemmap_alloc_block(PAGE_SIZE, node)`.
    mutating func allocatePage() -> UInt64?

    /// Makes a new state visible, after every word that it leads to.
    ///
    /// `newNode` is the node that a populate just linked, and nil when a node was freed: a store that keeps something
    /// beside each node writes it then.
    mutating func publish(_ state: VmemmapListState, newNode: UInt64?) throws(MemoryAccessError)
}

/// The variables that the kernel keeps beside the list (`vmemmap_list`, `next`, `num_left`, `num_freed`;
/// arch/powerpc/mm/init_64.c).
public struct VmemmapListState: Equatable, Sendable {
    /// `vmemmap_list`: the newest node, 0 when the list is empty.
    public var head: UInt64 = 0
    /// `next`: the last freed node while there is one, else where the next fresh node comes from.
    ///
    /// Freed nodes form a stack through their links, and the link of the lowest one is the place of the next fresh node.
    /// That may lie behind its page's last node, so it is never dereferenced while ``freedCount`` is 0.
    public var next: UInt64 = 0
    /// `num_left`: fresh nodes in the current page.
    public var nodesLeft: UInt64 = 0
    /// `num_freed`: how many freed nodes are stacked. Their pages are never given back.
    public var freedCount: UInt64 = 0
    /// How many nodes are on the list.
    public var liveCount: UInt64 = 0

    /// An empty list without a page.
    public init() {}
}
