// SPDX-License-Identifier: Apache-2.0

import Foundation
import HarnessBasics
import Libvirt
import MemoryBackends
import SystemPackage
import Verification
import VmemmapPopulate

/// Has QEMU read the memory map of a paused guest through its CPU's translation (`memsave`), and tells by stamps which page
/// of guest RAM each page of it is.
///
/// What QEMU does not read is asked of `gva2gpa`, which has the last word there.
struct MemoryMapReader {
    let domain: any GuestDomain
    /// The guest's memory, which is stamped for as long as QEMU reads.
    let memory: GuestRAM
    /// The most bytes that QEMU writes into its file at once.
    var byteLimit: UInt64 = 32 << 20
    /// The most commands about what QEMU does not read, or what has no stamp.
    var questionLimit = MMUQuestions.limit

    /// What was found out.
    struct Result {
        var readBack: ReadBack
        /// Answers of `gva2gpa`.
        var translations: [Translation] = []
        fileprivate var questionCount = 0
    }

    /// A window, or a part of one, and the memory that is expected behind it.
    private struct Piece {
        var virtAddr: UInt64
        var phys: UInt64
        var byteCount: UInt64

        var end: UInt64 { virtAddr + byteCount }

        func part(from offset: UInt64, byteCount: UInt64) -> Piece {
            Piece(virtAddr: virtAddr + offset, phys: phys + offset, byteCount: byteCount)
        }
    }

    private static let pageByteCount = PageStamps.pageByteCount

    /// Where QEMU writes: beside the file of the guest's RAM, with which it is removed. Nil where the guest has none.
    private var file: FilePath? {
        memory.regions.first.map { $0.file.path.removingLastComponent().appending("memory-map") }
    }

    private var probe: MMUProbe { MMUProbe(domain: domain) }

    /// Asks about windows, which the guest's CPU has to be able to reach.
    ///
    /// The stamps are gone when this returns, and when it throws: the guest may run on then.
    ///
    /// - Throws: ``MemoryMapProblem`` where QEMU cannot be had to read memory, `CancellationError`, or what libvirt says.
    func read(_ windows: [BackedWindow]) async throws -> Result {
        let readable = windows.filter(isReadable)
        var stamped = MemoryRanges()
        // Ascending, so that each goes to the end.
        for window in readable.sorted(by: { $0.phys < $1.phys }) {
            stamped.insert(window.phys..<window.phys + window.byteCount)
        }
        let (ranges, memory, nonce) = (stamped.ranges, memory, UInt64.random(in: 0 ... .max))
        let stamps: PageStamps
        do {
            stamps = try await blocking { try PageStamps(on: ranges, in: memory, nonce: nonce) }
        } catch {
            throw MemoryMapProblem.noStamps("\(error)")
        }
        defer {
            stamps.restore()
            if let file { try? FileManager.default.removeItem(atPath: file.string) }
        }
        var result = Result(
            readBack: ReadBack(
                nonce: nonce,
                stamped: ranges.map { .init(base: $0.lowerBound, byteCount: $0.upperBound - $0.lowerBound) }, runs: [],
                isCutShort: false))
        for pieces in chunks(of: readable) { try await read(pieces[...], stamps, &result) }
        for window in windows where window.byteCount > 0 && !isReadable(window) {
            try await ask(ends(of: window.virtAddr, window.byteCount), &result)
        }
        return result
    }

    /// Whether there is memory behind the whole of a window, in whole pages: only that is stamped.
    private func isReadable(_ window: BackedWindow) -> Bool {
        guard window.addresses != nil, (window.virtAddr | window.phys | window.byteCount) % Self.pageByteCount == 0,
            let region = memory.region(holding: window.phys)
        else { return false }
        return window.byteCount <= region.range.upperBound - window.phys
    }

    /// What is read at once: pieces in a row, ascending, no address twice.
    private func chunks(of windows: [BackedWindow]) -> [[Piece]] {
        var chunks: [[Piece]] = []
        var end: UInt64 = 0
        for window in windows.sorted(by: { $0.virtAddr < $1.virtAddr }) {
            var piece = Piece(virtAddr: window.virtAddr, phys: window.phys, byteCount: window.byteCount)
            if piece.virtAddr < end {
                let known = end - piece.virtAddr
                guard known < piece.byteCount else { continue }
                piece = piece.part(from: known, byteCount: piece.byteCount - known)
            }
            for offset in stride(from: 0, to: piece.byteCount, by: Int(byteLimit)) {
                let part = piece.part(from: offset, byteCount: min(byteLimit, piece.byteCount - offset))
                if let first = chunks.last?.first, end == part.virtAddr, part.end - first.virtAddr <= byteLimit {
                    chunks[chunks.count - 1].append(part)
                } else {
                    chunks.append([part])
                }
                end = part.end
            }
        }
        return chunks
    }

