// SPDX-License-Identifier: Apache-2.0

import GuestMemory
import HarnessBasics
import VmemmapPopulate

/// The leaves of the kernel's page tables against those that its history predicts.
///
/// Where the kernel would take a block of 2 MiB and its page allocator has none, base pages stand in for it: which of the two it
/// was depends on what nobody sees here, so those pages are no finding and no agreement. They describe memory that is there;
/// pages before the start of what came, which a populate at the PMD entry's start leaves for memory that is not, are the
/// kernel's leak.
struct LeafComparison {
    private(set) var agreeingCount = 0
    private(set) var unsaidCount = 0
    private(set) var findings: [Finding] = []

    /// The base pages that are the kernel's leak, by their addresses.
    private(set) var leaks: Set<UInt64> = []

    init(_ model: ListModel, _ actual: [BackedWindow]) {
        let block = EmulatedLayout.pmdByteCount
        let expected = Set(model.leaves)
        let found = Set(actual.map { ListModel.Leaf(virtAddr: $0.virtAddr, byteCount: $0.byteCount) })
        let blocksWithPages = Set(found.filter { $0.byteCount < block }.map { $0.virtAddr.alignedDown(to: block) })
        for entry in actual {
            let leaf = ListModel.Leaf(virtAddr: entry.virtAddr, byteCount: entry.byteCount)
            let isLeaked = entry.byteCount < block && model.isLeakable(entry.addresses)
            if isLeaked { leaks.insert(entry.virtAddr) }
            if expected.contains(leaf) {
                agreeingCount += 1
            } else if isLeaked {
                unsaidCount += 1
            } else if entry.byteCount < block, model.describesMemory(entry.addresses),
                expected.contains(ListModel.Leaf(virtAddr: entry.virtAddr.alignedDown(to: block), byteCount: block))
            {
                unsaidCount += 1
            } else {
                findings.append(
                    Finding(
                        .model, .missingEntry,
                        "virt \(entry.virtAddr.hexadecimal) → phys \(entry.phys.hexadecimal), \(entry.byteCount) bytes, is in "
                            + "the kernel's page tables, and nothing in the guest's history puts it there"))
            }
        }
        for leaf in model.leaves where !found.contains(leaf) {
            if leaf.byteCount == block, blocksWithPages.contains(leaf.virtAddr) { continue }
            findings.append(
                Finding(
                    .model, .extraEntry,
                    "virt \(leaf.virtAddr.hexadecimal), \(leaf.byteCount) bytes, belongs in the kernel's page tables by the "
                        + "guest's history, and is not there"))
        }
    }
}

extension ListModel {
    /// Whether a window describes memory that has come and not gone.
    fileprivate func describesMemory(_ window: Range<UInt64>?) -> Bool {
        guard let described = window.flatMap(geometry.describedMemory) else { return false }
        return validMemory.intersects(described.lowerBound...described.upperBound - 1)
    }

    /// Whether a window describes no memory, and the kernel's start rule may have left it.
    fileprivate func isLeakable(_ window: Range<UInt64>?) -> Bool {
        window.map { leakableMap.contains($0) && !describesMemory($0) } ?? false
    }
}
