// SPDX-License-Identifier: Apache-2.0

public import GuestMemory
public import VmemmapPopulate

/// Where `vmemmap_list_alloc` and `vmemmap_list_free` (arch/powerpc/mm/init_64.c) keep what they hand out next: three static
/// variables, which only a symbol table tells.
public struct FreeNodeAddresses: Equatable, Sendable {
    /// Of `next`.
    public let next: UInt64
    /// Of `num_left`.
    public let leftCount: UInt64
    /// Of `num_freed`.
    public let freedCount: UInt64

    /// Names the places.
    public init(next: UInt64, leftCount: UInt64, freedCount: UInt64) {
        (self.next, self.leftCount, self.freedCount) = (next, leftCount, freedCount)
    }

    /// The variables' names, in that order.
    public static var names: [StaticString] { ["next", "num_left", "num_freed"] }
}

/// The nodes that the kernel's list does not have: those that were freed, and those of the newest node page that were never
/// handed out. `vmemmap_list_alloc` takes the first of them for the next block.
public struct FreeNodes: Equatable, Sendable {
    /// `next`: the node that was freed last, or where none is, the first one that was never handed out.
    public var next: UInt64
    /// `num_left`: how many nodes of the newest page were never handed out.
    public var leftCount: Int
    /// `num_freed`: how many were freed and not taken again.
    public var freedCount: Int
    /// The freed nodes, newest first, as far as their links lead to nodes that can be read.
    public var freed: [UInt64]
    /// The link behind the last of those: the first node that was never handed out, where all could be followed.
    public var unused: UInt64

    /// Puts them together from their parts, as a reader of records does.
    public init(next: UInt64, leftCount: Int, freedCount: Int, freed: [UInt64], unused: UInt64) {
        self.next = next
        self.leftCount = leftCount
        self.freedCount = freedCount
        self.freed = freed
        self.unused = unused
    }

    /// Reads the variables and follows as many links as `num_freed` says there are, `limit` at most; nil where memory does not
    /// hold the variables. Where the links end too early is what ``freed`` says, and no error.
    @inlinable public init?(
        at addresses: FreeNodeAddresses, in memory: borrowing some WordMemory, order: ByteOrder,
        pageByteCount: UInt64, limit: Int
    ) {
        do throws(MemoryAccessError) {
            next = try memory.word(at: addresses.next)
            leftCount = Int(Int32(bitPattern: try memory.halfWord(at: addresses.leftCount, order: order)))
            freedCount = Int(Int32(bitPattern: try memory.halfWord(at: addresses.freedCount, order: order)))
        } catch {
            return nil
        }
        freed = []
        unused = next
        while freed.count < min(freedCount, limit),
            ListWalk.canHoldNode(unused, pageByteCount: pageByteCount),
            let link = try? memory.word(at: unused + VmemmapBacking.listOffset)
        {
            freed.append(unused)
            unused = link
        }
    }
}
