// SPDX-License-Identifier: Apache-2.0

import VmemmapPopulate

/// What an emulated kernel's list and page tables come to; its JSON is what `emulate --json` prints.
struct Emulation: Encodable {
    /// Bytes of memory whose memory map is populated.
    let memoryBytes: UInt64
    /// Entries on the list.
    let entries: UInt64
    /// Freed nodes that wait to be used again.
    let freedNodes: UInt64
    /// Pages that the nodes are in.
    let listPages: UInt64
    /// The bytes of those pages.
    let listBytes: UInt64
    /// The bytes of them that hold no entry.
    let wasteBytes: UInt64
    /// Bytes of list pages for each TiB of memory.
    let metadataBytesPerTiB: UInt64
    /// Bytes of the memory map itself.
    let backingBytes: UInt64
    /// Blocks and base pages that the page tables map, where they are the only record.
    let mappedBlocks: Int
    let mappedPages: Int
    /// What failed in the kernel.
    let failures: [String]

    init(_ emulator: borrowing VmemmapEmulator, failures: [String]) {
        memoryBytes = emulator.list.store.validByteCount
        entries = emulator.list.state.liveCount
        freedNodes = emulator.list.state.freedCount
        listPages = emulator.list.store.nodePageCount
        listBytes = listPages * emulator.list.store.pageByteCount
        wasteBytes = listBytes - entries * VmemmapBacking.byteCount
        let (high, low) = listBytes.multipliedFullWidth(by: 1 << 40)
        metadataBytesPerTiB = memoryBytes == 0 ? 0 : memoryBytes.dividingFullWidth((high, low)).quotient
        backingBytes = emulator.list.store.backingByteCount
        (mappedBlocks, mappedPages) = emulator.tableCounts
        self.failures = failures
    }
}
