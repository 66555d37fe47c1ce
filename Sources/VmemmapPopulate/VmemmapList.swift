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
public struct VmemmapList<Store: NodeStore>: ~Copyable {
    /// The memory of the nodes.
    public var store: Store
    /// The head and the allocator's variables.
    public private(set) var state = VmemmapListState()

    /// An empty list.
    public init(store: consuming Store) {
        self.store = store
    }

    /// A node to fill: `vmemmap_list_alloc`. A page when required, handed out in chunks at ascending addresses.
    ///
    /// What the node holds is undefined: the page is not cleared.
    private mutating func allocateNode() throws(PopulateError) -> UInt64 {
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
            state.head = node
            state.liveCount += 1
            try store.publish(state)
        } catch {
            throw .storage(error)
        }
        return node
    }
}
