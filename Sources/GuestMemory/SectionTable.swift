// SPDX-License-Identifier: Apache-2.0

/// One present entry of the kernel's `mem_section` (include/linux/mmzone.h).
public struct MemorySection: Equatable, Sendable {
    /// The section's number: its physical address shifted right by `SECTION_SIZE_BITS`.
    public let number: UInt64
    /// The vmemmap base as this section encodes it: with SPARSEMEM_VMEMMAP, `section_mem_map` minus the section's own
    /// part is the address of page frame 0's `struct page`, the same for every section (`sparse_encode_mem_map`).
    public let vmemmapBase: UInt64
    /// What the kernel has noted of it (`SECTION_HAS_MEM_MAP` and others).
    public let flags: SectionFlags

    /// Describes a section.
    public init(number: UInt64, vmemmapBase: UInt64, flags: SectionFlags) {
        self.number = number
        self.vmemmapBase = vmemmapBase
        self.flags = flags
    }

    /// `SECTION_IS_ONLINE`: all of its memory blocks are online.
    public var isOnline: Bool { flags.contains(.online) }
}

/// The low bits of a section's `section_mem_map` (`SECTION_MARKED_PRESENT` and those behind it, include/linux/mmzone.h).
public struct SectionFlags: OptionSet, Sendable {
    /// The bits, as they stand in the word.
    public let rawValue: UInt64

    /// Makes flags of bits.
    public init(rawValue: UInt64) { self.rawValue = rawValue }

    /// `SECTION_MARKED_PRESENT`.
    public static let present = SectionFlags(rawValue: 1 << 0)
    /// `SECTION_HAS_MEM_MAP`.
    public static let hasMemoryMap = SectionFlags(rawValue: 1 << 1)
    /// `SECTION_IS_ONLINE`.
    public static let online = SectionFlags(rawValue: 1 << 2)
    /// `SECTION_IS_EARLY`: it was there when the kernel booted.
    public static let early = SectionFlags(rawValue: 1 << 3)
    /// `SECTION_TAINT_ZONE_DEVICE`: some of it is a device's memory.
    public static let deviceMemory = SectionFlags(rawValue: 1 << 4)
    /// Those that kernels for ppc64 know.
    public static let known: SectionFlags = [.present, .hasMemoryMap, .online, .early, .deviceMemory]
}

/// The kernel's table of present memory, two levels of it (SPARSEMEM_EXTREME).
public enum SectionTable {
    /// Flags stand in the low bits of `section_mem_map`; the map is page-aligned, so everything below 4 KiB is theirs.
    private static let flagBits: UInt64 = 0xfff

    /// Reads the sections that are present in `[0, endAddress)`, ascending, and no more than `limit` of them.
    ///
    /// `endAddress` bounds the walk, since the table itself spans the whole address space.
    public static func presentSections(
        layout: KernelLayout, in kernel: borrowing some WordMemory, endAddress: PhysicalAddress, limit: Int = .max
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
                let flags = SectionFlags(rawValue: encoded & flagBits)
                guard flags.contains(.present) else { continue }
                guard sections.count < limit else { return sections }
                sections.append(
                    MemorySection(number: root * perRoot + index, vmemmapBase: encoded & ~flagBits, flags: flags))
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
