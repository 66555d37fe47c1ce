// SPDX-License-Identifier: Apache-2.0

import GuestMemory
import HarnessBasics
import VmemmapPopulate

/// How the mirror's entries came, against the guest's history: what the agent has seen being made is of memory that came, and
/// what it found when it began is of memory that was there.
struct OriginChecks {
    let snapshot: Snapshot

    /// An entry of the one kind that is told as the other. Where the history is not whole, or the kernel died in the middle of
    /// it, nothing follows; nor does it of a window that describes memory of both kinds, or none: a populate may leave one of
    /// memory that never came.
    func findings() -> [Finding] {
        guard let mirror = snapshot.mirror, let history = snapshot.history, history.gap == nil,
            snapshot.interruptedAdd == nil, mirror.provenance.count == mirror.list.entries.count
        else { return [] }
        var (boot, changed) = (MemoryRanges(), MemoryRanges())
        for memory in history.bootMemory { boot.insert(memory.range) }
        for step in history.steps { changed.insert(step.base..<step.base + step.byteCount) }
        let geometry = MemoryMapGeometry(
            vmemmapBase: snapshot.kernel.vmemmapBase,
            vmemmapPageShift: UInt64(snapshot.kernel.pageByteCount.trailingZeroBitCount),
            pageByteCount: snapshot.kernel.pageByteCount, structPageByteCount: snapshot.kernel.structPageByteCount)
        return zip(snapshot.windows(of: mirror), mirror.provenance).compactMap { window, origin in
            guard let described = window.addresses.flatMap(geometry.describedMemory) else { return nil }
            let range = described.lowerBound...described.upperBound - 1
            let what: String
            switch (origin, boot.intersects(range), changed.intersects(range)) {
            case (.observed, true, false):
                what = "observed as it was made, and its memory was there at boot and has not changed"
            case (.seeded, false, true): what = "found when the agent began, and its memory came since"
            default: return nil
            }
            return Finding(.mirror, .origin, "virt \(window.virtAddr.hexadecimal) is told to have been \(what)")
        }
    }
}
