// SPDX-License-Identifier: Apache-2.0

import GuestMemory
public import Verification
import VmemmapPopulate

/// The memory map as a verification found it, as much of it as reports draw.
public struct StepMemory: Sendable {
    /// The kernel's constants.
    public let kernel: KernelFacts
    /// Which account the entries are from.
    public let account: KernelAccount
    /// The machine's memory, ascending.
    public let memory: [MemoryRange]
    /// The kernel's own account, ascending by effective address; nil where the record has more than a report takes.
    public let entries: [BackedWindow]?
    /// Present sections, as ascending ranges of guest physical addresses.
    public let presentMemory: [Range<UInt64>]
    /// Where the `struct page`s of present sections stand, ascending, as effective addresses.
    public let describedMap: [Range<UInt64>]
    /// Of those, what no entry backs.
    public let holes: [Range<UInt64>]
    /// Memory that brought its own memory map (an altmap), as guest physical addresses.
    public let altmapMemory: [Range<UInt64>]

    /// How many entries there are still room for, of all verifications of a record together.
    struct Budget {
        var entryCount = 1 << 20
    }

    init(_ snapshot: Snapshot, _ budget: inout Budget) {
        kernel = snapshot.kernel
        account = snapshot.account
        memory = snapshot.memory.sorted { $0.base < $1.base }
        let entries = snapshot.accountEntries
        if entries.count <= budget.entryCount {
            budget.entryCount -= entries.count
            self.entries = entries.sorted { ($0.virtAddr, $0.phys) < ($1.virtAddr, $1.phys) }
        } else {
            self.entries = nil
        }
        var (present, map) = (MemoryRanges(), MemoryRanges())
        for section in snapshot.sections {
            guard let range = Self.range(of: section, snapshot.kernel) else { continue }
            present.insert(range)
            guard let described = Self.map(of: range, snapshot.kernel) else { continue }
            map.insert(described)
        }
        presentMemory = present.ranges
        describedMap = map.ranges
        for entry in entries {
            if let addresses = entry.addresses { map.remove(addresses) }
        }
        holes = map.ranges
        altmapMemory = Self.altmapMemory(snapshot)
    }

    /// A section's memory; nil for a number that no section has.
    private static func range(of section: PresentSection, _ kernel: KernelFacts) -> Range<UInt64>? {
        guard kernel.sectionSizeBits < 48, section.number < 1 << (62 - kernel.sectionSizeBits) else { return nil }
        let base = section.number << kernel.sectionSizeBits
        return base..<base + (1 << kernel.sectionSizeBits)
    }

    /// Where the `struct page`s of some memory stand; nil where that is nowhere.
    static func map(of memory: Range<UInt64>, _ kernel: KernelFacts) -> Range<UInt64>? {
        guard kernel.pageByteCount > 0 else { return nil }
        func place(_ address: UInt64) -> UInt64? {
            let (offset, overflows) = (address / kernel.pageByteCount)
                .multipliedReportingOverflow(by: kernel.structPageByteCount)
            let (place, isBehind) = kernel.vmemmapBase.addingReportingOverflow(offset)
            return overflows || isBehind ? nil : place
        }
        guard let start = place(memory.lowerBound), let end = place(memory.upperBound), start < end else { return nil }
        return start..<end
    }

    private static func altmapMemory(_ snapshot: Snapshot) -> [Range<UInt64>] {
        var memory = MemoryRanges()
        for step in snapshot.history?.steps ?? [] {
            let (end, overflows) = step.base.addingReportingOverflow(step.byteCount)
            guard !overflows, step.byteCount > 0 else { continue }
            if step.change == .added, step.hasAltmap {
                memory.insert(step.base..<end)
            } else if step.change != .added {
                memory.remove(step.base..<end)
            }
        }
        return memory.ranges
    }

    /// Whether a block stands in memory that brought its own memory map.
    func isInAltmap(_ entry: BackedWindow) -> Bool {
        altmapMemory.contains { $0.contains(entry.phys) }
    }
}
