// SPDX-License-Identifier: Apache-2.0

import Foundation
import GuestMemory
import SystemPackage
import TestSupport
import Testing

@testable import MemoryBackends

/// Stamps tell pages of the same content apart, and leave no trace.
@Suite struct PageStampsTests {
    private static let pageCount = 8
    private let folder: TemporaryFolder
    private let memory: GuestRAM
    /// The bytes of its two files.
    private let bytes: [UInt8]

    init() throws {
        let folder = try TemporaryFolder()
        // Every page is like any other.
        let bytes = (0..<Self.pageCount * 4096).map { UInt8($0 % 4096 % 251) }
        func region(_ name: String, _ base: UInt64) throws -> GuestRAM.Region {
            let path = FilePath(try folder.write(bytes, to: name))
            return GuestRAM.Region(
                name: name, base: PhysicalAddress(base), file: try MappedFile(path, byteCount: UInt64(bytes.count)))
        }
        (self.folder, self.bytes) = (folder, bytes)
        memory = GuestRAM([try region("boot", 0), try region("ua-dimm1", 0x10_0000)])
    }

    private func content(_ region: Int) throws -> [UInt8] {
        try memory.bytes(at: memory.regions[region].base, byteCount: bytes.count)
    }

    /// A file of these pages, one after another, as they are in memory now.
    private func copy(of pages: [UInt64], _ change: (inout [UInt8]) -> Void = { _ in }) throws -> MappedWords {
        var copy = try pages.flatMap { try memory.bytes(at: PhysicalAddress($0), byteCount: 4096) }
        change(&copy)
        let path = FilePath(try folder.write(copy, to: "copy"))
        return try MappedFile(path, byteCount: UInt64(copy.count)).words
    }

    private func stamps(_ nonce: UInt64 = 0x1234_5678_9abc_def0) throws -> PageStamps {
        try PageStamps(on: [0x1000..<0x4000, 0x10_2000..<0x10_4000], in: memory, nonce: nonce)
    }

    @Test(arguments: [0, 1, .max, 0x1234_5678_9abc_def0] as [UInt64]) func tellPagesApart(nonce: UInt64) throws {
        let stamps = try stamps(nonce)
        let pages: [UInt64] = [0x1000, 0x2000, 0x3000, 0x10_2000, 0x10_3000]
        let words = try copy(of: pages)
        #expect(try stamps.origins(of: words, expected: pages) == pages.map { .page($0) })
        // The same, whatever was expected.
        #expect(
            try stamps.origins(of: words, expected: [0x2000, 0x1000, 0, .max, 0x10_2000]) == pages.map { .page($0) })
        #expect(pages.allSatisfy(stamps.isStamped))
        #expect([0, 0xfff, 0x1008, 0x4000, 0x10_1000, 0x10_4000, .max].allSatisfy { !stamps.isStamped($0) })
    }

    @Test func whatHasNoStampIsUnknown() throws {
        let stamps = try stamps()
        #expect(try stamps.origins(of: copy(of: [0, 0x4000]), expected: [0x1000, 0x2000]) == [.unknown, .unknown])
    }

    /// One byte is enough, wherever it stands.
    @Test(arguments: [0, 7, 2048, 4087]) func everyByteIsCompared(place: Int) throws {
        let stamps = try stamps()
        let words = try copy(of: [0x1000, 0x2000, 0x3000]) { $0[4096 + place] ^= 1 }
        #expect(
            try stamps.origins(of: words, expected: [0x1000, 0x2000, 0x3000])
                == [.page(0x1000), .otherBytes(0x2000), .page(0x3000)])
    }

    @Test func aShortCopyIsRefused() throws {
        let stamps = try stamps()
        #expect(throws: MemoryAccessError.self) {
            try stamps.origins(of: copy(of: [0x1000]), expected: [0x1000, 0x2000])
        }
    }

    @Test func everyWordIsPutBack() throws {
        do {
            let stamps = try stamps()
            #expect(try content(0) != bytes && content(1) != bytes)
            stamps.restore()
            #expect(try content(0) == bytes && content(1) == bytes)
            stamps.restore()
        }
        #expect(try content(0) == bytes && content(1) == bytes)
        do { _ = try stamps() }
        #expect(try content(0) == bytes && content(1) == bytes)
    }

    @Test func onlyTheLastWordOfAPageIsChanged() throws {
        let stamps = try stamps()
        let now = try content(0)
        let changed = Set(now.indices.filter { now[$0] != bytes[$0] }.map { $0 / 8 * 8 })
        #expect(changed.isSubset(of: [0x1ff8, 0x2ff8, 0x3ff8]) && changed.count == 3)
        stamps.restore()
    }

    /// Where one page cannot be stamped, none is.
    @Test func aFailureLeavesNothing() throws {
        #expect(throws: PageStampsProblem.outsideMemory(0x8000)) {
            try PageStamps(on: [0x1000..<0x9000], in: memory, nonce: 5)
        }
        #expect(try content(0) == bytes && content(1) == bytes)
    }

    /// A file that has taken the place of the guest's is left alone.
    @Test func anotherFileIsNotStamped() throws {
        let path = memory.regions[0].file.path
        try folder.write(bytes, to: "other")
        try #require(rename(folder.path("other"), path.string) == 0)
        #expect(throws: PageStampsProblem.otherFile(path)) { try stamps() }
        #expect(try content(0) == bytes)
        let other = try MappedFile(path, byteCount: UInt64(bytes.count))
        let region = GuestRAM.Region(name: "boot", base: PhysicalAddress(0), file: other)
        #expect(GuestRAM([region]).bytes(at: 0 as UInt64, byteCount: bytes.count) == bytes)
    }
}
