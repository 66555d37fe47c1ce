// SPDX-License-Identifier: Apache-2.0

/// Which parts of a section hold memory: `subsection_map` in its `struct mem_section_usage` (include/linux/mmzone.h, since
/// f1eca35a0dc7, 5.3), a bit for each 2 MiB.
///
/// VMCOREINFO tells neither where `usage` is in a section nor where the map is in that. It is learned from a kernel that has
/// just booted, whose sections are whole, and holds until the kernel's end.
public struct SubsectionMaps: Equatable, Sendable {
    /// The byte offset of `subsection_map` in `struct mem_section_usage`.
    private let mapOffset: UInt64

    /// log2 of a sub-section's bytes (`SUBSECTION_SHIFT`).
    public static let subsectionShift: UInt64 = 21
    /// Where the map can be: at the beginning, or behind an `rcu_head` (5ec8e8ea8b77, 6.8, and stable kernels before it).
    private static let mapOffsets: [UInt64] = [0, 16]

    /// The map of a section that is all memory; nil where a section has more sub-sections than a word has bits, or none.
    public static func whole(sectionSizeBits: UInt64) -> UInt64? {
        guard sectionSizeBits >= subsectionShift, sectionSizeBits - subsectionShift <= 5 else { return nil }
        return 1 << (1 << (sectionSizeBits - subsectionShift)) - 1
    }

    /// Learns where the maps are: in the one place in which all of these sections have a whole one. Nil where there is none, or
    /// more than one.
    public init?(
        learnedFrom sections: [MemorySection], layout: KernelLayout, in kernel: borrowing some WordMemory
    ) {
        guard let whole = Self.whole(sectionSizeBits: layout.sectionSizeBits), !sections.isEmpty else { return nil }
        var found: SubsectionMaps?
        for offset in Self.mapOffsets {
            let maps = SubsectionMaps(mapOffset: offset)
            var areWhole = true
            for section in sections where areWhole {
                areWhole = maps.map(of: section, layout: layout, in: kernel) == whole
            }
            guard areWhole else { continue }
            guard found == nil else { return nil }
            found = maps
        }
        guard let found else { return nil }
        self = found
    }

    private init(mapOffset: UInt64) {
        self.mapOffset = mapOffset
    }

    /// A section's map; nil where its table, or its usage, leads to where no memory is.
    public func map(
        of section: MemorySection, layout: KernelLayout, in kernel: borrowing some WordMemory
    ) -> UInt64? {
        do throws(MemoryAccessError) {
            return try kernel.word(at: address(ofMapOf: section.number, layout: layout, in: kernel))
        } catch {
            return nil
        }
    }

    /// The kernel address of a section's map.
    public func address(
        ofMapOf number: UInt64, layout: KernelLayout, in kernel: borrowing some WordMemory
    ) throws(MemoryAccessError) -> UInt64 {
        let entry = try layout.address(ofSection: number, in: kernel)
        // `usage` is the member behind `section_mem_map`.
        return try kernel.word(at: entry &+ layout.sectionMapOffset &+ 8) &+ mapOffset
    }
}

extension KernelLayout {
    /// The kernel address of a section's `struct mem_section`, as the section table's root leads there.
    public func address(
        ofSection number: UInt64, in kernel: borrowing some WordMemory
    ) throws(MemoryAccessError) -> UInt64 {
        let (root, index) = number.quotientAndRemainder(dividingBy: sectionsPerRoot)
        return try kernel.word(at: sectionRootsAddress &+ root * 8) &+ index * sectionByteCount
    }
}
