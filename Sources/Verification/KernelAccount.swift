// SPDX-License-Identifier: Apache-2.0

import GuestMemory
public import HarnessBasics
import KernelState
import VmemmapPopulate

/// In what a kernel records what backs its memory map. It is the kernel's own account, which every other
/// witness is held against.
public enum KernelAccount: String, Codable, Sendable {
    /// `vmemmap_list`.
    case list
    /// The page tables alone: radix kernels since 6.6.
    case pageTables = "page-tables"

    /// The witness that reads it in guest RAM.
    public var witness: Witness {
        switch self {
        case .list: .kernelList
        case .pageTables: .pageTables
        }
    }

    /// Where something stands that stands in it, as a finding says it.
    var place: String {
        switch self {
        case .list: "on the kernel's list"
        case .pageTables: "in the kernel's page tables"
        }
    }
}

/// A window of the memory map and the block behind it, wherever it is recorded.
public struct BackedWindow: Codable, Equatable, Hashable, Sendable {
    /// Where it stands: a node's address (in the mirror a region offset), or a page table entry's physical address.
    @Hex public var place: UInt64
    /// The window's effective address.
    @Hex public var virtAddr: UInt64
    /// The block's physical address.
    @Hex public var phys: UInt64
    /// The bytes of both, 0 where they cannot be told.
    public var byteCount: UInt64

    /// Makes a window.
    public init(place: UInt64, virtAddr: UInt64, phys: UInt64, byteCount: UInt64) {
        self.place = place
        self.virtAddr = virtAddr
        self.phys = phys
        self.byteCount = byteCount
    }

    /// The window's effective addresses; nil where they cannot be told, or are not valid.
    public var addresses: Range<UInt64>? {
        let (end, overflows) = virtAddr.addingReportingOverflow(byteCount)
        return overflows || byteCount == 0 ? nil : virtAddr..<end
    }
}

extension Snapshot {
    /// Which one the kernel keeps: it showed that when its agent said hello, and whatever stands in the other one since is
    /// no account.
    public var account: KernelAccount { witnesses.contains(.kernelList) ? .list : .pageTables }

    /// Whether nothing tells that an empty list is wrong: a radix kernel since 6.6 has one, and neither the MMU, nor the memory
    /// map's page size, nor an entry that was there before says whether this is such a kernel.
    var mayKeepNoList: Bool {
        guard account == .list, kernel.mmu == .unknown, kernelList.entries.isEmpty, kernelList.end == .terminated
        else { return false }
        // A dump does not tell how long its list has been (`.max`); where there was ever a node, one is free now.
        let hasHadEntries = 1..<Int.max ~= peakEntryCount || freeNodes.map { $0.next != 0 } ?? false
        let rules = PopulateRules(
            isRadix: true, vmemmapPageShift: kernel.vmemmapPageShift, hasHadEntries: hasHadEntries)
        return rules == .radixTables
    }

    /// The kernel's own account, as the host read it in guest RAM: a list newest first, page tables ascending.
    public var accountEntries: [BackedWindow] {
        switch account {
        case .list: windows(of: kernelList)
        case .pageTables: pageTables?.windows ?? []
        }
    }

    /// The windows of an earlier account of which nothing is backed any more.
    public func windowsGone(from last: [BackedWindow]) -> [BackedWindow] {
        var backed = MemoryRanges()
        for range in accountEntries.compactMap(\.addresses) { backed.insert(range) }
        return last.filter { window in
            window.addresses.map { !backed.intersects($0.lowerBound...$0.upperBound - 1) } ?? false
        }
    }

    /// A list's entries, each with the one size that a kernel with a list has.
    func windows(of list: ListWalk) -> [BackedWindow] {
        let byteCount = kernel.geometry?.vmemmapPageByteCount ?? 0
        return list.entries.map {
            BackedWindow(place: $0.node, virtAddr: $0.virtAddr, phys: $0.phys, byteCount: byteCount)
        }
    }

    /// The mirror's entries: where the kernel keeps no list, each says its own size.
    func windows(of mirror: MirrorSnapshot) -> [BackedWindow] {
        var windows = windows(of: mirror.list)
        if account == .pageTables {
            let byteCounts = mirror.leafByteCounts ?? []
            for index in windows.indices {
                windows[index].byteCount = index < byteCounts.count ? byteCounts[index] : 0
            }
        }
        return windows
    }
}
