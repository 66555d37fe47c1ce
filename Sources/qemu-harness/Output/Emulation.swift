// SPDX-License-Identifier: Apache-2.0

import Foundation
import Guests
import HarnessBasics
import Plans
import VmemmapPopulate

/// What an emulated kernel's books come to, for people and as JSON.
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
        let kernel = emulator.list.store
        memoryBytes = kernel.validByteCount
        entries = emulator.list.state.liveCount
        freedNodes = emulator.list.state.freedCount
        listPages = kernel.nodePageCount
        listBytes = listPages * kernel.pageByteCount
        wasteBytes = listBytes - entries * VmemmapBacking.byteCount
        let (high, low) = listBytes.multipliedFullWidth(by: 1 << 40)
        metadataBytesPerTiB = memoryBytes == 0 ? 0 : memoryBytes.dividingFullWidth((high, low)).quotient
        backingBytes = kernel.backingByteCount
        (mappedBlocks, mappedPages) = emulator.tableCounts
        self.failures = failures
    }

    var text: String {
        var rows: [(String, String)] = [
            ("memory", ByteCount(memoryBytes).text),
            ("entries", "\(entries)"),
            ("freed nodes", "\(freedNodes)"),
            ("list pages", "\(listPages)"),
            ("list bytes", "\(listBytes)"),
            ("waste", "\(wasteBytes) bytes"),
            ("metadata", "\(metadataBytesPerTiB) bytes per TiB"),
            ("memory map", "\(backingBytes) bytes"),
        ]
        if mappedBlocks + mappedPages > 0 {
            rows += [("2 MiB blocks", "\(mappedBlocks)"), ("base pages", "\(mappedPages)")]
        }
        rows += failures.map { ("failed", $0) }
        return rows.map { $0.0.padding(toLength: 14, withPad: " ", startingAt: 0) + $0.1 }.joined(separator: "\n")
    }
}

/// Tells on stderr how far a long emulation is, once a second at most.
final class MemoryProgress {
    private let total: UInt64
    private let isSilent: Bool
    private let isTerminal: Bool
    private let clock = ContinuousClock()
    private var last: ContinuousClock.Instant
    private var hasWritten = false

    init(style: Progress.Style, total: UInt64) {
        self.total = total
        isSilent = style == .none
        isTerminal =
            style == .auto
            && Terminal.isCapable(STDERR_FILENO, environment: ProcessInfo.processInfo.environment)
        last = clock.now
    }

    func report(_ done: UInt64) {
        guard !isSilent, clock.now - last >= .seconds(1) else { return }
        last = clock.now
        hasWritten = true
        let text = "populated \(done >> 30) GiB of \(total >> 30) GiB"
        write(isTerminal ? "\r\(text)" : "\(text)\n")
    }

    func end() {
        if isTerminal, hasWritten { write("\r\u{1b}[K") }
    }

    private func write(_ text: String) {
        try? FileHandle.standardError.write(contentsOf: Data(text.utf8))
    }
}
