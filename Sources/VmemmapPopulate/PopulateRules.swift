// SPDX-License-Identifier: Apache-2.0

/// How a kernel records what backs its memory map.
///
/// Chosen by what a guest shows (its MMU, its `mmu_vmemmap_psize`, whether its list ever had an entry), never by its version
/// number: distributions backport. ``original`` is never chosen: a guest that frees nothing has a fault today.
public enum PopulateRules: CaseIterable, Sendable {
    /// Mark Nelson's patch of 2010 as committed (91eea67c6d87): nodes are handed out of whole pages and nothing is ever
    /// removed. A window that is populated again gets a second entry. Without a page for its node a block is used and
    /// stays off the list, with a warning; without a block the populate fails and undoes nothing; a mapping that fails
    /// stops the kernel (`BUG_ON`).
    ///
    /// Bytes per entry as the patch went along, by the node's link:
    ///
    /// | version | link | bytes |
    /// |---|---|---|
    /// | 1 | `struct list_head`, and a spinlock for all | 32 |
    /// | 2 | `struct hlist_node` | 32 |
    /// | 3 | a pointer called `list` | 24 |
    case original
    /// The hash MMU since 2014: freed nodes are stacked and reused (bd8cb03dbe77), and a block without a node is given
    /// back (ccaea15296f9, 5.10).
    case hash
    /// Radix until 368a0590d954 (6.6): the same list as ``hash``, with 2 MiB or base pages.
    case radixList
    /// Radix since 368a0590d954 (6.6): no list. The kernel's page tables are the only record.
    case radixTables

    /// How a running kernel records it, from what it shows.
    ///
    /// A radix kernel that keeps no list leaves `mmu_vmemmap_psize` at its first value, 4 KiB; one that keeps a list sets
    /// it. Where a 4K kernel has both, the list says: once it had an entry, it is kept.
    ///
    /// - Parameters:
    ///   - isRadix: whether the kernel uses the radix MMU.
    ///   - vmemmapPageShift: log2 of `mmu_psize_defs[mmu_vmemmap_psize]`, nil when the kernel's value is not valid.
    ///   - hasHadEntries: whether its list has entries, or was ever seen to have any.
    public init(isRadix: Bool, vmemmapPageShift: UInt64?, hasHadEntries: Bool) {
        guard isRadix else {
            self = .hash
            return
        }
        let isPageSizeSet = vmemmapPageShift.map { $0 != 12 } ?? false
        self = isPageSizeSet || hasHadEntries ? .radixList : .radixTables
    }
}
