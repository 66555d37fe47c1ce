// SPDX-License-Identifier: Apache-2.0

public import GuestMemory
import HarnessBasics

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
    /// The memory map's context; 0 where no context of a kernel has an entry of the memory map in the table.
    public var context: UInt64
    /// All valid entries of the memory map's segments, ascending by index.
    public var entries: [HashedEntry]

    /// Takes the entries of the memory map out of a whole table.
    ///
    /// Which context the kernel uses it does not say: it is the one under which the table maps the most windows of the account
    /// to their blocks.
    ///
    /// - Parameters:
    ///   - valid: the table's valid entries.
    ///   - tableShift: log2 of its size in bytes.
    ///   - snapshot: what else is known of the kernel.
    public init(_ valid: [HashedEntry], tableShift: UInt64, of snapshot: Snapshot) {
        self.init(tableShift: tableShift, validCount: valid.count)
        let candidates = HashedSegments.candidates
        var wanted: Set<UInt64> = []
        for candidate in candidates { wanted.formUnion(Self.segments(of: snapshot.kernel, candidate).keys) }
        let inWanted = valid.filter { $0.virtualSegment.map(wanted.contains) == true }
        var mostCount = 0
        for candidate in candidates {
            var table = HashTableSnapshot(tableShift: tableShift, validCount: valid.count)
            table.use(candidate)
            let own = Self.segments(of: snapshot.kernel, candidate)
            table.entries = inWanted.filter { entry in
                entry.segmentShift == candidate.segmentShift && entry.virtualSegment.map { own[$0] != nil } == true
            }
            let count = table.matchCount(in: snapshot)
            if count > mostCount { (mostCount, self) = (count, table) }
        }
    }

    private init(tableShift: UInt64, validCount: Int) {
        (self.tableShift, self.validCount) = (tableShift, validCount)
        (segmentShift, virtualBitCount, context, entries) = (0, 0, 0, [])
    }

    private mutating func use(_ segments: HashedSegments) {
        (segmentShift, virtualBitCount, context) = (segments.segmentShift, segments.virtualBitCount, segments.context)
    }

    /// The segments of the memory map.
    var segments: HashedSegments {
        HashedSegments(segmentShift: segmentShift, virtualBitCount: virtualBitCount, context: context)
    }

    /// How many windows of the account are mapped to their blocks.
    private func matchCount(in snapshot: Snapshot) -> Int {
        guard !entries.isEmpty, let pageShift = snapshot.kernel.vmemmapPageShift else { return 0 }
        let blocks = Dictionary(
            snapshot.accountEntries.map { ($0.virtAddr, $0.phys) }, uniquingKeysWith: { first, _ in first })
        return pages(of: snapshot.kernel, pageShift: pageShift).count { page in
            page.virtAddr.map { blocks[$0] == page.entry.phys(pageShift: pageShift) } == true
        }
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
    static func segments(of kernel: KernelFacts, _ segments: HashedSegments) -> [UInt64: UInt64] {
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

extension HashedEntry: Codable {
    /// Reads `INDEX V R`, hexadecimal digits.
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

    /// Writes the same: a table has many entries.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode([index, v, r].map { String($0, radix: 16) }.joined(separator: " "))
    }
}
