// SPDX-License-Identifier: Apache-2.0

import Foundation
import GuestMemory
import HarnessBasics
import TestSupport
import Testing
import Verification

/// The steps of a history may come from a file that somebody edited: the model goes through each of them.
@Suite struct HostileHistoryTests {
    private static let section: UInt64 = 16 << 20

    /// A radix kernel without a list, no page tables and no memory at boot, after these steps.
    private static func snapshot(structPageByteCount: UInt64, base: UInt64, history: HotplugHistory) -> Snapshot {
        var snapshot = GoodSnapshot.radixTables()
        snapshot.kernel.structPageByteCount = structPageByteCount
        snapshot.kernel.vmemmapBase = base
        snapshot.history = history
        return snapshot
    }

    /// Where two sections share a page of the memory map, a page outlives the altmap that gave it.
    @Test(arguments: [true, false])
    func aPageOutlivesItsAltmap(comesAgain: Bool) throws {
        let first = 1 << 30..<1 << 30 + Self.section
        let second = first.upperBound..<first.upperBound + Self.section
        var history = HotplugHistory(bootMemory: [])
        history.note(.added, first, hasAltmap: true)
        history.note(.added, second)
        history.note(.removed, first)
        if comesAgain { history.note(.added, first, hasAltmap: true) }
        history.note(.removed, second)
        if comesAgain { history.note(.removed, first) }
        let snapshot = Self.snapshot(
            structPageByteCount: 256, base: 0xc00c_0000_0000_ff80, history: history)
        #expect(try Verifier.verdict(on: snapshot).findings.isEmpty == false)
    }

    @Test(arguments: [0x5eed_0021, 0x5eed_0022, 0x5eed_0023] as [UInt64])
    func noHistoryEndsTheProgram(seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed)
        for _ in 0..<150 {
            var history = HotplugHistory(
                bootMemory: generator.next() % 2 == 0 ? [] : [MemoryRange(name: "boot", base: 0, byteCount: 1 << 28)])
            for _ in 0..<generator.next() % 12 {
                let base = generator.next() % 8 * Self.section + (generator.next() % 2 << 30)
                let range = base..<base + (1 + generator.next() % 3) * Self.section
                switch generator.next() % 5 {
                case 0: history.noteFailure(of: range, linkedCount: generator.next() >> generator.next() % 64)
                case 1, 2: history.note(.removed, range)
                default: history.note(.added, range, hasAltmap: generator.next() % 2 == 0)
                }
            }
            let structPageByteCount: UInt64 = [32, 56, 64, 128, 256].randomElement(using: &generator) ?? 64
            let base: UInt64 =
                0xc00c_0000_0000_0000
                &+ ([0, 32, 128, 4096, 65536 - 128, 1 << 63].randomElement(using: &generator) ?? 0)
            var snapshot = Self.snapshot(structPageByteCount: structPageByteCount, base: base, history: history)
            if generator.next() % 3 == 0 {
                snapshot.kernel.mmu = .hash
                snapshot.witnesses = Witness.given(by: .list, .hash)
                snapshot.pageTables = nil
            }
            _ = try Verifier.verdict(on: snapshot)
        }
    }
}
