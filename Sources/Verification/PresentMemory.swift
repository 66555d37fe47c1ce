// SPDX-License-Identifier: Apache-2.0

import GuestMemory
import HarnessBasics
import VmemmapPopulate

/// Memory in which the kernel may keep something: that of its present sections.
struct PresentMemory {
    /// Ascending, without overlaps.
    private let ranges: [Range<UInt64>]

    /// A section's memory map is populated before the section is present, so that memory which was being added counts.
    init(_ snapshot: Snapshot) {
        var memory = MemoryRanges()
        for range in snapshot.presentMemory { memory.insert(range) }
        if let added = snapshot.interruptedAdd { memory.insert(added.range) }
        ranges = memory.ranges
    }

    /// The last range that starts at an address or before it. A list may have as many entries as memory has ranges, so this
    /// looks at few of them.
    private func range(startingUpTo address: UInt64) -> Range<UInt64>? {
        var (low, high) = (0, ranges.count)
        while low < high {
            let middle = (low + high) / 2
            if ranges[middle].lowerBound <= address { low = middle + 1 } else { high = middle }
        }
        return low > 0 ? ranges[low - 1] : nil
    }

    /// Whether all of so many bytes from an address on is present.
    func has(_ start: UInt64, byteCount: UInt64) -> Bool {
        let (end, overflows) = start.addingReportingOverflow(byteCount)
        guard !overflows, let range = range(startingUpTo: start) else { return false }
        return range.contains(start) && end <= range.upperBound
    }

    /// Whether some of a range is present.
    func overlaps(_ range: Range<UInt64>) -> Bool {
        guard !range.isEmpty else { return false }
        return self.range(startingUpTo: range.upperBound - 1)?.overlaps(range) ?? false
    }
}

/// The memory of the blocks behind the memory map.
struct BlockMemory {
    /// Ascending by physical address.
    private let blocks: [BackedWindow]

    init(_ windows: [BackedWindow]) {
        blocks = windows.sorted { $0.phys < $1.phys }
    }

    /// The block that a physical address is in; of blocks that overlap, the one that begins last.
    func block(at phys: UInt64) -> BackedWindow? {
        var (low, high) = (0, blocks.count)
        while low < high {
            let middle = (low + high) / 2
            if blocks[middle].phys <= phys { low = middle + 1 } else { high = middle }
        }
        guard low > 0, phys - blocks[low - 1].phys < blocks[low - 1].byteCount else { return nil }
        return blocks[low - 1]
    }
}