    /// Reads pieces in a row; those that QEMU refuses by halves.
    private func read(_ pieces: ArraySlice<Piece>, _ stamps: PageStamps, _ result: inout Result) async throws {
        try Task.checkCancellation()
        guard let first = pieces.first, let last = pieces.last, let file else { return }
        if result.readBack.isCutShort { return }
        if try await save(first.virtAddr..<last.end, into: file) {
            try await examine(Array(pieces), in: file, stamps, &result)
            return
        }
        guard spend(&result) else { return }
        if pieces.count > 1 {
            let middle = pieces.startIndex + pieces.count / 2
            try await read(pieces[..<middle], stamps, &result)
            try await read(pieces[middle...], stamps, &result)
            return
        }
        // Most often none of a window is mapped; gva2gpa has the last word on that.
        let addresses = ends(of: first.virtAddr, first.byteCount)
        let before = result
        try await ask(addresses, &result)
        let answers = result.translations[before.translations.count...]
        let isPartlyMapped = answers.contains { if case .physical = $0.answer { true } else { false } }
        guard isPartlyMapped, first.byteCount > Self.pageByteCount else { return }
        result.translations = before.translations
        let half = first.byteCount / 2 / Self.pageByteCount * Self.pageByteCount
        try await read([first.part(from: 0, byteCount: half)], stamps, &result)
        try await read([first.part(from: half, byteCount: first.byteCount - half)], stamps, &result)
    }

    /// Tells by the stamps what was read.
    private func examine(
        _ pieces: [Piece], in file: FilePath, _ stamps: PageStamps, _ result: inout Result
    ) async throws {
        let expected = pieces.flatMap { stride(from: $0.phys, to: $0.phys + $0.byteCount, by: Int(Self.pageByteCount)) }
        let origins: [PageStamps.Origin]
        do {
            origins = try await blocking {
                let byteCount = UInt64(expected.count) * PageStamps.pageByteCount
                return try stamps.origins(of: MappedFile(file, byteCount: byteCount).words, expected: expected)
            }
        } catch {
            throw MemoryMapProblem.unreadable("\(error)")
        }
        var virtAddr = pieces[0].virtAddr
        for origin in origins {
            if case .page(let page) = origin {
                result.readBack.note(virtAddr: virtAddr, phys: page)
            } else if spend(&result) {
                try await settle(virtAddr, stamps, &result)
            }
            virtAddr += Self.pageByteCount
        }
    }

    /// Asks where a page leads whose stamp does not tell.
    private func settle(
        _ virtAddr: UInt64, _ stamps: PageStamps, _ result: inout Result
    ) async throws {
        var translation = try await probe.translations(of: [virtAddr])[0]
        if case .physical(let address) = translation.answer {
            // Where it leads to a stamped page all the same, QEMU has read something else than guest RAM.
            if stamps.isStamped(address) {
                translation.answer = .cannotSay(
                    "qemu reads other bytes there than guest RAM has at \(address.hexadecimal)")
            }
        }
        result.translations.append(translation)
    }

    private func ask(_ addresses: [UInt64], _ result: inout Result) async throws {
        for address in addresses where spend(&result) {
            result.translations += try await probe.translations(of: [address])
        }
    }

    /// Counts a command beyond those that read all in one go; false where there were too many.
    private func spend(_ result: inout Result) -> Bool {
        result.questionCount += 1
        if result.questionCount > questionLimit { result.readBack.isCutShort = true }
        return result.questionCount <= questionLimit
    }

    private func ends(of virtAddr: UInt64, _ byteCount: UInt64) -> [UInt64] {
        MMUQuestions.offsets(windowByteCount: byteCount).map { virtAddr &+ $0 }
    }

    // MARK: - QEMU

    private struct SaveArguments: Encodable {
        /// The address: QEMU's schema has it as a signed number.
        let val: Int64
        let size: UInt64
        let filename: String
    }

    /// Has QEMU write the bytes of effective addresses into a new file; false where it does not translate all of them.
    private func save(_ range: Range<UInt64>, into file: FilePath) async throws -> Bool {
        // What was there is not to be taken for what comes.
        try? FileManager.default.removeItem(atPath: file.string)
        do {
            _ = try await domain.execute(
                "memsave",
                SaveArguments(
                    val: Int64(bitPattern: range.lowerBound), size: range.upperBound - range.lowerBound,
                    filename: file.string))
            return true
        } catch let refusal as QMPRefusal {
            // cpus.c, qmp_memsave: "Invalid addr 0x… /size … specified".
            if refusal.reason.hasPrefix("Invalid addr ") { return false }
            throw MemoryMapProblem.refused(refusal)
        }
    }
}

/// Why QEMU does not read the memory map.
enum MemoryMapProblem: Error, Equatable, CustomStringConvertible {
    /// The guest's memory cannot be stamped.
    case noStamps(String)
    /// QEMU refuses.
    case refused(QMPRefusal)
    /// What QEMU wrote cannot be read.
    case unreadable(String)

    var description: String {
        switch self {
        case .noStamps(let reason): "guest RAM cannot be stamped: \(reason)"
        case .refused(let refusal): "\(refusal)"
        case .unreadable(let reason): "what qemu wrote of it cannot be read: \(reason)"
        }
    }
}
