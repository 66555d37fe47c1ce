// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc
import TestSupport
import Testing

@testable import Guests

/// A console that a guest fills without end.
@Suite struct ConsoleKeeperTests {
    private let folder: TemporaryFolder
    private var file: URL { folder.url.appending(path: "console.log") }

    init() throws { folder = try TemporaryFolder() }

    /// Appends as QEMU does.
    private func append(_ text: String) throws {
        let descriptor = open(file.path, O_WRONLY | O_CREAT | O_APPEND, 0o600)
        try #require(descriptor >= 0)
        defer { close(descriptor) }
        let bytes = Array(text.utf8)
        try #require(write(descriptor, bytes, bytes.count) == bytes.count)
    }

    private func text() throws -> String { try String(contentsOf: file, encoding: .utf8) }

    @Test func whatFitsIsLeftAlone() async throws {
        let keeper = ConsoleKeeper(file: file, limit: 4096)
        await keeper.finish()
        #expect(!FileManager.default.fileExists(atPath: file.path))
        let lines = String(repeating: "a line\n", count: 585)
        try append(lines)
        await keeper.finish()
        #expect(try text() == lines)
        #expect(keeper.leftOutByteCount == 0)
    }

    @Test func theMiddleGoes() throws {
        let keeper = ConsoleKeeper(file: file, limit: 4096)
        var number = 0
        for round in 1...5 {
            var byteCount = 0
            while byteCount < 5000 {
                let line = "line \(number)\n"
                try append(line)
                number += 1
                byteCount += line.utf8.count
            }
            keeper.shorten()
            let text = try text()
            // A quarter from the beginning, a quarter from the end, and one line that says what was between.
            #expect(text.hasPrefix("line 0\nline 1\n"))
            #expect(text.hasSuffix("line \(number - 2)\nline \(number - 1)\n"))
            #expect(text.utf8.count < 2048 + 100)
            #expect(text.components(separatedBy: "[qemu-harness: about ").count == 2)
            #expect(text.contains("about \(keeper.leftOutByteCount) bytes of the console were left out here]\n"))
            #expect(keeper.leftOutByteCount > 2000 * round)
        }
        // All that was written is in the file, or counted.
        let notice = "\n[qemu-harness: about \(keeper.leftOutByteCount) bytes of the console were left out here]\n"
        let written = (0..<number).reduce(0) { $0 + "line \($1)\n".utf8.count }
        #expect(try text().utf8.count - notice.utf8.count + keeper.leftOutByteCount == written)
    }

    /// A writer that never stops loses no end, whenever the keeper looks.
    @Test func aWriterGoesOnMeanwhile() async throws {
        let keeper = ConsoleKeeper(file: file, limit: 65536)
        keeper.start()
        let path = file.path
        let writer = Task.detached {
            let descriptor = open(path, O_WRONLY | O_CREAT | O_APPEND, 0o600)
            defer { close(descriptor) }
            for number in 0..<200_000 {
                let bytes = Array("line \(number) of the console\n".utf8)
                guard write(descriptor, bytes, bytes.count) == bytes.count else { return false }
            }
            return true
        }
        while !writer.isCancelled, (try? text().contains("line 199999 ")) != true {
            keeper.shorten()
            try await Task.sleep(for: .milliseconds(1))
        }
        #expect(await writer.value)
        await keeper.finish()
        let text = try text()
        #expect(text.utf8.count <= 65536)
        #expect(text.hasPrefix("line 0 of the console\nline 1 of the console\n"))
        #expect(text.hasSuffix("line 199998 of the console\nline 199999 of the console\n"))
        #expect(keeper.leftOutByteCount > 1 << 20)
    }

    /// What is no file that this user can write is a daemon's to bound.
    @Test func aFileThatCannotBeWrittenStays() async throws {
        let keeper = ConsoleKeeper(file: folder.url, limit: 4096)
        await keeper.finish()
        #expect(keeper.leftOutByteCount == 0)
    }
}
