// SPDX-License-Identifier: Apache-2.0

package import GuestMemory

/// HPTEs as a kernel has them made: `hash__vmemmap_create_mapping` with `PAGE_KERNEL`, bolted.
package struct SampleHashTable: Sendable {
    package var segmentShift: UInt64 = 40
    package var virtualBitCount: UInt64 = 28
    package var context: UInt64 = 7
    package var tableShift: UInt64 = 24
    package var pageShift: UInt64 = 16

    package init() {}

    /// The entry for a page, in its primary group or in the other; `slot` is its place there, from 0.
    package func entry(virtAddr: UInt64, phys: UInt64, isSecondary: Bool = false, slot: UInt64 = 0) -> HashedEntry {
        let segment = HashedSegments(
            segmentShift: segmentShift, virtualBitCount: virtualBitCount, context: context
        ).virtualSegment(of: virtAddr)
        let offset = virtAddr & (1 << segmentShift - 1)
        let hash = (segmentShift == 40 ? segment ^ segment << 25 : segment) ^ offset >> pageShift
        let group = (isSecondary ? ~hash : hash) & (1 << (tableShift - 7) - 1)
        // A virtual address has up to 68 bits.
        let avpn = segment << (segmentShift - 23) | (offset >> 23 & ~(pageShift > 23 ? 1 << (pageShift - 23) - 1 : 0))
        let size: UInt64 = segmentShift == 40 ? 1 << 62 : 0
        let v = size | avpn << 7 | 0x10 | (pageShift > 12 ? 4 : 0) | (isSecondary ? 2 : 0) | 1
        return HashedEntry(index: group * 8 + slot, v: v, r: phys | (pageShift == 16 ? 0x1000 : 0) | 0x194)
    }
}
