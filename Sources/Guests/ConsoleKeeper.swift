// SPDX-License-Identifier: Apache-2.0

import Foundation
import Synchronization

/// Keeps the console's file within a limit while QEMU writes it.
///
/// QEMU appends whatever the guest prints (`O_APPEND`), and a guest may print without end. Each time the file has grown
/// beyond the limit, its middle goes: the first quarter of the limit stays, and the last one. A panic's words are among the
/// last, how the guest booted among the first.
final class ConsoleKeeper: Sendable {
    /// A guest of the ready plans prints 16 to 35 KiB.
    static let byteLimit = 64 << 20
    /// How often the file is looked at: a guest under emulation prints some MiB in this time.
    private static let interval = Duration.milliseconds(200)

    private struct State {
        /// What was left out so far, in bytes.
        var leftOutByteCount = 0
        /// The bytes of the line that says so, where the middle was.
        var noticeByteCount = 0
    }

    /// The file, to be read.
    let log: ConsoleLog
    private let limit: Int
    private let state = Mutex(State())
    private let watch = Mutex<Task<Void, Never>?>(nil)

    /// A keeper of a file that may come later; `limit` is in bytes, and at least 4 KiB.
    init(file: URL, limit: Int = byteLimit) {
        log = ConsoleLog(file: file)
        self.limit = max(limit, 4096)
    }

    /// Looks at the file from now on, until ``finish()``.
    func start() {
        let task = Task.detached { [weak self] in
            while !Task.isCancelled, let self {
                self.shorten()
                try? await Task.sleep(for: Self.interval)
            }
        }
        watch.withLock { $0 = task }
    }

    /// Looks at the file for the last time, when QEMU has ended.
    func finish() async {
        let task = watch.withLock { task in
            defer { task = nil }
            return task
        }
        task?.cancel()
        await task?.value
        shorten()
    }

    /// About how many bytes were left out: what QEMU adds in the very moment of the cut goes uncounted.
    var leftOutByteCount: Int { state.withLock { $0.leftOutByteCount } }

    /// Takes the middle out if the file is longer than the limit. A file that cannot be written stays as it is: then it is
    /// a daemon's, whose log daemon bounds it.
    func shorten() {
        state.withLock { state in
            guard let handle = try? FileHandle(forUpdating: log.file) else { return }
            defer { try? handle.close() }
            try? Self.shorten(handle, limit: limit, &state)
        }
    }

    /// The end is copied to where the middle was, then the file is cut behind it: in no moment it lacks its end.
    private static func shorten(_ handle: FileHandle, limit: Int, _ state: inout State) throws {
        var end = Int(try handle.seekToEnd())
        guard end > limit else { return }
        let kept = limit / 4
        let headEnd = kept + state.noticeByteCount
        let leftOutByteCount = state.leftOutByteCount + max(end - kept - headEnd, 0)
        let notice = Data(
            "\n[qemu-harness: about \(leftOutByteCount) bytes of the console were left out here]\n".utf8)
        var position = kept
        func copy(_ data: Data) throws {
            try handle.seek(toOffset: UInt64(position))
            try handle.write(contentsOf: data)
            position += data.count
        }
        let tail = try bytes(of: handle, from: end - kept, to: end)
        try copy(notice)
        try copy(tail)
        // QEMU has written meanwhile: what it has is copied as well, until there is nothing left or it is too fast for that.
        for _ in 0..<8 {
            let newEnd = Int(try handle.seekToEnd())
            guard newEnd > end, newEnd - end <= kept else { break }
            try copy(try bytes(of: handle, from: end, to: newEnd))
            end = newEnd
        }
        let lastEnd = Int(try handle.seekToEnd())
        try handle.truncate(atOffset: UInt64(position))
        // What was too fast is told of from the next time on.
        state = State(leftOutByteCount: leftOutByteCount + lastEnd - end, noticeByteCount: notice.count)
    }

    private static func bytes(of handle: FileHandle, from start: Int, to end: Int) throws -> Data {
        try handle.seek(toOffset: UInt64(start))
        return try handle.read(upToCount: end - start) ?? Data()
    }
}
