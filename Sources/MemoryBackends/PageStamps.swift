// SPDX-License-Identifier: Apache-2.0

package import GuestMemory
import HarnessBasics
import Synchronization
package import SystemPackage

#if canImport(Glibc)
import Glibc
#endif

/// A stamp in each 4 KiB page of some of a paused guest's memory: its last word says for a while which page it is. Whoever
/// reads the page by another way then finds out which one it has read.
///
/// The words that stood there are back after ``restore()``, and when this object goes. Nothing else puts them back: a guest
/// whose stamps are left, because this process was killed, must not run on.
package final class PageStamps: Sendable {
    /// The size of a page in bytes: the smallest that any translation has.
    package static let pageByteCount: UInt64 = 4096
    /// Where in a page its stamp is.
    static let wordOffset = pageByteCount - 8

    /// What turns the same page into other stamps each time.
    package let nonce: UInt64
    private let memory: GuestRAM
    private let ranges: [Range<UInt64>]
    private let former = Mutex<[FormerWord]>([])

    private struct FormerWord {
        let words: MappedWords
        let offset: UInt64
        let value: UInt64
    }

    /// What a copy of a page says of itself.
    package enum Origin: Equatable, Sendable {
        /// It is this page, byte for byte.
        case page(UInt64)
        /// It has this page's stamp, and other bytes.
        case otherBytes(UInt64)
        /// It has no stamp.
        case unknown
    }

    /// Puts the stamps.
    ///
    /// - Parameters:
    ///   - ranges: the guest physical addresses, whole pages, ascending and apart from each other.
    ///   - memory: the guest's memory. Its CPUs have to stand still, and nothing of the machine may read these pages.
    ///   - nonce: any number, another one each time.
    /// - Throws: ``PageStampsProblem`` and ``MappedFileError`` where a page cannot be stamped. Then none is.
    package init(on ranges: [Range<UInt64>], in memory: GuestRAM, nonce: UInt64) throws {
        self.nonce = nonce
        self.memory = memory
        self.ranges = ranges
        do {
            try stamp()
        } catch {
            restore()
            throw error
        }
    }

    deinit { restore() }

    private func stamp() throws {
        var files: [UInt64: MappedFile] = [:]
        for range in ranges {
            for page in stride(from: range.lowerBound, to: range.upperBound, by: Int(Self.pageByteCount)) {
                guard let region = memory.region(holding: page) else { throw PageStampsProblem.outsideMemory(page) }
                let base = region.base.rawValue
                let file =
                    try files[base]
                    ?? MappedFile(region.file.path, byteCount: region.file.words.byteCount, isWritable: true)
                files[base] = file
                let offset = page - base + Self.wordOffset
                let value = try file.words.load(at: offset)
                former.withLock { $0.append(FormerWord(words: file.words, offset: offset, value: value)) }
                let stamp = Self.stamp(of: page, nonce)
                try file.words.store(stamp, at: offset)
                guard try region.file.words.load(at: offset) == stamp else {
                    throw PageStampsProblem.otherFile(region.file.path)
                }
            }
        }
    }

    /// Puts the words back that stood where the stamps are; does nothing where that has happened.
    package func restore() {
        let words = former.withLock { former in
            defer { former = [] }
            return former
        }
        for word in words {
            // It was stored there before; the mapping is still the same.
            try? word.words.store(word.value, at: word.offset)
        }
    }

    /// Which pages a copy of memory is of, told by the stamps and by all of the bytes.
    ///
    /// - Parameters:
    ///   - copy: one page after another.
    ///   - expected: the page that each is expected to be; as many as there are in the copy.
    /// - Returns: what each of them is.
    /// - Throws: ``MemoryAccessError`` if the copy has fewer.
    package func origins(of copy: MappedWords, expected: [UInt64]) throws -> [Origin] {
        let byteCount = Int(Self.pageByteCount)
        var (copied, original) = ([UInt8](repeating: 0, count: byteCount), [UInt8](repeating: 0, count: byteCount))
        var origins: [Origin] = []
        origins.reserveCapacity(expected.count)
        for (index, expected) in expected.enumerated() {
            let offset = UInt64(index) * Self.pageByteCount
            let stamp = try copy.load(at: offset + Self.wordOffset)
            let page = stamp == Self.stamp(of: expected, nonce) ? expected : Self.page(of: stamp, nonce)
            guard isStamped(page), let region = memory.region(holding: page) else {
                origins.append(.unknown)
                continue
            }
            // SAFETY: each buffer is an array's own, for the length of the call.
            try unsafe copied.withUnsafeMutableBytes { unsafe try copy.copy(at: offset, into: $0) }
            try unsafe original.withUnsafeMutableBytes {
                unsafe try region.file.words.copy(at: page - region.base.rawValue, into: $0)
            }
            let isSame = unsafe copied.withUnsafeBytes { copied in
                unsafe original.withUnsafeBytes { original in
                    guard let copied = copied.baseAddress, let original = original.baseAddress else { return false }
                    return unsafe memcmp(copied, original, byteCount) == 0
                }
            }
            origins.append(isSame ? .page(page) : .otherBytes(page))
        }
        return origins
    }

    /// Whether a page has a stamp.
    package func isStamped(_ page: UInt64) -> Bool {
        guard page % Self.pageByteCount == 0 else { return false }
        var (low, high) = (0, ranges.count)
        while low < high {
            let middle = (low + high) / 2
            if ranges[middle].upperBound <= page { low = middle + 1 } else { high = middle }
        }
        return low < ranges.count && ranges[low].contains(page)
    }

    // An odd number and its inverse modulo 2^64: each page has another stamp, and each stamp tells its page.
    private static let factor: UInt64 = 0x9e37_79b9_7f4a_7c15
    private static let inverse: UInt64 = 0xf1de_83e1_9937_733d

    static func stamp(of page: UInt64, _ nonce: UInt64) -> UInt64 { (page ^ nonce) &* factor }

    private static func page(of stamp: UInt64, _ nonce: UInt64) -> UInt64 { (stamp &* inverse) ^ nonce }
}

/// Why memory cannot be stamped.
package enum PageStampsProblem: Error, Equatable, CustomStringConvertible {
    /// No memory is at the address.
    case outsideMemory(UInt64)
    /// The file of this name is not the one that holds the guest's memory.
    case otherFile(FilePath)

    /// What a person reads.
    package var description: String {
        switch self {
        case .outsideMemory(let address): "no memory is at \(address.hexadecimal)"
        case .otherFile(let path): "\(path) is not the file that holds the guest's memory any more"
        }
    }
}
