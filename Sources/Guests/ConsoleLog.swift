// SPDX-License-Identifier: Apache-2.0

import Foundation
import HarnessBasics
import Synchronization

/// The guest's console, as QEMU writes it into the record.
final class ConsoleLog: Sendable {
    let file: URL
    /// Where the words begin of the kernel that runs: what stands before is of a kernel that was meant to die.
    private let start = Mutex<UInt64>(0)

    /// The console in a file, which may come later.
    init(file: URL) {
        self.file = file
    }

    /// Looks at nothing any more of what stands there by now.
    func passOver() {
        guard let handle = try? FileHandle(forReadingFrom: file) else { return }
        defer { try? handle.close() }
        if let end = try? handle.seekToEnd() { start.withLock { $0 = end } }
    }

    /// How much of the end is looked at.
    private static let tailByteCount: UInt64 = 65536

    /// The last lines, made printable: the guest can write any byte.
    func lastLines(_ count: Int) -> [String] {
        tail().suffix(count).map { $0.filter { $0 != 0x0d }.prefix(400).printable }
    }

    /// The last lines as the kernel's log has them: without time and caller.
    func messages() -> [[UInt8]] {
        tail().map { line in
            var message = line.prefix { $0 != 0x0d }
            // `[    4.067351] `, and `[    T1] ` where the kernel says who wrote it.
            while message.first == 0x5b, let end = message.firstIndex(of: 0x5d),
                message.distance(from: message.startIndex, to: end) < 24
            {
                message = message[message.index(after: end)...].drop { $0 == 0x20 }
            }
            return Array(message)
        }
    }

    private func tail() -> [Data] {
        guard let handle = try? FileHandle(forReadingFrom: file) else { return [] }
        defer { try? handle.close() }
        guard let end = try? handle.seekToEnd() else { return [] }
        // A file whose middle was taken out may be shorter than it was.
        let start = min(start.withLock { $0 }, end)
        try? handle.seek(toOffset: max(start, end > Self.tailByteCount ? end - Self.tailByteCount : 0))
        return ((try? handle.readToEnd()) ?? Data()).split(separator: 0x0a)
    }

    /// The line that says that the kernel has panicked, if the console's end has one.
    func panicLine() -> String? {
        lastLines(200).first { $0.contains("Kernel panic - not syncing") }
    }
}
