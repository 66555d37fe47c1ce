// SPDX-License-Identifier: Apache-2.0

import GuestMemory
import VmemmapPopulate

/// Which entries a kernel was making when it died: those that describe memory which was being added, and none that was there
/// before.
struct InterruptedAdd {
    private let added: Range<UInt64>
    private let geometry: MemoryMapGeometry
    private var others = MemoryRanges()

    /// Nil for a kernel that was not adding memory.
    init?(_ snapshot: Snapshot) {
        guard let memory = snapshot.interruptedAdd else { return nil }
        added = memory.range
        geometry = MemoryMapGeometry(
            vmemmapBase: snapshot.kernel.vmemmapBase,
            vmemmapPageShift: UInt64(snapshot.kernel.pageByteCount.trailingZeroBitCount),
            pageByteCount: snapshot.kernel.pageByteCount, structPageByteCount: snapshot.kernel.structPageByteCount)
        for section in snapshot.presentMemory where !added.overlaps(section) { others.insert(section) }
    }

    /// Whether an entry is one of these.
    func makes(_ window: BackedWindow) -> Bool {
        guard let described = window.addresses.flatMap(geometry.describedMemory) else { return false }
        return described.overlaps(added) && !others.intersects(described.lowerBound...described.upperBound - 1)
    }
}

extension Snapshot {
    /// The memory of each present section.
    var presentMemory: [Range<UInt64>] {
        sections.map { $0.number << kernel.sectionSizeBits..<($0.number + 1) << kernel.sectionSizeBits }
    }

    /// How many sections of the DIMM were present that was being added, and how many it has; nil where none was.
    public var interruptedAddProgress: (presentCount: Int, sectionCount: Int)? {
        interruptedAdd.map { added in
            (
                presentMemory.count { added.range.overlaps($0) }, Int(added.byteCount >> kernel.sectionSizeBits)
            )
        }
    }

    /// What kept a witness from saying all of memory that was being added.
    var interruption: String? {
        interruptedAdd.map { "the kernel died while \($0.name) was being added" }
    }
}
