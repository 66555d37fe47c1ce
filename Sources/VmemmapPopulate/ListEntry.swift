// SPDX-License-Identifier: Apache-2.0

/// A node of a vmemmap list and where it stands: what a walk, a report and a snapshot say of it.
public struct ListEntry: Equatable, Hashable, Sendable {
    /// The node's own address, which the link to it holds: an effective address in the kernel, a region offset in the
    /// mirror.
    public var node: UInt64
    /// Its link.
    public var list: UInt64
    /// The block's physical address.
    public var phys: UInt64
    /// The window's effective address.
    public var virtAddr: UInt64

    /// Makes an entry.
    @inlinable public init(node: UInt64, list: UInt64, phys: UInt64, virtAddr: UInt64) {
        self.node = node
        self.list = list
        self.phys = phys
        self.virtAddr = virtAddr
    }

    /// Pairs a node's address with its words.
    @inlinable public init(node: UInt64, _ backing: VmemmapBacking) {
        self.init(node: node, list: backing.list, phys: backing.phys, virtAddr: backing.virtAddr)
    }
}
