// SPDX-License-Identifier: Apache-2.0

package import GuestMemory
package import VmemmapPopulate

/// Node pages in a dictionary, with a gap behind each, and a limit to them.
package struct PlainNodeStore: NodeStore {
    package let pageByteCount: UInt64
    package var pageLimit = Int.max
    /// Stores at or above this address are refused.
    package var firstRefusedAddress = UInt64.max

    package private(set) var pages: [UInt64] = []
    package private(set) var published: [VmemmapListState] = []
    private var words: [UInt64: UInt64] = [:]

    package static let firstPage: UInt64 = 0xc000_0000_0200_0000

    package init(pageByteCount: UInt64, pageLimit: Int = .max) {
        self.pageByteCount = pageByteCount
        self.pageLimit = pageLimit
    }

    package func word(at address: UInt64) throws(MemoryAccessError) -> UInt64 {
        guard address % 8 == 0 else { throw .misaligned(address) }
        guard pages.contains(address.alignedDown(to: pageByteCount)) else { throw .unmapped(address) }
        // A page is not cleared when it is given.
        return words[address] ?? 0xdead_beef_dead_beef
    }

    package mutating func store(_ value: UInt64, at address: UInt64) throws(MemoryAccessError) {
        guard address < firstRefusedAddress else { throw .unmapped(address) }
        _ = try word(at: address)
        words[address] = value
    }

    package mutating func allocatePage() -> UInt64? {
        guard pages.count < pageLimit else { return nil }
        let page = Self.firstPage + UInt64(pages.count) * 3 * pageByteCount
        pages.append(page)
        return page
    }

    package mutating func publish(_ state: VmemmapListState, newNode: UInt64?) throws(MemoryAccessError) {
        // Whoever follows the new head finds a whole node.
        if state.head != 0 {
            let node = try VmemmapBacking(at: state.head, in: self)
            precondition(node.phys != 0xdead_beef_dead_beef && node.virtAddr != 0xdead_beef_dead_beef)
        }
        precondition(newNode == nil || newNode == state.head)
        published.append(state)
    }
}
