// SPDX-License-Identifier: Apache-2.0

import GuestMemory

/// What /proc/zoneinfo says of the zones that the kernel allocates for itself from: all but `Movable`.
enum Zoneinfo {
    /// The bytes that are free above the zones' `min` watermarks, below which an allocation that may fail does
    /// (mm/page_alloc.c: `__zone_watermark_ok`); nil when no such zone is told of.
    static func freeKernelByteCount(system: some AgentSystem) -> UInt64? {
        var isKernelZone = false
        var free: UInt64 = 0
        var minimum: UInt64 = 0
        var zoneCount = 0
        // A zone takes some KiB, with many processors more.
        for line in (system.content(bytes("/proc/zoneinfo"), limit: 1 << 20) ?? []).split(separator: 0x0a) {
            let words = line.split(separator: 0x20)
            if words.count == 4, words[2].elementsEqual(bytes("zone")) {
                isKernelZone = !words[3].elementsEqual(bytes("Movable"))
                if isKernelZone { zoneCount += 1 }
            } else if isKernelZone, let last = words.last {
                var digits = last
                let pages = min(digits.takeNumber(radix: 10) ?? 0, 1 << 32)
                if words.count == 3, words[0].elementsEqual(bytes("pages")), words[1].elementsEqual(bytes("free")) {
                    free += pages
                } else if words.count == 2, words[0].elementsEqual(bytes("min")) {
                    minimum += pages
                }
            }
        }
        guard zoneCount > 0 else { return nil }
        return (free - min(free, minimum)) * system.pageByteCount
    }
}
