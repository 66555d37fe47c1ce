// SPDX-License-Identifier: Apache-2.0

public import Foundation
import Synchronization

/// A file of JSON lines, each of which is on the disk before whoever writes it goes on.
///
/// Who writes it holds a lock on it, which the kernel gives up with the process.
public final class JournalFile: Sendable {
    private let name: String
    private let file: Mutex<FileHandle>

    /// What is read of a journal.
    private static let byteLimit = 64 << 20

    /// Writes lines behind what is in a file, for tests.
    init(_ file: FileHandle, name: String) {
        self.file = Mutex(file)
        self.name = name
    }

    /// Makes a new journal.
    ///
    /// - Throws: `CocoaError` where that cannot be.
    public convenience init(creating url: URL) throws {
        let file = try RunDirectory.created(url)
        RecordLock.take(file)
        self.init(file, name: url.lastPathComponent)
    }

    /// Goes on with a journal. A last line that has no end was being written when its process died: it is taken out.
    ///
    /// - Throws: ``RecordProblem`` where it cannot be written, or somebody else writes it.
    public convenience init(continuing url: URL) throws(RecordProblem) {
        // SAFETY: a C string that lives for the length of the call.
        let descriptor = unsafe open(url.path, O_RDWR | O_NONBLOCK | O_CLOEXEC)
        guard descriptor >= 0 else {
            throw RecordProblem(url, unsafe "cannot be written: \(String(cString: strerror(errno)))")
        }
        let file = FileHandle(fileDescriptor: descriptor, closeOnDealloc: true)
        guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
            throw RecordProblem(url, "is written by another process")
        }
        let data = try Self.content(of: url)
        do {
            try file.truncate(atOffset: UInt64(data.lastIndex(of: 0x0a).map { $0 + 1 } ?? 0))
        } catch {
            throw RecordProblem(url, "cannot be written: \(error.localizedDescription)")
        }
        self.init(file, name: url.lastPathComponent)
    }

    /// Appends a line, and returns when it is on the disk. Of a line that cannot be written nothing stays, as far as the file
    /// system lets it be taken back: what was written before is whole, and what comes later begins a line of its own.
    ///
    /// - Throws: ``RunDirectoryError``.
    public func append(_ line: some Encodable) throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        encoder.dateEncodingStrategy = .iso8601
        do {
            let data = try encoder.encode(line) + Data([0x0a])
            try file.withLock { file in
                let end = try file.offset()
                do {
                    try file.write(contentsOf: data)
                    try file.synchronize()
                } catch {
                    try? file.truncate(atOffset: end)
                    throw error
                }
            }
        } catch {
            throw RunDirectoryError(file: name, reason: error.localizedDescription)
        }
    }

    /// The lines of a journal that anyone may have made; one that has no end is none.
    ///
    /// - Throws: ``RecordProblem`` where the file cannot be read, is larger than 64 MiB, or a line is no such line.
    public static func lines<Line: Decodable>(of url: URL, as type: Line.Type = Line.self) throws(RecordProblem)
        -> [Line]
    {
        let decoder = JSONDecoder()
        decoder.dateDecodingStrategy = .iso8601
        var lines: [Line] = []
        for text in try content(of: url).split(separator: 0x0a, omittingEmptySubsequences: false).dropLast() {
            do {
                lines.append(try decoder.decode(Line.self, from: text))
            } catch {
                throw RecordProblem(url, "has a line \(lines.count + 1) that is none of its form")
            }
        }
        return lines
    }

    private static func content(of url: URL) throws(RecordProblem) -> Data {
        var data = Data()
        try RecordFile.read(url, limit: byteLimit) { data.append($0) }
        return data
    }
}
