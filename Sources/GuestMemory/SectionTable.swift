// SPDX-License-Identifier: Apache-2.0

/// One present entry of the kernel's `mem_section` (include/linux/mmzone.h).
public struct MemorySection: Equatable, Sendable {
    /// The section's number: its physical address shifted right by `SECTION_SIZE_BITS`.
    public let number: UInt64
    /// The vmemmap base as this section encodes it: with SPARSEMEM_VMEMMAP, `section_mem_map` minus the section's own
    /// part is the address of page frame 0's `struct page`, the same for every section (`sparse_encode_mem_map`).
    public let vmemmapBase: UInt64
    /// `SECTION_IS_ONLINE`: all of its memory blocks are online.
    public let isOnline: Bool

    /// Describes a section.
    public init(number: UInt64, vmemmapBase: UInt64, isOnline: Bool) {
        self.number = number
        self.vmemmapBase = vmemmapBase
        self.isOnline = isOnline
    }
}

/// The kernel's table of present memory, two levels of it (SPARSEMEM_EXTREME).
public enum SectionTable {
    /// Flags stand in the low bits of `section_mem_map`; the map is page-aligned, so everything below 4 KiB is theirs.
    private static let flagBits: UInt64 = 0xfff
    private static let presentFlag: UInt64 = 1 << 0
    private static let onlineFlag: UInt64 = 1 << 2

    /// Reads the sections that are present in `[0, endAddress)`, ascending.
    ///
    /// `endAddress` is the end of the physical addresses that can hold memory: boot RAM and every DIMM slot. It bounds
    /// the walk, since the table itself spans the whole address space.
    public static func presentSections(
        layout: KernelLayout, in kernel: borrowing some WordMemory, endAddress: PhysicalAddress
    ) throws(MemoryAccessError) -> [MemorySection] {
        var sections: [MemorySection] = []
        let perRoot = layout.sectionsPerRoot
        let sectionByteCount: UInt64 = 1 << layout.sectionSizeBits
        let sectionCount = (endAddress.rawValue + sectionByteCount - 1) >> layout.sectionSizeBits
        let rootCount = min(layout.sectionRootCount, (sectionCount + perRoot - 1) / perRoot)
        for root in 0..<rootCount {
            let rootPointer = try kernel.word(at: layout.sectionRootsAddress + root * 8)
            guard rootPointer != 0 else { continue }
            for index in 0..<min(perRoot, sectionCount - root * perRoot) {
                let entry = rootPointer &+ index * layout.sectionByteCount
                let encoded = try kernel.word(at: entry &+ layout.sectionMapOffset)
                guard encoded & presentFlag != 0 else { continue }
                sections.append(
                    MemorySection(
                        number: root * perRoot + index,
                        vmemmapBase: encoded & ~flagBits,
                        isOnline: encoded & onlineFlag != 0
                    ))
            }
        }
        return sections
    }

    /// Where the memory map starts, as the first present section encodes it; nil when none is in the first GiB: a guest
    /// without memory there does not boot.
    public static func vmemmapBase(
        layout: KernelLayout, in kernel: borrowing some WordMemory
    ) throws(MemoryAccessError) -> UInt64? {
        try presentSections(layout: layout, in: kernel, endAddress: PhysicalAddress(1 << 30)).first?.vmemmapBase
    }
}
