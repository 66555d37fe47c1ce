// SPDX-License-Identifier: Apache-2.0

import GuestMemory
import VmemmapPopulate

/// The kernel around its page tables as a trace shows it: what one call asked for and got, handed out again in the same
/// order to the rule that put it to use there.
struct ObservedRadix: RadixEnvironment {
    private let valid: MemoryRanges
    private let hasAltmap: Bool
    private let errno: UInt64
    private var allocations: ArraySlice<PopulateCall.Allocation>
    private var hasFailed = false
    private var isContradicted = false
    /// What the call put into the tables, in order.
    private(set) var populated: [RadixTables.Backing] = []
    /// What it took out of them.
    private(set) var released: [RadixTables.Backing] = []

    /// - Parameters:
    ///   - valid: the memory whose `struct page`s are valid.
    ///   - call: the populate call; nil for a free, which asks for nothing.
    init(valid: MemoryRanges, call: PopulateCall?) {
        self.valid = valid
        hasAltmap = call?.altmap != 0
        errno = call?.errno ?? 0
        allocations = (call?.allocations ?? [])[...]
    }

    /// Whether the rule asked for exactly what the kernel asked for, and the call was through with it.
    var isExplained: Bool { allocations.isEmpty && !isContradicted && !hasFailed && errno == 0 }

    /// Notes that the rule ended in an error.
    mutating func noteFailure() { hasFailed = true }

    /// The kernel asks for 2 MiB first, and at once for base pages only where an altmap or a start in the middle does not
    /// allow a block: what it asked for next says which.
    mutating func allocateBlock(pmd: UInt64, from address: UInt64, geometry: MemoryMapGeometry) -> UInt64? {
        guard let next = allocations.first, next.byteCount == EmulatedLayout.pmdByteCount else {
            if !hasAltmap, address == pmd { isContradicted = true }
            return nil
        }
        return take(virtAddr: pmd)
    }

    /// A base page comes from the altmap, or when that has none from other memory.
    mutating func allocatePage(for address: UInt64, geometry: MemoryMapGeometry) -> UInt64? {
        guard allocations.first?.byteCount == geometry.pageByteCount else { return nil }
        let isFromAltmap = allocations.first?.altmap != 0
        if let page = take(virtAddr: address) { return page }
        guard isFromAltmap, allocations.first?.byteCount == geometry.pageByteCount else { return nil }
        return take(virtAddr: address)
    }

    /// A table that there was no page for ends the call with an error.
    mutating func allocateTable() -> Bool { true }

    mutating func release(_ backing: RadixTables.Backing) {
        released.append(backing)
    }

    func holdsValidMemory(_ addresses: ClosedRange<UInt64>) -> Bool {
        valid.intersects(addresses)
    }

    private mutating func take(virtAddr: UInt64) -> UInt64? {
        guard let next = allocations.popFirst(), next.pointer != 0 else { return nil }
        guard let phys = LinearMap.physical(next.pointer)?.rawValue else {
            isContradicted = true
            return nil
        }
        populated.append(RadixTables.Backing(virtAddr: virtAddr, byteCount: next.byteCount, phys: phys))
        return phys
    }
}
