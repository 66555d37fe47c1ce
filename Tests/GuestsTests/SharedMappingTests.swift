// SPDX-License-Identifier: Apache-2.0

import Foundation
import MemoryBackends
import SystemPackage
import TestSupport
import Testing

@testable import Guests

@Suite struct SharedMappingTests {
    @Test(
        arguments: [
            (
                "7f0000000000-7f0040000000 rw-s 00000000 00:1b 17 /var/lib/libvirt/qemu/ram/1-a b/ram-node0",
                "/var/lib/libvirt/qemu/ram/1-a b/ram-node0"
            ),
            ("7f0000000000-7f0040000000 r--s 00000000 00:1b 17                 /dev/shm/qh/dimm0", "/dev/shm/qh/dimm0"),
            // Not shared, not from its beginning, no file, no numbers.
            ("7f0000000000-7f0040000000 rw-p 00000000 00:1b 17 /dev/shm/qh/ram-node0", nil),
            ("7f0000000000-7f0040000000 rw-s 00001000 00:1b 17 /dev/shm/qh/ram-node0", nil),
            ("7f0000000000-7f0040000000 rw-s 00000000 00:00 0", nil),
            ("7f0000000000-7f0040000000 rw-s 00000000 00:00 0 anon_inode:kvm-vcpu:0", nil),
            ("7f0040000000-7f0000000000 rw-s 00000000 00:1b 17 /dev/shm/qh/ram-node0", nil),
            ("7f0000000000 rw-s 00000000 00:1b 17 /dev/shm/qh/ram-node0", nil),
            ("x-y rw-s 00000000 00:1b 17 /dev/shm/qh/ram-node0", nil),
            ("7f0000000000-7f0040000000 rw-s 00000000 00:1b inode /dev/shm/qh/ram-node0", nil), ("", nil), (" ", nil),
        ] as [(Substring, String?)]) func readsALineOfMaps(line: Substring, path: String?)
    {
        let parsed = SharedMapping.parse(line)
        #expect(parsed?.mapping == path.map { SharedMapping(path: FilePath($0), byteCount: 1 << 30) })
        #expect(parsed?.inode == path.map { _ in 17 })
    }

    /// A process's own mapping, as long as the file is the one that was mapped.
    @Test func findsWhatIsMapped() throws {
        let folder = try TemporaryFolder()
        let path = FilePath(try folder.write([UInt8](repeating: 0, count: 8192), to: "ram node0"))
        let file = try MappedFile(path, byteCount: 8192)
        func mappings() -> [SharedMapping] {
            SharedMapping.all(of: getpid()).filter { $0.path.lastComponent == "ram node0" }
        }
        #expect(mappings().map(\.byteCount) == [8192])
        _ = try folder.write([UInt8](repeating: 1, count: 8192), to: "another")
        try FileManager.default.removeItem(atPath: path.string)
        try FileManager.default.moveItem(atPath: folder.path("another"), toPath: path.string)
        #expect(mappings() == [])
        withExtendedLifetime(file) {}
    }

    @Test func aProcessThatIsGoneHasNone() {
        #expect(SharedMapping.all(of: .max) == [])
    }
}
