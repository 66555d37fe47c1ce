// SPDX-License-Identifier: Apache-2.0

package import GuestMemory

/// Page tables as a radix kernel makes them, in physical memory that holds nothing else.
package struct SampleRadixTables: PhysicalMemory, Sendable {
    package let pageByteCount: UInt64
    /// Where the root stands.
    package let root = PhysicalAddress(0x274_0000)
    /// The memory behind addresses from 0 on; reading beyond it fails.
    package var byteCount: UInt64 = 1 << 30
    /// Words that are not 0, as numbers: the entries are big-endian in memory.
    package var words: [UInt64: UInt64] = [:]
    /// Where the next table is put.
    private var nextTable: UInt64 = 0x1000_0000

    package init(pageByteCount: UInt64) {
        self.pageByteCount = pageByteCount
    }

    package func storedWord(at address: PhysicalAddress) throws(MemoryAccessError) -> UInt64 {
        guard address.rawValue % 8 == 0 else { throw .misaligned(address.rawValue) }
        guard address.rawValue < byteCount else { throw .unmapped(address.rawValue) }
        return ByteOrder.big.value(ofStored: words[address.rawValue] ?? 0)
    }

    /// The levels: log2 of what an entry is for, and of how many there are.
    private var levels: [(shift: UInt64, indexSize: UInt64)] {
        pageByteCount == 4096 ? [(39, 13), (30, 9), (21, 9), (12, 9)] : [(39, 13), (30, 9), (21, 9), (16, 5)]
    }

    /// Maps `byteCount` bytes (a base page, 2 MiB or 1 GiB), making tables on the way, and returns the entry's place.
    @discardableResult
    package mutating func map(_ virtAddr: UInt64, to phys: UInt64, byteCount: UInt64) -> UInt64 {
        var table = root.rawValue
        for (level, next) in zip(levels, levels.dropFirst() + [(0, 0)]) {
            let entry = table + (virtAddr >> level.shift & (1 << level.indexSize - 1)) * 8
            if byteCount == 1 << level.shift {
                // Present, leaf, accessed, dirty, privileged, read and write: what a running guest's entries say.
                words[entry] = 0xc000_0000_0000_018e | phys
                return entry
            }
            if words[entry] == nil {
                let tableByteCount: UInt64 = 8 << next.indexSize
                nextTable = (nextTable + tableByteCount - 1).alignedDown(to: tableByteCount)
                words[entry] = 0x8000_0000_0000_0000 | nextTable | next.indexSize
                nextTable += tableByteCount
            }
            table = (words[entry] ?? 0) & 0x0fff_ffff_ffff_ff00
        }
        return 0
    }

    /// The places of the entries on the way to `virtAddr`, from the root down, as far as there are any.
    package func path(to virtAddr: UInt64) -> [UInt64] {
        var path: [UInt64] = []
        var table = root.rawValue
        for level in levels {
            let entry = table + (virtAddr >> level.shift & (1 << level.indexSize - 1)) * 8
            guard let word = words[entry] else { break }
            path.append(entry)
            table = word & 0x0fff_ffff_ffff_ff00
            if word & 0x4000_0000_0000_0000 != 0 { break }
        }
        return path
    }
}
