// SPDX-License-Identifier: Apache-2.0

/// A set of addresses, kept as ascending ranges that do not touch: a contiguous memory of any size costs one of them.
public struct MemoryRanges: Equatable, Sendable {
    /// The ranges, ascending.
    public private(set) var ranges: [Range<UInt64>] = []

    /// The empty set.
    public init() {}

    /// The index of the first range that ends at or behind `address`.
    private func firstIndex(endingAtOrBehind address: UInt64) -> Int {
        var low = 0
        var high = ranges.count
        while low < high {
            let middle = (low + high) / 2
            if ranges[middle].upperBound < address { low = middle + 1 } else { high = middle }
        }
        return low
    }

    /// Whether any of these addresses is in the set.
    public func intersects(_ addresses: ClosedRange<UInt64>) -> Bool {
        // A range that ends right at the first address does not hold it; hence the next one may.
        var index = firstIndex(endingAtOrBehind: addresses.lowerBound)
        if index < ranges.count, ranges[index].upperBound == addresses.lowerBound { index += 1 }
        return index < ranges.count && ranges[index].lowerBound <= addresses.upperBound
    }

    /// Whether all of these addresses are in the set.
    public func contains(_ addresses: Range<UInt64>) -> Bool {
        guard !addresses.isEmpty else { return true }
        let index = firstIndex(endingAtOrBehind: addresses.upperBound)
        return index < ranges.count && ranges[index].lowerBound <= addresses.lowerBound
    }

    /// Adds addresses.
    public mutating func insert(_ addresses: Range<UInt64>) {
        guard !addresses.isEmpty else { return }
        let first = firstIndex(endingAtOrBehind: addresses.lowerBound)
        var merged = addresses
        var end = first
        while end < ranges.count, ranges[end].lowerBound <= addresses.upperBound {
            merged =
                min(merged.lowerBound, ranges[end].lowerBound)..<max(merged.upperBound, ranges[end].upperBound)
            end += 1
        }
        if end == first + 1 {
            ranges[first] = merged
        } else {
            ranges.replaceSubrange(first..<end, with: CollectionOfOne(merged))
        }
    }

    /// Takes addresses out.
    public mutating func remove(_ addresses: Range<UInt64>) {
        guard !addresses.isEmpty else { return }
        var kept: [Range<UInt64>] = []
        for range in ranges {
            let before = range.lowerBound..<max(range.lowerBound, min(range.upperBound, addresses.lowerBound))
            let behind = min(range.upperBound, max(range.lowerBound, addresses.upperBound))..<range.upperBound
            if !before.isEmpty { kept.append(before) }
            if !behind.isEmpty { kept.append(behind) }
        }
        ranges = kept
    }
}
