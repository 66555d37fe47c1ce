// SPDX-License-Identifier: Apache-2.0

import Foundation

/// The guest's console, as QEMU writes it into the record.
struct ConsoleLog: Sendable {
    let file: URL

    /// How much of the end is looked at.
    private static let tailByteCount: UInt64 = 16384

    /// The last lines, made printable: the guest can write any byte.
    func lastLines(_ count: Int) -> [String] {
        guard let handle = try? FileHandle(forReadingFrom: file) else { return [] }
        defer { try? handle.close() }
        guard let end = try? handle.seekToEnd() else { return [] }
        try? handle.seek(toOffset: end > Self.tailByteCount ? end - Self.tailByteCount : 0)
        let tail = (try? handle.readToEnd()) ?? Data()
        return tail.split(separator: 0x0a).suffix(count).map { Self.printable($0) }
    }

    /// The line that says that the kernel has panicked, if the console's end has one.
    func panicLine() -> String? {
        lastLines(200).first { $0.contains("Kernel panic - not syncing") }
    }

    private static func printable(_ line: Data) -> String {
        String(
            decoding: line.filter { $0 != 0x0d }.prefix(400).map { 0x20...0x7e ~= $0 ? $0 : 0x3f }, as: UTF8.self)
    }
}
