// SPDX-License-Identifier: Apache-2.0

public import GuestMemory

/// A bounded walk of a vmemmap list that the guest may damage at will.
public struct ListWalk: Equatable, Sendable {
    /// A node and where it stands.
    public struct Node: Equatable, Sendable {
        /// The node's own address: what the link to it held.
        public let address: UInt64
        /// Its words.
        public let backing: VmemmapBacking

        /// Pairs a node with its address.
        public init(address: UInt64, backing: VmemmapBacking) {
            self.address = address
            self.backing = backing
        }
    }

    /// How the walk ended.
    public enum End: Equatable, Sendable {
        /// At a NULL link, as it should.
        case terminated
        /// A link leads back to a node that was already visited.
        case cycle(backTo: UInt64)
        /// A link leads to where no node can stand: not a multiple of 24 in its page, or across the page's end.
        case misplaced(UInt64)
        /// A link leads to where no memory is.
        case unreadable(MemoryAccessError)
        /// More nodes than memory can need: the walk gave up.
        case limitReached
    }

    /// The head's value.
    public var head: UInt64
    /// The nodes in list order, newest first; each one once, also when the list has a cycle.
    public var nodes: [Node]
    /// How the walk ended.
    public var end: End

    /// Puts a walk together from its parts, as a reader of recorded walks does.
    public init(head: UInt64, nodes: [Node], end: End) {
        self.head = head
        self.nodes = nodes
        self.end = end
    }

    /// Walks the list from `head`.
    ///
    /// - Parameters:
    ///   - head: the first link.
    ///   - memory: what links are addresses in.
    ///   - pageByteCount: the kernel's page size; nodes come out of whole pages.
    ///   - limit: how many nodes there can be at most. The walk visits no more.
    public init(head: UInt64, in memory: borrowing some WordMemory, pageByteCount: UInt64, limit: Int) {
        self.init(head: head, nodes: [], end: .terminated)
        var link = head
        // Brent: the tortoise jumps to the hare at powers of two, so a cycle shows within three times its reach.
        var tortoise = head
        var stepsSinceJump = 0
        var jumpLength = 1
        while link != 0 {
            guard Self.canHoldNode(link, pageByteCount: pageByteCount) else {
                end = .misplaced(link)
                return
            }
            guard nodes.count < limit else {
                end = .limitReached
                cutAtRepetition()
                return
            }
            do throws(MemoryAccessError) {
                nodes.append(Node(address: link, backing: try VmemmapBacking(at: link, in: memory)))
            } catch {
                end = .unreadable(error)
                return
            }
            link = nodes[nodes.count - 1].backing.list
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

    /// Whether a node can stand at an address: at a multiple of 24 bytes in its page, with all of it inside the page.
    public static func canHoldNode(_ address: UInt64, pageByteCount: UInt64) -> Bool {
        let inPage = address % pageByteCount
        return inPage % VmemmapBacking.byteCount == 0 && inPage + VmemmapBacking.byteCount <= pageByteCount
    }

    /// The walk went round a cycle of a known length: drop what was visited twice.
    private mutating func cutAtRepetition(cycleLength: Int) {
        var first = 0
        while first + cycleLength < nodes.count, nodes[first].address != nodes[first + cycleLength].address {
            first += 1
        }
        nodes.removeLast(nodes.count - (first + cycleLength))
        end = .cycle(backTo: nodes[first].address)
    }

    /// The limit came first. If it came in the middle of a cycle, say so: the last node was then visited before.
    private mutating func cutAtRepetition() {
        guard let last = nodes.last, let earlier = nodes.dropLast().lastIndex(where: { $0.address == last.address })
        else { return }
        cutAtRepetition(cycleLength: nodes.count - 1 - earlier)
    }
}
