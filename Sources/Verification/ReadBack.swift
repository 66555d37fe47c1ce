// SPDX-License-Identifier: Apache-2.0

public import HarnessBasics

/// What QEMU read of the memory map through the CPU's translation (`memsave`), while each 4 KiB page of the account's blocks
/// had a stamp in its last word: which page each effective address leads to.
public struct ReadBack: Codable, Equatable, Sendable {
    /// Pages in a row of effective addresses that lead to pages in a row of memory. Each page's stamp was read there, and
    /// all of its bytes.
    public struct Run: Codable, Equatable, Sendable {
        /// The first effective address.
        @Hex public var virtAddr: UInt64
        /// The physical address that it leads to.
        @Hex public var phys: UInt64
        /// The bytes of both.
        public var byteCount: UInt64

        /// Makes a run.
        public init(virtAddr: UInt64, phys: UInt64, byteCount: UInt64) {
            self.virtAddr = virtAddr
            self.phys = phys
            self.byteCount = byteCount
        }
    }

    /// Pages in a row that were stamped.
    public struct Stamped: Codable, Equatable, Sendable {
        /// The first one's physical address.
        @Hex public var base: UInt64
        /// Their size in bytes.
        public var byteCount: UInt64

        /// Makes pages.
        public init(base: UInt64, byteCount: UInt64) {
            self.base = base
            self.byteCount = byteCount
        }
    }

    /// The size of a stamped page in bytes.
    public static let pageByteCount: UInt64 = 4096

    /// What the stamps were made of, with the page's address.
    @Hex public var nonce: UInt64
    /// Where the stamps were, ascending: the last word of each 4 KiB page, put back before the guest ran on.
    @Columns public var stamped: [Stamped]
    /// What was read, ascending by effective address.
    @Columns public var runs: [Run]
    /// Whether QEMU refused to read so much that not all of it was found out.
    public var isCutShort: Bool

    /// Puts it together.
    public init(nonce: UInt64, stamped: [Stamped], runs: [Run], isCutShort: Bool) {
        self.nonce = nonce
        self.stamped = stamped
        self.runs = runs
        self.isCutShort = isCutShort
    }
}

extension ReadBack {
    /// Adds a page that leads to another; pages come in ascending order.
    public mutating func note(virtAddr: UInt64, phys: UInt64) {
        if let last = runs.last, last.virtAddr &+ last.byteCount == virtAddr, last.phys &+ last.byteCount == phys {
            runs[runs.count - 1].byteCount += Self.pageByteCount
        } else {
            runs.append(Run(virtAddr: virtAddr, phys: phys, byteCount: Self.pageByteCount))
        }
    }

    /// The index of the first run that ends behind an address.
    private func firstIndex(endingBehind address: UInt64) -> Int {
        var (low, high) = (0, runs.count)
        while low < high {
            let middle = (low + high) / 2
            if runs[middle].virtAddr + runs[middle].byteCount <= address {
                low = middle + 1
            } else {
                high = middle
            }
        }
        return low
    }

    /// Whether all of a range was read, and leads to so many bytes in a row from `phys` on.
    func leads(_ range: Range<UInt64>, to phys: UInt64) -> Bool {
        let index = firstIndex(endingBehind: range.lowerBound)
        guard index < runs.count, runs[index].virtAddr <= range.lowerBound,
            runs[index].virtAddr + runs[index].byteCount >= range.upperBound
        else { return false }
        return runs[index].phys + (range.lowerBound - runs[index].virtAddr) == phys
    }

    /// What was read of a range, and what was not.
    func pieces(of range: Range<UInt64>) -> (read: [Run], missing: [Range<UInt64>]) {
        var low = firstIndex(endingBehind: range.lowerBound)
        var (read, missing): ([Run], [Range<UInt64>]) = ([], [])
        var position = range.lowerBound
        while low < runs.count, runs[low].virtAddr < range.upperBound {
            let run = runs[low]
            let start = max(run.virtAddr, position)
            if start > position { missing.append(position..<start) }
            let end = min(run.virtAddr + run.byteCount, range.upperBound)
            read.append(Run(virtAddr: start, phys: run.phys + (start - run.virtAddr), byteCount: end - start))
            position = end
            low += 1
        }
        if position < range.upperBound { missing.append(position..<range.upperBound) }
        return (read, missing)
    }
}
