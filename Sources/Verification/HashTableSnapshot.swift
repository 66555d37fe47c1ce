// SPDX-License-Identifier: Apache-2.0

public import GuestMemory
import HarnessBasics
public import VmemmapPopulate

/// What a hash guest's hashed page table has of its memory map, as QEMU keeps it.
public struct HashTableSnapshot: Codable, Equatable, Sendable {
    /// log2 of the table's size in bytes.
    public var tableShift: UInt64
    /// How many valid entries it has, of whatever the kernel and its processes have mapped.
    public var validCount: Int
    /// log2 of the size of the segments that hold the memory map.
    public var segmentShift: UInt64
    /// How many bits a virtual segment's number has.
    public var virtualBitCount: UInt64
    /// The memory map's context.
    public var context: UInt64
    /// All valid entries of the memory map's segments, ascending by index.
    @Columns public var entries: [HashedEntry]

    /// Takes the entries of the memory map out of a whole table.
    ///
    /// - Parameters:
    ///   - valid: the table's valid entries.
    ///   - tableShift: log2 of its size in bytes.
    ///   - segments: the segments of the memory map.
    ///   - kernel: the kernel.
    public init(_ valid: [HashedEntry], tableShift: UInt64, segments: HashedSegments, kernel: KernelFacts) {
        (self.tableShift, validCount) = (tableShift, valid.count)
        (segmentShift, virtualBitCount, context) = (segments.segmentShift, segments.virtualBitCount, segments.context)
        let own = Self.segments(of: kernel, segments)
        entries = valid.filter { entry in
            guard entry.segmentShift == segments.segmentShift, let segment = entry.virtualSegment else { return false }
            return own[segment] != nil
        }
    }

    /// Learns which segments a kernel's memory map has, which the kernel does not say: those under which the table maps the most
    /// windows of the list to their blocks.
    ///
    /// - Parameters:
    ///   - valid: the table's valid entries.
    ///   - tableShift: log2 of its size in bytes.
    ///   - kernel: the kernel.
    ///   - list: its list.
    /// - Returns: the segments, or nil where none that kernels use has such a window.
    public static func learnSegments(
        from valid: [HashedEntry], tableShift: UInt64, kernel: KernelFacts, list: [ListEntry]
    ) -> HashedSegments? {
        guard let pageShift = kernel.vmemmapPageShift else { return nil }
        let blocks = Dictionary(list.map { ($0.virtAddr, $0.phys) }, uniquingKeysWith: { first, _ in first })
        let candidates = HashedSegments.candidates
        var wanted: Set<UInt64> = []
        for candidate in candidates { wanted.formUnion(segments(of: kernel, candidate).keys) }
        let near = valid.filter { $0.virtualSegment.map(wanted.contains) == true }
        var best: (segments: HashedSegments, count: Int)?
        for candidate in candidates {
            let table = HashTableSnapshot(near, tableShift: tableShift, segments: candidate, kernel: kernel)
            let count = table.pages(of: kernel, pageShift: pageShift).count { page in
                page.virtAddr.map { blocks[$0] == page.entry.phys(pageShift: pageShift) } == true
            }
            if count > best?.count ?? 0 { best = (candidate, count) }
        }
        return best?.segments
    }

    /// The segments of the memory map.
    private var segments: HashedSegments {
        HashedSegments(segmentShift: segmentShift, virtualBitCount: virtualBitCount, context: context)
    }

    /// Each entry with the effective address that it maps; nil where no processor looks for it in its group.
    func pages(of kernel: KernelFacts, pageShift: UInt64) -> [(virtAddr: UInt64?, entry: HashedEntry)] {
        let (segments, starts) = (segments, Self.segments(of: kernel, segments))
        return entries.map { entry in
            guard let start = entry.virtualSegment.flatMap({ starts[$0] }),
                let offset = segments.offset(of: entry, pageShift: pageShift, groupCount: 1 << (tableShift - 7))
            else { return (nil, entry) }
            return (start + offset, entry)
        }
    }

    /// Where the memory map's virtual segments are: as far up as memory can reach.
    private static func segments(of kernel: KernelFacts, _ segments: HashedSegments) -> [UInt64: UInt64] {
        guard kernel.vmemmapBase > 0 else { return [:] }
        let byteCount = (Snapshot.sectionByteLimit / kernel.pageByteCount) * kernel.structPageByteCount
        let size: UInt64 = 1 << segments.segmentShift
        let start = kernel.vmemmapBase.alignedDown(to: size)
        var result: [UInt64: UInt64] = [:]
        var address = start
        while address - start < byteCount + size {
            result[segments.virtualSegment(of: address)] = address
            let (next, overflows) = address.addingReportingOverflow(size)
            guard !overflows else { break }
            address = next
        }
        return result
    }
}

extension HashedEntry: Decodable {
    /// Reads `INDEX V R`, hexadecimal digits, as schema 2 of a snapshot had it.
    public init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        let text = try container.decode(String.self)
        let words = text.split(separator: " ", omittingEmptySubsequences: false).map { UInt64($0, radix: 16) }
        guard words.count == 3, let index = words[0], let v = words[1], let r = words[2] else {
            throw DecodingError.dataCorruptedError(
                in: container, debugDescription: "'\(text.prefix(60))' is not an index and two words of an HPTE")
        }
        self.init(index: index, v: v, r: r)
    }
}
