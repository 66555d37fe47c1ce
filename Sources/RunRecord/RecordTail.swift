// SPDX-License-Identifier: Apache-2.0

public import Foundation

/// The lines of a record's file from its beginning on, one at a time, also while somebody appends to it.
public final class RecordTail {
    private let file: URL
    private var handle: FileHandle?
    private var buffer: [UInt8] = []
    private var next = 0
    private var offset: UInt64 = 0
    /// The line that has no end yet, as much of it as is kept.
    private var line: [UInt8] = []

    private static let pieceByteCount = 1 << 16

    /// Reads one of a record's text files, which may not be there yet.
    public convenience init(_ text: RecordText.File, in directory: URL) {
        self.init(directory.appending(path: text.name))
    }

    /// Reads a record's events.
    public convenience init(eventsIn directory: URL) {
        self.init(directory.appending(path: RunDirectory.eventsName))
    }

    init(_ file: URL) { self.file = file }

    /// The next line that has an end, without it, as much of it as a report looks at; nil where there is none for now.
    ///
    /// - Throws: ``RecordProblem`` where the file is no regular file, or cannot be read. One that is missing has no lines.
    public func nextLine() throws(RecordProblem) -> String? {
        while true {
            while next < buffer.count {
                let byte = buffer[next]
                next += 1
                if byte == 0x0a {
                    defer { line.removeAll(keepingCapacity: true) }
                    while line.last == 0x0d { line.removeLast() }
                    return String(decoding: line, as: UTF8.self)
                }
                if line.count < RecordLines.byteLimit { line.append(byte) }
            }
            guard try fill() else { return nil }
        }
    }

    /// What stands behind the last end of a line, for when no more is to come; nil for nothing.
    public func rest() -> String? {
        defer { line.removeAll() }
        return line.isEmpty ? nil : String(decoding: line, as: UTF8.self)
    }

    /// Whether there was more to read.
    private func fill() throws(RecordProblem) -> Bool {
        guard let handle = try opened() else { return false }
        do {
            let size = try handle.seekToEnd()
            // Its middle was taken out: what comes next is not known to follow.
            if size < offset {
                offset = size
                line = []
            }
            try handle.seek(toOffset: offset)
            guard let piece = try handle.read(upToCount: Self.pieceByteCount), !piece.isEmpty else { return false }
            (buffer, next) = ([UInt8](piece), 0)
            offset += UInt64(piece.count)
            return true
        } catch {
            throw RecordProblem(file, "cannot be read: \(error.localizedDescription)")
        }
    }

    private func opened() throws(RecordProblem) -> FileHandle? {
        if let handle { return handle }
        // SAFETY: a C string that lives for the length of the call, as the status and the error's text below do.
        let descriptor = unsafe open(file.path, O_RDONLY | O_NONBLOCK | O_CLOEXEC)
        guard descriptor >= 0 else {
            if errno == ENOENT { return nil }
            throw RecordProblem(file, unsafe "cannot be read: \(String(cString: strerror(errno)))")
        }
        let handle = FileHandle(fileDescriptor: descriptor, closeOnDealloc: true)
        var status = stat()
        guard unsafe fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
            throw RecordProblem(file, "is no regular file")
        }
        self.handle = handle
        return handle
    }
}
