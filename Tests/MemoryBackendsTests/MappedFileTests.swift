// SPDX-License-Identifier: Apache-2.0

import Foundation
import GuestMemory
import MemoryBackends
import SystemPackage
import TestSupport
import Testing

@Suite struct MappedFileTests {
    private let folder: TemporaryFolder

    init() throws { folder = try TemporaryFolder() }

    /// A file with data in the given pieces of 64 KiB and holes elsewhere.
    private func sparse(byteCount: Int64, data: [Int64]) throws -> FilePath {
        let path = FilePath(folder.path("sparse"))
        let descriptor = try FileDescriptor.open(
            path, .readWrite, options: [.create, .exclusiveCreate], permissions: [.ownerReadWrite])
        try descriptor.closeAfter {
            try descriptor.resize(to: byteCount)
            for offset in data {
                try descriptor.writeAll(toAbsoluteOffset: offset, [UInt8](repeating: 0xa5, count: 65536))
            }
        }
        return path
    }

    @Test func showsTheFileAndItsLength() throws {
        let path = FilePath(try folder.write((0..<20).map { UInt8($0) }, to: "ram"))
        let file = try MappedFile(path, byteCount: 20)
        #expect(file.path == path)
        #expect(file.words.byteCount == 16)
        #expect(try file.words.load(at: 8) == UInt64(littleEndian: 0x0f0e_0d0c_0b0a_0908))
        #expect(throws: MemoryAccessError.unmapped(16)) { try file.words.load(at: 16) }
    }

    @Test func seesWhatAnotherMappingWrites() throws {
        let path = FilePath(try folder.write(Array(repeating: 0, count: 64), to: "ram"))
        let reader = try MappedFile(path, byteCount: 64)
        let writer = try MappedFile(path, byteCount: 64, isWritable: true)
        try writer.words.store(0x1122_3344, at: 56)
        #expect(try reader.words.load(at: 56) == 0x1122_3344)
    }

    @Test func refusesAFileThatIsTooShort() throws {
        let path = FilePath(try folder.write(Array(repeating: 0, count: 4095), to: "ram"))
        let error = MappedFileError.tooShort(path, byteCount: 4095, expected: 4096)
        #expect(throws: error) { try MappedFile(path, byteCount: 4096) }
        #expect("\(error)".hasSuffix("ram has 4095 bytes where 4096 are expected"))
        #expect(throws: MappedFileError.tooShort(path, byteCount: 4095, expected: .max)) {
            try MappedFile(path, byteCount: .max)
        }
        #expect(throws: MappedFileError.tooShort(path, byteCount: 4095, expected: 0)) {
            try MappedFile(path, byteCount: 0)
        }
    }

    @Test func refusesWhatIsNotThereAndWhatIsNoFile() throws {
        let missing = FilePath(folder.path("missing"))
        #expect(throws: MappedFileError.cannotOpen(missing, .noSuchFileOrDirectory)) {
            try MappedFile(missing, byteCount: 8)
        }
        #expect(throws: MappedFileError.self) { try MappedFile(FilePath(folder.url.path), byteCount: 8) }
    }

    @Test func followsNoSymbolicLink() throws {
        let target = try folder.write(Array(repeating: 0, count: 64), to: "ram")
        let link = FilePath(folder.path("link"))
        try FileManager.default.createSymbolicLink(atPath: link.string, withDestinationPath: target)
        #expect(throws: MappedFileError.cannotOpen(link, .tooManySymbolicLinkLevels)) {
            try MappedFile(link, byteCount: 64)
        }
    }

    @Test func findsDataBetweenHoles() throws {
        let path = try sparse(byteCount: 4 << 20, data: [1 << 20, 1 << 20 + 65536, 3 << 20])
        let file = try MappedFile(path, byteCount: 4 << 20)
        #expect(try file.dataExtents() == [1 << 20..<1 << 20 + 131072, 3 << 20..<3 << 20 + 65536])
    }

    @Test func findsNothingInAHole() throws {
        let file = try MappedFile(try sparse(byteCount: 1 << 20, data: []), byteCount: 1 << 20)
        #expect(try file.dataExtents() == [])
    }

    @Test func findsNothingBehindTheMemory() throws {
        let path = try sparse(byteCount: 4 << 20, data: [65536, 3 << 20])
        #expect(try MappedFile(path, byteCount: 100_000).dataExtents() == [65536..<100_000])
        #expect(try MappedFile(path, byteCount: 1 << 20).dataExtents() == [65536..<131072])
        #expect(try MappedFile(path, byteCount: 65536).dataExtents() == [])
    }
}
