// SPDX-License-Identifier: Apache-2.0

import GuestMemory

/// A kernel's memory layout as the emulator needs it: rules, page sizes, and what follows from them.
public struct EmulatedLayout: Equatable, Sendable {
    /// The rules by which the kernel records it; also says which MMU it runs on.
    public let rules: PopulateRules
    /// Which `struct page` stands where.
    public let geometry: MemoryMapGeometry
    /// Under ``PopulateRules/radixTables``: where a populate begins.
    public let radixStart: RadixStart
    /// Where memory has to end, in bytes from physical zero: the linear map or `MAX_PHYSMEM_BITS` goes no further.
    public let memoryEnd: UInt64

    /// `1 << SECTION_SIZE_BITS` (arch/powerpc/include/asm/sparsemem.h): the memory map is populated section by section.
    public static let sectionByteCount: UInt64 = 16 << 20
    /// `PMD_SIZE` on radix, for both page sizes.
    public static let pmdByteCount: UInt64 = 2 << 20

    /// A layout that no kernel has.
    public enum Impossible: Error, Equatable, Sendable {
        /// Kernels on Book3S have pages of 4 KiB or 64 KiB.
        case pageSize(UInt64)
        /// The MMU, with this page size, has no vmemmap pages of that size, in bytes.
        case vmemmapPageSize(UInt64, possible: [UInt64])
    }

    /// The vmemmap page sizes that a kernel can choose, its usual choice first, in bytes.
    ///
    /// Hash: 16 MiB when the hardware has it and there is 1 GiB at boot, else the base page (`htab_init_page_sizes`,
    /// arch/powerpc/mm/book3s64/hash_utils.c); a 64K kernel on hardware without 64 KiB pages has 4 KiB. In 2010 a 4K
    /// kernel took 64 KiB too. Radix: 2 MiB or base pages (`radix__early_init_mmu`).
    public static func vmemmapPageSizes(rules: PopulateRules, pageByteCount: UInt64) -> [UInt64] {
        let other: UInt64 = pageByteCount == 4096 ? 65536 : 4096
        return switch rules {
        case .original: [pageByteCount, 16 << 20, other]
        case .hash: pageByteCount == 4096 ? [4096, 16 << 20] : [65536, 16 << 20, 4096]
        case .radixList: [pmdByteCount, pageByteCount]
        case .radixTables: [pmdByteCount]
        }
    }

    /// Puts a layout together.
    ///
    /// - Parameters:
    ///   - rules: how the kernel records what backs its memory map.
    ///   - pageByteCount: the kernel's page size in bytes.
    ///   - vmemmapPageByteCount: the bytes of a vmemmap page; nil for the usual choice. Under
    ///     ``PopulateRules/radixTables`` it is always 2 MiB, which is tried first and may fall back to base pages.
    ///   - structPageByteCount: `sizeof(struct page)`.
    ///   - vmemmapBase: where the memory map starts; nil for where such kernels have it.
    ///   - radixStart: where a populate begins under ``PopulateRules/radixTables``.
    /// - Throws: the size that no such kernel has.
    public init(
        rules: PopulateRules, pageByteCount: UInt64, vmemmapPageByteCount: UInt64? = nil,
        structPageByteCount: UInt64 = 64, vmemmapBase: UInt64? = nil, radixStart: RadixStart = .pageAligned
    ) throws(Impossible) {
        guard pageByteCount == 4096 || pageByteCount == 65536 else { throw .pageSize(pageByteCount) }
        let possible = Self.vmemmapPageSizes(rules: rules, pageByteCount: pageByteCount)
        let vmemmapPage = vmemmapPageByteCount ?? possible[0]
        guard possible.contains(vmemmapPage) else { throw .vmemmapPageSize(vmemmapPage, possible: possible) }
        // hash-4k.h puts vmalloc at 61 TiB of its 64, IO and vmemmap behind it; elsewhere 51 bits are the limit. In
        // 2010 the regions were told apart by the top four bits, and physical memory had 44.
        let (base, end): (UInt64, UInt64) =
            switch rules {
            case .original: (0xf000_0000_0000_0000, 16 << 40)
            case .hash where pageByteCount == 4096: (0xc000_3f00_0000_0000, 61 << 40)
            case .hash, .radixList, .radixTables: (0xc00c_0000_0000_0000, LinearMap.byteCount)
            }
        self.rules = rules
        self.radixStart = radixStart
        memoryEnd = end
        geometry = MemoryMapGeometry(
            vmemmapBase: vmemmapBase ?? base, vmemmapPageShift: UInt64(vmemmapPage.trailingZeroBitCount),
            pageByteCount: pageByteCount, structPageByteCount: structPageByteCount)
    }

    /// The effective addresses of a range's `struct page`s.
    func memoryMap(of memory: Range<UInt64>) -> (start: UInt64, end: UInt64) {
        (
            geometry.virtAddr(describing: PhysicalAddress(memory.lowerBound)),
            geometry.virtAddr(describing: PhysicalAddress(memory.upperBound))
        )
    }
}
