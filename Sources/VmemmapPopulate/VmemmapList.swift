// SPDX-License-Identifier: Apache-2.0

public import GuestMemory

/// Why a populate failed, in the kernel's terms.
public enum PopulateError: Error, Equatable, Sendable {
    /// `-ENOMEM`: no block, or no page for its node.
    case outOfMemory
    /// `-EFAULT`: the MMU would not take the mapping. The node stays linked until the caller undoes the populate.
    case mappingFailed(virtAddr: UInt64)
    /// The range is empty, runs backwards or lies outside the vmemmap's address space.
    case badRange(start: UInt64, end: UInt64)
    /// The list's own memory could not be written. The kernel has no such error: its memory is simply there.
    case storage(MemoryAccessError)
}

/// The kernel's `vmemmap_list` with its node allocator.
///
/// Owned by exactly one caller at a time: the kernel serializes populates by the hot-plug lock, and boot is
/// single-threaded, so there is no lock on the list itself.
public struct VmemmapList<Store: NodeStore & ~Copyable>: ~Copyable {
    /// The memory of the nodes.
    public var store: Store
    /// The head and the allocator's variables.
    public private(set) var state = VmemmapListState()
    private var index: LinkIndex?

    /// An empty list.
    ///
    /// - Parameters:
    ///   - store: the memory of the nodes.
    ///   - isIndexed: whether a free finds its entry through a dictionary. The kernel searches, and a list that is not
    ///     freed from needs no memory beside its nodes.
    public init(store: consuming Store, isIndexed: Bool = false) {
        self.store = store
        index = isIndexed ? LinkIndex() : nil
    }

    /// A node to fill: `vmemmap_list_alloc`. Freed nodes first, last freed first; else a page when required, handed out
    /// in chunks at ascending addresses.
    ///
    /// What the node holds is undefined: the page is not cleared.
    private mutating func allocateNode() throws(PopulateError) -> UInt64 {
        if state.freedCount > 0 {
            let node = state.next
            do throws(MemoryAccessError) {
                state.next = try store.word(at: node + VmemmapBacking.listOffset)
            } catch {
                throw .storage(error)
            }
            state.freedCount -= 1
            return node
        }
        if state.nodesLeft == 0 {
            guard let page = store.allocatePage() else { throw .outOfMemory }
            state.next = page
            state.nodesLeft = store.pageByteCount / VmemmapBacking.byteCount
        }
        state.nodesLeft -= 1
        defer { state.next += VmemmapBacking.byteCount }
        return state.next
    }

    /// Records that a block backs a window: `vmemmap_list_populate`. The new node becomes the head.
    ///
    /// Returns the node's address. Throws `outOfMemory`, with the list as it was, when there is no page for the node.
    @discardableResult
    public mutating func populate(phys: UInt64, virtAddr: UInt64) throws(PopulateError) -> UInt64 {
        let node = try allocateNode()
        do throws(MemoryAccessError) {
            try store.store(phys, at: node + VmemmapBacking.physOffset)
            try store.store(virtAddr, at: node + VmemmapBacking.virtAddrOffset)
            try store.store(state.head, at: node + VmemmapBacking.listOffset)
            index?.push(node, virtAddr: virtAddr, before: state.head)
            state.head = node
            state.liveCount += 1
            try store.publish(state, newNode: node)
        } catch {
            throw .storage(error)
        }
        return node
    }

    /// Takes the entry of a window off the list: `vmemmap_list_free` (since bd8cb03dbe77). Its node is stacked for reuse
    /// and keeps its `phys` and `virtAddr`.
    ///
    /// The search is linear from the head, as the kernel's is, unless the list is indexed.
    ///
    /// - Parameter virtAddr: the window's effective address, exactly as it was populated.
    /// - Returns: the physical address that backed it, or 0 when no entry has this address. A block at physical 0 cannot
    ///   be told from none, here as in the kernel.
    /// - Throws: `storage` when the list's own memory does not hold what was stored there.
    @discardableResult
    public mutating func free(virtAddr: UInt64) throws(PopulateError) -> UInt64 {
        do throws(MemoryAccessError) {
            if let (node, link) = index?.find(virtAddr) {
                return try unlink(node, from: link)
            }
            var link = VmemmapListLink.head
            var node = state.head
            // Counted, so that damaged memory cannot keep the search going for ever.
            for _ in 0..<state.liveCount {
                if try store.word(at: node + VmemmapBacking.virtAddrOffset) == virtAddr {
                    return try unlink(node, from: link)
                }
                link = .node(node)
                node = try store.word(at: node + VmemmapBacking.listOffset)
            }
            return 0
        } catch {
            throw .storage(error)
        }
    }

    /// The physical address that the newest entry of a window says; nil when it has none, or its newest one was freed.
    ///
    /// Only an indexed list can tell: nothing is searched.
    public func indexedPhys(virtAddr: UInt64) throws(MemoryAccessError) -> UInt64? {
        guard let node = index?.find(virtAddr)?.node else { return nil }
        return try store.word(at: node + VmemmapBacking.physOffset)
    }

    private mutating func unlink(_ node: UInt64, from link: VmemmapListLink) throws(MemoryAccessError) -> UInt64 {
        let older = try store.word(at: node + VmemmapBacking.listOffset)
        index?.remove(node, virtAddr: try store.word(at: node + VmemmapBacking.virtAddrOffset), older: older)
        switch link {
        case .head: state.head = older
        case .node(let newer): try store.store(older, at: newer + VmemmapBacking.listOffset)
        }
        try store.store(state.next, at: node + VmemmapBacking.listOffset)
        state.next = node
        state.freedCount += 1
        state.liveCount -= 1
        try store.publish(state, newNode: nil)
        return try store.word(at: node + VmemmapBacking.physOffset)
    }
}

/// What leads to a node of the list.
private enum VmemmapListLink {
    /// `vmemmap_list`.
    case head
    /// The link of the next newer node.
    case node(UInt64)
}

/// Where each window's entry stands, and which node leads to it.
private struct LinkIndex: Sendable {
    /// The newest entry of each window.
    private var nodes: [UInt64: UInt64] = [:]
    /// The next newer node of each but the head.
    private var newer: [UInt64: UInt64] = [:]

    mutating func push(_ node: UInt64, virtAddr: UInt64, before head: UInt64) {
        nodes[virtAddr] = node
        if head != 0 { newer[head] = node }
    }

    /// Nil for a window without an entry, and for one whose newer entry is gone: then there may be an older one.
    func find(_ virtAddr: UInt64) -> (node: UInt64, link: VmemmapListLink)? {
        guard let node = nodes[virtAddr] else { return nil }
        return (node, newer[node].map { .node($0) } ?? .head)
    }

    mutating func remove(_ node: UInt64, virtAddr: UInt64, older: UInt64) {
        if nodes[virtAddr] == node { nodes[virtAddr] = nil }
        let link = newer.removeValue(forKey: node)
        if older != 0 { newer[older] = link }
    }
}
