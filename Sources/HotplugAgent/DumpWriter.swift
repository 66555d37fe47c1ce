// SPDX-License-Identifier: Apache-2.0

import AgentProtocol
import GuestMemory

/// Has makedumpfile write the dead kernel's dump, and passes it to the host through the dump area.
///
/// The flattened format goes to a stream (`-F`), so that the dump takes no memory of a kernel that has little.
struct DumpWriter {
    private let area: MappedWords
    private var dump: AreaWriter
    private var words: AreaWriter

    /// Nil when the guest has no dump area.
    init?(system: some AgentSystem) {
        guard let area = SharedRegionDevice.map(isDumpArea: true, system: system) else { return nil }
        self.area = area
        dump = AreaWriter(range: DumpArea.dumpOffset..<max(DumpArea.dumpOffset, area.byteCount))
        words = AreaWriter(range: DumpArea.wordsOffset..<DumpArea.wordsOffset + DumpArea.wordsByteCount)
    }

    /// Answers `dump tool=NAME level=NUMBER seconds=NUMBER`, the tool being a folder of /tools, and the level what
    /// makedumpfile leaves out (`-d`).
    ///
    /// The answer has one of `exit`, `signal` and `timeout`, the dump's `bytes`, how many `words` are in the area, and `cut` 1
    /// where the dump had more bytes than room. A tool that cannot be started is an `error` with the reason `program`.
    mutating func answer(to request: ControlLine, system: some AgentSystem) -> ControlLine {
        let refusal = ControlLine(identifier: request.identifier, verb: "error")
        guard let tool = request.bytes("tool"), !tool.isEmpty, !tool.contains(0x2f), !tool.contains(0),
            let level = request.number("level"), level <= 31,
            let seconds = request.number("seconds"), 1...3600 ~= seconds
        else { return refusal.with("reason", text: bytes("dump")) }
        // It writes the dead kernel's note into a file there.
        guard system.makeFolder("/tmp") else { return refusal.with("reason", text: bytes("tmp")) }
        var levelText: [UInt8] = []
        levelText.append(decimal: level)
        // Common messages, errors and the report of pages; the progress is left out.
        let arguments = [
            bytes("-F"), bytes("-c"), bytes("-d"), levelText, bytes("--message-level"), bytes("22"),
            bytes("/proc/vmcore"),
        ]
        let end = GuestProgram.run(
            bytes("makedumpfile"), of: tool, arguments, milliseconds: Int(seconds) * 1000, system: system
        ) { stream, piece in
            guard case .output = stream else {
                _ = words.write(piece, to: area)
                return true
            }
            return dump.write(piece, to: area)
        }
        dump.finish(in: area)
        words.finish(in: area)
        guard let end else { return refusal.with("reason", text: bytes("program")) }
        return end.describe(
            in: ControlLine(identifier: request.identifier, verb: "ok")
                .with("bytes", dump.byteCount).with("words", words.byteCount).with("cut", dump.isFull ? 1 : 0))
    }
}

/// Writes bytes one after another into a range of shared words, each word once: the memory may be a device's.
private struct AreaWriter {
    private let range: Range<UInt64>
    private var pending: [UInt8] = []
    private var offset: UInt64
    /// How many bytes were written.
    private(set) var byteCount: UInt64 = 0
    /// Whether there was more than fits.
    private(set) var isFull = false

    init(range: Range<UInt64>) {
        self.range = range
        offset = range.lowerBound
    }

    /// Writes as much as there is room for; false when that is not all.
    mutating func write(_ piece: [UInt8], to area: MappedWords) -> Bool {
        let room = Int(range.upperBound - range.lowerBound - byteCount)
        let fitting = piece.count > room ? Array(piece.prefix(room)) : piece
        byteCount += UInt64(fitting.count)
        pending += fitting
        var start = 0
        while pending.count - start >= 8 {
            store(ByteOrder.native.number(in: pending, at: start, byteCount: 8), in: area)
            start += 8
        }
        pending.removeFirst(start)
        isFull = isFull || fitting.count < piece.count
        return !isFull
    }

    /// Writes what does not fill a word.
    mutating func finish(in area: MappedWords) {
        guard !pending.isEmpty else { return }
        pending += [UInt8](repeating: 0, count: 8 - pending.count)
        store(ByteOrder.native.number(in: pending, at: 0, byteCount: 8), in: area)
        pending = []
    }

    private mutating func store(_ word: UInt64, in area: MappedWords) {
        // The range is the mapping's own, and a store that fails is a dump that the host finds damaged.
        try? area.store(word, at: offset)
        offset += 8
    }
}
