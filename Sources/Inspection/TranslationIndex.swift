// SPDX-License-Identifier: Apache-2.0

import GuestMemory
import HarnessBasics
public import Verification
import VmemmapPopulate

/// The kernel's account, sorted, so that many addresses can be looked up in it.
public struct TranslationIndex: Sendable {
    /// Ascending by effective address, without duplicates: what stands first in the account counts.
    private let windows: [BackedWindow]
    /// Their effective addresses again: what is searched is a quarter as large, and more of it stays in a processor's cache.
    private let starts: [UInt64]
    private let kernel: KernelFacts

    /// Sorts a snapshot's account.
    public init(_ snapshot: Snapshot) {
        kernel = snapshot.kernel
        var sorted = snapshot.accountEntries.enumerated().sorted {
            ($0.element.virtAddr, $0.offset) < ($1.element.virtAddr, $1.offset)
        }.map(\.element)
        var count = 0
        for window in sorted where count == 0 || sorted[count - 1].virtAddr != window.virtAddr {
            sorted[count] = window
            count += 1
        }
        sorted.removeLast(sorted.count - count)
        windows = sorted
        starts = sorted.map(\.virtAddr)
    }

    /// The window that an effective address is in; nil where none is backed there. Of windows that overlap, the one that
    /// begins last counts.
    public func window(of virtAddr: UInt64) -> BackedWindow? {
        var (low, high) = (0, starts.count)
        while low < high {
            let middle = (low + high) / 2
            if starts[middle] <= virtAddr { low = middle + 1 } else { high = middle }
        }
        guard low > 0, virtAddr - windows[low - 1].virtAddr < windows[low - 1].byteCount else { return nil }
        return windows[low - 1]
    }

    /// Where a page's `struct page` is.
    public struct PageLocation: Equatable, Sendable {
        /// The page frame number.
        public let frame: UInt64
        /// The `struct page`'s effective address.
        public let structPage: UInt64
        /// Its physical address, and what says so; nil where nothing backs it.
        public let backing: (phys: UInt64, window: BackedWindow)?

        /// Whether both are of the same page.
        public static func == (left: PageLocation, right: PageLocation) -> Bool {
            left.frame == right.frame && left.structPage == right.structPage
                && left.backing?.phys == right.backing?.phys && left.backing?.window == right.backing?.window
        }
    }

    /// Where the `struct page` of the page is that holds a physical address; nil where no memory map reaches.
    public func location(ofPageAt phys: UInt64) -> PageLocation? {
        phys < LinearMap.byteCount ? location(ofFrame: phys / kernel.pageByteCount) : nil
    }

    /// Where the `struct page` of a page frame is; nil where no memory map reaches.
    public func location(ofFrame frame: UInt64) -> PageLocation? {
        guard let virtAddr = structPage(ofFrame: frame) else { return nil }
        return PageLocation(
            frame: frame, structPage: virtAddr,
            backing: window(of: virtAddr).map { ($0.phys &+ (virtAddr - $0.virtAddr), $0) })
    }

    /// The effective address of a page frame's `struct page`; nil where no memory map reaches.
    func structPage(ofFrame frame: UInt64) -> UInt64? {
        guard frame < LinearMap.byteCount / kernel.pageByteCount else { return nil }
        let (offset, overflows) = frame.multipliedReportingOverflow(by: kernel.structPageByteCount)
        let (virtAddr, wraps) = kernel.vmemmapBase.addingReportingOverflow(offset)
        return overflows || wraps ? nil : virtAddr
    }

    /// Whether an effective address is in the memory map, as far as that can reach.
    public func isInMemoryMap(_ address: UInt64) -> Bool {
        kernel.vmemmapBase > 0 && address >= kernel.vmemmapBase
            && address - kernel.vmemmapBase < LinearMap.byteCount / kernel.pageByteCount * kernel.structPageByteCount
    }

    /// The page frame that the `struct page` at an effective address describes.
    public func frame(describedAt virtAddr: UInt64) -> UInt64? {
        isInMemoryMap(virtAddr) ? (virtAddr - kernel.vmemmapBase) / kernel.structPageByteCount : nil
    }
}
