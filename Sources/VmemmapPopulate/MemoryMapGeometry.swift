// SPDX-License-Identifier: Apache-2.0

public import GuestMemory

/// Which `struct page` stands where: the arithmetic of SPARSEMEM_VMEMMAP.
public struct MemoryMapGeometry: Equatable, Sendable {
    /// The effective address of page frame 0's `struct page`.
    public let vmemmapBase: UInt64
    /// log2 of a vmemmap page in bytes.
    public let vmemmapPageShift: UInt64
    /// The kernel's page size in bytes.
    public let pageByteCount: UInt64
    /// `sizeof(struct page)`.
    public let structPageByteCount: UInt64

    /// Describes a memory map.
    ///
    /// - Parameters:
    ///   - vmemmapBase: where it starts.
    ///   - vmemmapPageShift: log2 of its pages.
    ///   - pageByteCount: what one `struct page` stands for.
    ///   - structPageByteCount: `sizeof(struct page)`.
    public init(vmemmapBase: UInt64, vmemmapPageShift: UInt64, pageByteCount: UInt64, structPageByteCount: UInt64) {
        self.vmemmapBase = vmemmapBase
        self.vmemmapPageShift = vmemmapPageShift
        self.pageByteCount = pageByteCount
        self.structPageByteCount = structPageByteCount
    }

    /// The bytes of a vmemmap page, which are the bytes of a window and of the block that backs it.
    public var vmemmapPageByteCount: UInt64 { 1 << vmemmapPageShift }

    /// How much memory one vmemmap page describes, in bytes.
    public var describedByteCount: UInt64 { vmemmapPageByteCount / structPageByteCount * pageByteCount }

    /// The effective address of the `struct page` of the page at a physical address.
    public func virtAddr(describing address: PhysicalAddress) -> UInt64 {
        vmemmapBase &+ address.rawValue / pageByteCount * structPageByteCount
    }

    /// The physical address of the page whose `struct page` holds the byte at `virtAddr`, or nil below the base.
    public func address(describedAt virtAddr: UInt64) -> PhysicalAddress? {
        guard virtAddr >= vmemmapBase else { return nil }
        let (product, overflows) = ((virtAddr - vmemmapBase) / structPageByteCount)
            .multipliedReportingOverflow(by: pageByteCount)
        return overflows ? nil : PhysicalAddress(product)
    }

    /// The physical addresses that a window describes, nil when there are none.
    func addresses(describedBy window: UInt64, byteCount: UInt64) -> ClosedRange<UInt64>? {
        // A window may begin below the vmemmap when the base is not aligned to it: nothing is described there.
        guard let first = address(describedAt: max(window, vmemmapBase)),
            let last = address(describedAt: window + (byteCount - 1))
        else { return nil }
        return first.rawValue...last.rawValue
    }

    /// The memory that a call of `vmemmap_populate` or `vmemmap_free` was about; nil when its range is not valid.
    ///
    /// Plugged memory comes and goes by whole sections, a call for each. Some kernels align the start down to a vmemmap
    /// page before they print it: the section is the one whose memory map ends at the end.
    ///
    /// - Parameters:
    ///   - start: the call's first effective address.
    ///   - end: the effective address behind its last one.
    ///   - mapBytesPerSection: the bytes of the memory map that describe one section.
    /// - Returns: guest physical addresses.
    public func memory(
        describedIn start: UInt64, _ end: UInt64, mapBytesPerSection: UInt64
    ) -> Range<UInt64>? {
        guard start < end, end >= mapBytesPerSection,
            let first = address(describedAt: max(start, end - mapBytesPerSection)),
            let last = address(describedAt: end), first.rawValue < last.rawValue
        else { return nil }
        return first.rawValue..<last.rawValue
    }

    /// The windows, by start address, that hold the memory map of a range of physical memory.
    ///
    /// Where the memory map would run over the end of the address space, as no kernel's does, the windows go on at zero.
    public func windows(describing range: Range<UInt64>) -> some Sequence<UInt64> {
        let start = virtAddr(describing: PhysicalAddress(range.lowerBound))
        let first = start.alignedDown(to: vmemmapPageByteCount)
        let pageCount = (range.upperBound - 1) / pageByteCount - range.lowerBound / pageByteCount + 1
        let byteCount = start - first + pageCount * structPageByteCount
        let windowCount = (byteCount + vmemmapPageByteCount - 1) / vmemmapPageByteCount
        return (0..<windowCount).lazy.map { first &+ $0 * vmemmapPageByteCount }
    }
}
