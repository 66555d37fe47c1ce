// SPDX-License-Identifier: Apache-2.0

import Foundation
import GuestMemory
import Inspection
import MemoryBackends
import RunRecord
import SystemPackage
import TestSupport
import Testing
import Verification

@testable import OfflineCommands

/// Files that are no dumps, or not whole ones: an error or a finding each, and never an end without a word.
@Suite struct HostileDumpTests {
    private let folder: TemporaryFolder
    private let dump: [UInt8]

    init() throws {
        folder = try TemporaryFolder()
        dump = try Fixture.bytes("6.1-hash-64k/dump.elf")
    }

    /// What comes of a file: the names of findings, or the error.
    private func inspected(_ bytes: [UInt8], base: UInt64? = nil) throws -> (findings: [String], error: String?) {
        let file = FilePath(try folder.write(bytes, to: "dump"))
        do {
            let inspection = try Inspection(of: DumpMemory(file, base: base.map(PhysicalAddress.init)))
            let isSound = inspection.verdict.findings.isEmpty && inspection.isWhole
            #expect((inspection.outcome == .passed) == isSound)
            return (inspection.verdict.findings.map(\.name) + (inspection.isWhole ? [] : ["not whole"]), nil)
        } catch {
            return ([], "\(error)")
        }
    }

    @Test func aDumpThatEndsEarlyIsTold() throws {
        for step in 0..<40 {
            let (findings, error) = try inspected(Array(dump.prefix(dump.count * step / 40)))
            #expect(error != nil || findings.contains("not whole"), "\(step)")
        }
        #expect(try inspected(dump) == ([], nil))
    }

    /// Each piece of memory left out in turn: what the dump lacks is told as that, and as no damage.
    @Test(arguments: Fixture.all)
    func whatIsLackingIsNoDamage(fixture: Fixture) throws {
        let dump = try Fixture.bytes("\(fixture.name)/dump.elf")
        let header = try ELFHeader(dump)
        var lackCount = 0
        for index in 1..<header.programHeaders.count {
            var bytes = dump
            // PT_NULL.
            let type = Int(header.programHeaders.offset) + index * ELFProgramHeader.byteCount
            bytes.replaceSubrange(type..<type + 4, with: [0, 0, 0, 0])
            let (findings, error) = try inspected(bytes)
            #expect(Set(findings).isSubset(of: ["vmcore-not-in-dump", "not whole"]), "\(index): \(findings)")
            if error != nil || !findings.isEmpty { lackCount += 1 }
        }
        #expect(lackCount == header.programHeaders.count - 1)
    }

    /// Headers, note, sections, list: each byte is read by somebody.
    @Test func aDumpWithOtherBytesEnds() throws {
        var generator = SystemRandomNumberGenerator()
        for position in stride(from: 0, to: 0x4000, by: 61) {
            var bytes = dump
            bytes[position] ^= UInt8.random(in: 1...255, using: &generator)
            _ = try inspected(bytes)
        }
    }

    @Test func whatIsNoDumpIsRefused() throws {
        var x86 = dump
        x86[18] = 62
        var executable = dump
        executable[16] = 2
        var generator = SystemRandomNumberGenerator()
        let noise = (0..<100_000).map { _ in UInt8.random(in: 0...255, using: &generator) }
        let cases: [([UInt8], UInt64?, String)] = [
            ([], nil, "it begins neither"), ([0x7f, 0x45, 0x4c], nil, "it begins neither"),
            ([UInt8](repeating: 0, count: 1 << 16), nil, "it begins neither"), (noise, nil, "it begins neither"),
            (x86, nil, "e_machine 62"), (executable, nil, "e_type is 2"),
            (noise, 0, "no VMCOREINFO note"), ([UInt8](repeating: 0, count: 1 << 20), 1 << 30, "no VMCOREINFO note"),
            ([1], .max, "memory ends at"), ([], 0, "memory ends at"),
        ]
        for (bytes, base, words) in cases {
            let (findings, error) = try inspected(bytes, base: base)
            #expect(findings == [])
            #expect(error?.contains(words) == true, "\(error ?? "nothing") is to contain '\(words)'")
        }
    }

    /// Program headers that promise more than any file has, or show the same bytes again and again.
    @Test(arguments: [
        (8192, UInt64(1) << 51, UInt64(1) << 40, "not whole"), (65534, 1 << 51, .max, "not whole"),
        (2, 1 << 51, 1 << 40, "not whole"), (65534, 4096, 0, "its PT_LOADs have more bytes than the file"),
        (1, .max, 0, "memory ends at"),
    ])
    func headersThatPromiseTooMuchEnd(count: Int, byteCount: UInt64, fileOffset: UInt64, words: String) throws {
        func number(_ number: UInt64, _ byteCount: Int) -> [UInt8] {
            (0..<byteCount).map { UInt8(truncatingIfNeeded: number >> (8 * UInt64($0))) }
        }
        var header = Array(dump.prefix(64))
        header.replaceSubrange(56..<58, with: number(UInt64(count), 2))
        let load = number(1, 8) + [fileOffset, 0, 0, byteCount, byteCount, 0].flatMap { number($0, 8) }
        let (_, error) = try inspected(header + (0..<count).flatMap { _ in load })
        // Where all of the memory stands behind the file's end there is no note either.
        let expected = words == "not whole" ? "no VMCOREINFO note" : words
        #expect(error?.contains(expected) == true, "\(error ?? "nothing")")
    }

    @Test func whatIsNoFileIsRefused() throws {
        let fifo = folder.path("fifo")
        #expect(mkfifo(fifo, 0o600) == 0)
        for path in [fifo, folder.url.path, "/dev/null"] {
            #expect(throws: DumpFileProblem.notRegular) { try DumpMemory(FilePath(path)) }
        }
        #expect(throws: Errno.noSuchFileOrDirectory) { try DumpMemory(FilePath(folder.path("none"))) }
    }

    /// What was there when the headers were read, and is not when the memory is.
    @Test func aFileThatShrinksIsAnError() throws {
        let path = try folder.write(dump, to: "dump")
        let memory = try DumpMemory(FilePath(path))
        #expect(truncate(path, 0x1000) == 0)
        #expect(throws: InspectionProblem.self) { try Inspection(of: memory) }
    }

    /// A dump that lacks what would say which MMU the kernel has: its empty list is right on radix since 6.6, and not on hash.
    @Test func anEmptyListOfAnUnknownKernelIsUnsaid() throws {
        var kernel = SampleKernel()
        kernel.words[0x20_0000] = 0
        kernel.put(12, 4, at: 0x20_1000 + 2 * 96)
        kernel.lacking = [kernel.tables.root.rawValue]
        let inspection = try Inspection(of: DumpMemory(FilePath(folder.write(kernel.bytes, to: "dump"))))
        #expect(inspection.verdict.findings == [])
        #expect(
            inspection.verdict.unsaid.map(\.reason) == [
                "the list is empty, and nothing says whether this is a radix kernel, which may keep none"
            ])
        #expect(inspection.outcome == .incomplete)
        kernel.lacking = []
        #expect(try inspected(kernel.bytes).findings.first == "list-empty")
    }
}
