// SPDX-License-Identifier: Apache-2.0

import GuestMemory
import HarnessBasics
import VmemmapPopulate

/// Whose memory a block is that stands in an altmap: memory that brought its own memory map keeps that at its start
/// (`create_altmaps_and_memory_blocks`, mm/memory_hotplug.c), and it goes when the memory goes.
struct AltmapChecks {
    private let windows: [BackedWindow]
    private let geometry: MemoryMapGeometry
    private let blockByteCount: UInt64
    /// Memory that came with an altmap and is there.
    private var memory = MemoryRanges()

    /// Nil where no memory is known to have brought its own memory map, or how large a memory block is.
    init?(snapshot: Snapshot, geometry: MemoryMapGeometry) {
        guard let history = snapshot.history, history.gap == nil, let report = snapshot.report,
            report.blockByteCount.nonzeroBitCount == 1, history.steps.contains(where: \.hasAltmap)
        else { return nil }
        windows = snapshot.accountEntries
        self.geometry = geometry
        blockByteCount = report.blockByteCount
        for step in history.steps {
            let (end, overflows) = step.base.addingReportingOverflow(step.byteCount)
            guard !overflows else { return nil }
            if step.change == .added, step.hasAltmap {
                memory.insert(step.base..<end)
            } else if step.change != .added {
                memory.remove(step.base..<end)
            }
        }
    }

    /// Blocks in the altmap of one memory block that describe memory of others alone: their `struct page`s go with memory that
    /// is not theirs.
    func findings() -> [Finding] {
        // Memory ends far below half of all addresses, and so does what a power of two of it starts.
        let capacity = blockByteCount / geometry.pageByteCount * geometry.structPageByteCount
        return windows.compactMap { window in
            let start = window.phys.alignedDown(to: blockByteCount)
            guard window.phys - start < capacity, memory.intersects(window.phys...window.phys),
                let described = window.addresses.flatMap(geometry.describedMemory),
                !described.overlaps(start..<start + blockByteCount)
            else { return nil }
            return Finding(
                .pageTables, .otherAltmap,
                "the block of virt \(window.virtAddr.hexadecimal) (phys \(window.phys.hexadecimal)) is in the altmap of memory "
                    + "at \(start.hexadecimal), and describes memory at \(described.lowerBound.hexadecimal)")
        }
    }
}
