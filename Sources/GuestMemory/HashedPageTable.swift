// SPDX-License-Identifier: Apache-2.0

/// An entry of the hashed page table (HPTE, arch/powerpc/include/asm/book3s/64/mmu-hash.h), in the form that a guest hands
/// to `H_ENTER`, whatever processor it runs on.
public struct HashedEntry: Equatable, Sendable {
    /// Its number in the table. A group has eight.
    public let index: UInt64
    /// The first doubleword: which page it maps.
    public let v: UInt64
    /// The second: where it maps it to, and how.
    public let r: UInt64

    /// Takes the words of an entry.
    public init(index: UInt64, v: UInt64, r: UInt64) {
        (self.index, self.v, self.r) = (index, v, r)
    }

    /// How many entries a group has (`HPTES_PER_GROUP`).
    public static let countPerGroup: UInt64 = 8
    /// How many bytes an entry has.
    public static let byteCount: UInt64 = 16

    /// Whether it maps anything (`HPTE_V_VALID`).
    public var isValid: Bool { v & 1 != 0 }
    /// Whether it stands in the group of the other hash (`HPTE_V_SECONDARY`).
    public var isSecondary: Bool { v & 2 != 0 }
    /// Whether it maps more than 4 KiB (`HPTE_V_LARGE`).
    public var isLarge: Bool { v & 4 != 0 }
    /// Whether the kernel never evicts it (`HPTE_V_BOLTED`).
    public var isBolted: Bool { v & 0x10 != 0 }
    /// log2 of the segment's size; nil for one that no processor has (`HPTE_V_SSIZE_SHIFT`).
    public var segmentShift: UInt64? {
        switch v >> 62 {
        case 0: 28
        case 1: 40
        default: nil
        }
    }
    /// The virtual address's bits from ``abbreviatedShift`` up (`HPTE_V_AVPN`).
    public var abbreviatedPage: UInt64 { (v & 0x3fff_ffff_ffff_ff80) >> 7 }
    /// The virtual segment that the page is in; nil as ``segmentShift``.
    public var virtualSegment: UInt64? { segmentShift.map { abbreviatedPage >> ($0 - Self.abbreviatedShift) } }
    /// log2 of the unit of ``abbreviatedPage``.
    public static let abbreviatedShift: UInt64 = 23

    /// The physical page, of so many bits, that it maps to (`HPTE_R_RPN`).
    public func phys(pageShift: UInt64) -> UInt64 { (r & 0x0fff_ffff_ffff_f000).alignedDown(to: 1 << pageShift) }

    /// Whether it maps a page of that size in a segment of pages of that size (`hpte_encode_r`; the encodings are those of
    /// PAPR's `ibm,segment-page-sizes` on pseries).
    public func mapsPage(shift pageShift: UInt64) -> Bool {
        let low = (r & 0x0fff_ffff_ffff_f000) & ((1 << pageShift) - 1)
        return switch pageShift {
        case 12: !isLarge
        case 16: isLarge && low == 0x1000
        case 24: isLarge && low == 0
        default: false
        }
    }

    /// Whether the kernel alone may read and write there, execute nothing, and does it through the cache: `PAGE_KERNEL` as
    /// `htab_convert_pte_flags` has it. PP, N, W, I, M, G and the storage keys; not R and C, which say what was done.
    public var isKernelData: Bool { r & 0xf000_0000_0000_0e7f == 0x14 }
}

/// Where a kernel's effective addresses are in the hashed page table: how it makes virtual ones of them (`get_kernel_vsid`,
/// `vsid_scramble`, `hpt_hash`, arch/powerpc/include/asm/book3s/64/mmu-hash.h).
public struct HashedSegments: Equatable, Sendable {
    /// log2 of a segment's size: 40, or 28 (`disable_1tb_segments`).
    public let segmentShift: UInt64
    /// How many bits a virtual segment's number has.
    public let virtualBitCount: UInt64
    /// The context of the addresses' region (`get_kernel_context`).
    public let context: UInt64

    /// Describes a region's segments.
    public init(segmentShift: UInt64, virtualBitCount: UInt64, context: UInt64) {
        (self.segmentShift, self.virtualBitCount, self.context) = (segmentShift, virtualBitCount, context)
    }

    /// What kernels do (`VSID_BITS_1T`, `VSID_BITS_65_1T`, `VSID_BITS_256M`, `VSID_BITS_65_256M`), with each context that is a
    /// kernel's own: the number of its region, and up to four for the linear map.
    public static var candidates: [HashedSegments] {
        var candidates: [HashedSegments] = []
        for (shift, bits): (UInt64, UInt64) in [(40, 28), (40, 25), (28, 40), (28, 37)] {
            for context in UInt64(1)...contextLimit {
                candidates.append(HashedSegments(segmentShift: shift, virtualBitCount: bits, context: context))
            }
        }
        return candidates
    }

    /// The most that a kernel's own context can be (`MAX_KERNEL_CTX_CNT` + 7 regions, at the most).
    public static let contextLimit: UInt64 = 12

    /// The virtual segment of an effective address.
    public func virtualSegment(of address: UInt64) -> UInt64 {
        // An address of the kernel's has 52 bits that count (`EA_MASK`), of which a context's are up to 49.
        let effectiveSegmentBits = 49 - segmentShift
        let number = address >> segmentShift & ((1 << effectiveSegmentBits) - 1)
        let product = (context << effectiveSegmentBits | number) &* 12_538_073
        let mask: UInt64 = (1 << virtualBitCount) - 1
        let folded = (product >> virtualBitCount) + (product & mask)
        return (folded + (folded + 1) >> virtualBitCount) & mask
    }

    /// The offset in its segment of the page that an entry maps; nil where the entry stands in a group in which no processor
    /// looks for it.
    ///
    /// - Parameters:
    ///   - entry: an entry of a segment of this size.
    ///   - pageShift: log2 of the segment's pages.
    ///   - groupCount: how many groups the table has, a power of two.
    /// - Returns: the offset, in bytes.
    public func offset(of entry: HashedEntry, pageShift: UInt64, groupCount: UInt64) -> UInt64? {
        let abbreviatedBits = segmentShift - HashedEntry.abbreviatedShift
        let segment = entry.abbreviatedPage >> abbreviatedBits
        let high = (entry.abbreviatedPage & ((1 << abbreviatedBits) - 1)) << HashedEntry.abbreviatedShift
        let group = entry.index / HashedEntry.countPerGroup
        let hash = entry.isSecondary ? ~group : group
        let segmentHash = segmentShift == 40 ? segment ^ segment << 25 : segment
        // What the group says of the page's number: all of its bits that the table has groups for.
        let known = groupCount - 1
        let number = (hash ^ segmentHash) & known
        guard pageShift < HashedEntry.abbreviatedShift else {
            return high >> pageShift & known == number ? high : nil
        }
        let lowBits = HashedEntry.abbreviatedShift - pageShift
        let offset = high | (number & ((1 << lowBits) - 1)) << pageShift
        return offset >> pageShift & known == number ? offset : nil
    }
}
