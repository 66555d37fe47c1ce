// SPDX-License-Identifier: Apache-2.0

public import GuestMemory

/// A bounded walk of a vmemmap list that the guest may damage at will.
public struct ListWalk: Equatable, Sendable {
    /// How a walk ended. The numbers are those of a report in the shared region.
    public enum End: UInt64, Sendable, CaseIterable {
        /// At a NULL link, as it should.
        case terminated = 1
        /// At a link that leads back to a node which was visited before.
        case cycle = 2
        /// At a link to where no node can stand: not a multiple of 24 in its page, or across the page's end.
        case misplaced = 3
        /// At a link to where no memory is.
        case unreadable = 4
        /// With more nodes than memory can need: the walk gave up.
        case limitReached = 5
        /// At the end of the room that a report has.
        case truncated = 6
    }

    /// The head's value.
    public var head: UInt64
    /// The nodes in list order, newest first; each one once, also when the list has a cycle.
    public var entries: [ListEntry]
    /// How the walk ended.
    public var end: End
    /// The link that it ended at, 0 at NULL; where memory ended in the middle of a node, the word's address.
    public var endLink: UInt64

    /// Puts a walk together from its parts, as a reader of recorded walks does.
    public init(head: UInt64, entries: [ListEntry], end: End, endLink: UInt64) {
        self.head = head
        self.entries = entries
        self.end = end
        self.endLink = endLink
    }

    /// Walks the list from `head`.
    ///
    /// - Parameters:
    ///   - head: the first link.
    ///   - memory: what links are addresses in.
    ///   - pageByteCount: the kernel's page size; nodes come out of whole pages.
    ///   - limit: how many nodes there can be at most. The walk visits no more.
    @inlinable public init(
        head: UInt64, in memory: borrowing some WordMemory & ~Copyable, pageByteCount: UInt64, limit: Int
    ) {
        self.init(head: head, entries: [], end: .terminated, endLink: 0)
        // Room for what most lists have: an array that grows copies all that it has. What is not used is not touched.
        entries.reserveCapacity(min(limit, 1 << 14))
        var link = head
        // Brent: the tortoise jumps to the hare at powers of two, so a cycle shows within three times its reach.
        var tortoise = head
        var stepsSinceJump = 0
        var jumpLength = 1
        while link != 0 {
            guard Self.canHoldNode(link, pageByteCount: pageByteCount) else {
                (end, endLink) = (.misplaced, link)
                return
            }
            guard entries.count < limit else {
                (end, endLink) = (.limitReached, link)
                cutAtRepetition()
                return
            }
            let backing: VmemmapBacking
            do throws(MemoryAccessError) {
                backing = try VmemmapBacking(at: link, in: memory)
            } catch {
                (end, endLink) = (.unreadable, error.address)
                return
            }
            entries.append(ListEntry(node: link, backing))
            link = backing.list
            stepsSinceJump += 1
            if link == tortoise {
                cutAtRepetition(cycleLength: stepsSinceJump)
                return
            }
            if stepsSinceJump == jumpLength {
                tortoise = link
                stepsSinceJump = 0
                jumpLength *= 2
            }
        }
    }

    /// Whether a node can stand at an address: at a multiple of 24 bytes in its page, with all of it inside the page. A page's
    /// size is a power of two.
    @inlinable public static func canHoldNode(_ address: UInt64, pageByteCount: UInt64) -> Bool {
        let inPage = address & (pageByteCount &- 1)
        return inPage % VmemmapBacking.byteCount == 0 && inPage + VmemmapBacking.byteCount <= pageByteCount
    }

    /// The walk went round a cycle of a known length: drop what was visited twice.
    @usableFromInline mutating func cutAtRepetition(cycleLength: Int) {
        var first = 0
        while first + cycleLength < entries.count, entries[first].node != entries[first + cycleLength].node {
            first += 1
        }
        entries.removeLast(entries.count - (first + cycleLength))
        (end, endLink) = (.cycle, entries[first].node)
    }

    /// The limit came first. If it came in the middle of a cycle, say so: the last node was then visited before.
    @usableFromInline mutating func cutAtRepetition() {
        guard let last = entries.last, let earlier = entries.dropLast().lastIndex(where: { $0.node == last.node })
        else { return }
        cutAtRepetition(cycleLength: entries.count - 1 - earlier)
    }
}
