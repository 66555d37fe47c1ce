// SPDX-License-Identifier: Apache-2.0

import Foundation
import Testing

@testable import Guests

@Suite struct CrashInitramfsTests {
    /// The fields of `newc` (cpio(5)) stand where the kernel looks for them (init/initramfs.c).
    @Test func anArchiveIsAsTheKernelReadsIt() throws {
        var archive = CpioArchive()
        archive.addFolder("crash")
        archive.addFile("crash/file", Data("content".utf8))
        var rest = archive.finished()[...]
        var members: [(name: String, mode: UInt32, content: String)] = []
        while !rest.isEmpty {
            let header = String(decoding: rest.prefix(110), as: UTF8.self)
            #expect(header.hasPrefix("070701"))
            let digits = Array(header.dropFirst(6))
            let fields = try (0..<13).map { try #require(UInt32(String(digits[$0 * 8..<$0 * 8 + 8]), radix: 16)) }
            let (size, nameSize) = (Int(fields[6]), Int(fields[11]))
            #expect(fields[2] == 0 && fields[3] == 0)
            let name = rest.dropFirst(110).prefix(nameSize)
            #expect(name.last == 0)
            let start = (110 + nameSize + 3) / 4 * 4
            let content = rest.dropFirst(start).prefix(size)
            members.append(
                (String(decoding: name.dropLast(), as: UTF8.self), fields[1], String(decoding: content, as: UTF8.self)))
            rest = rest.dropFirst((start + size + 3) / 4 * 4)
        }
        #expect(members.map(\.name) == ["crash", "crash/file", "TRAILER!!!"])
        #expect(members.map(\.mode) == [0o040755, 0o100644, 0])
        #expect(members.map(\.content) == ["", "content", ""])
    }

    /// The agent comes first, so that a kernel has its /init; it is there a second time, for the crash kernel.
    @Test func itHoldsAllThree() throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: "qh-initramfs-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        func file(_ name: String) throws -> URL {
            let file = folder.appending(path: name)
            try Data("<\(name)>".utf8).write(to: file)
            return file
        }
        let initramfs = CrashInitramfs(
            agent: try file("agent"), kexec: try file("tools"), dumpTools: [try file("dumper")],
            kernel: try file("kernel"))
        let content = String(decoding: try initramfs.content(), as: UTF8.self)
        // 14 bytes, and two of padding.
        #expect(content.hasPrefix("<agent><tools>\0\0070701"))
        #expect(content.contains("crash/vmlinux") && content.contains("<kernel>"))
        #expect(content.components(separatedBy: "<agent>").count == 3)
        #expect(content.contains("<agent><dumper>"))
        try FileManager.default.removeItem(at: initramfs.kexec)
        #expect(throws: (any Error).self) { try initramfs.content() }
    }
}
