// SPDX-License-Identifier: Apache-2.0

import GuestMemory
import Inspection
import Verification
import VmemmapPopulate

/// A million translations in an account of a million entries, beside a linear scan of the same account. Of the scan a sample
/// is timed: all of it would take half an hour.
enum Index {
    private static let entryCount: UInt64 = 1 << 20
    private static let translationCount = 1_000_000
    private static let scanCount = 1_000
    private static let limit = 1_000.0

    /// Prints what was measured; whether it is good enough.
    static func measure() throws -> Bool {
        let snapshot = try snapshot()
        let windows = snapshot.accountEntries
        let base = snapshot.kernel.vmemmapBase
        var generator = SystemRandomNumberGenerator()
        let addresses = (0..<translationCount).map { _ in
            base + UInt64.random(in: 0..<entryCount * 4096, using: &generator)
        }
        let clock = ContinuousClock()
        var index = TranslationIndex(snapshot)
        let sorting = clock.measure { index = TranslationIndex(snapshot) }
        var found: [UInt64] = []
        found.reserveCapacity(translationCount)
        let indexed = clock.measure {
            for address in addresses {
                if let window = index.window(of: address) { found.append(window.phys &+ (address - window.virtAddr)) }
            }
        }
        var scanned: [UInt64] = []
        let scanning = clock.measure {
            for address in addresses.prefix(scanCount) {
                for window in windows where address &- window.virtAddr < window.byteCount {
                    scanned.append(window.phys &+ (address - window.virtAddr))
                    break
                }
            }
        }
        guard found.count == translationCount, Array(found.prefix(scanCount)) == scanned else {
            throw Inspect.Failure(text: "index and scan do not say the same")
        }
        // What it takes to sort the account is part of the million.
        let each = (indexed + sorting) / .seconds(1) / Double(translationCount)
        let eachScanned = scanning / .seconds(1) / Double(scanCount)
        let ratio = eachScanned / each
        print(
            "index   \(translationCount) translations in \(windows.count) entries: \(seconds(indexed)) s, and \(seconds(sorting)) s "
                + "to sort; a linear scan \(seconds(scanning)) s for \(scanCount): ratio \(Int(ratio))")
        guard ratio >= limit else {
            print("less than \(Int(limit))")
            return false
        }
        return true
    }

    private static func seconds(_ duration: Duration) -> String {
        let milliseconds = Int(duration / .milliseconds(1))
        let fraction = String(milliseconds % 1000)
        return "\(milliseconds / 1000)." + String(repeating: "0", count: 3 - fraction.count) + fraction
    }

    /// A list of 4K pages, oldest first in memory, so that its order says nothing of where an address is found.
    private static func snapshot() throws -> Snapshot {
        let base: UInt64 = 0xc000_3f00_0000_0000
        let entries = (0..<entryCount).map { position in
            // An odd number's multiples come to every index once.
            let index = position &* 0x9e37_79b1 % entryCount
            return ListEntry(
                node: LinearMap.base + position * 24, list: 0, phys: (1 << 40) + index * 4096,
                virtAddr: base + index * 4096)
        }
        return Snapshot(
            witnesses: [.kernelList],
            kernel: KernelFacts(
                release: "emulated", isBigEndian: false, pageByteCount: 4096, sectionSizeBits: 24,
                structPageByteCount: 64,
                vmemmapPageShift: 12, vmemmapBase: base, mmu: .hash),
            memory: [], sections: [],
            kernelList: ListWalk(head: 0, entries: entries, end: .terminated, endLink: 0), peakEntryCount: entries.count
        )
    }
}
