// SPDX-License-Identifier: Apache-2.0

import Foundation
import GuestMemory
import HarnessBasics
import Inspection
import MemoryBackends
import RunRecord
import SystemPackage
import TestSupport
import Testing
import Verification

@testable import OfflineCommands

/// What `inspect` prints, of a sound dump and of one in which words were changed.
@Suite struct InspectionReportTests {
    private let folder: TemporaryFolder
    private let dump: [UInt8]

    init() throws {
        folder = try TemporaryFolder()
        dump = try Fixture.bytes("6.1-hash-64k/dump.elf")
    }

    private func report(
        _ bytes: [UInt8], listsEntries: Bool = false, translated: [UInt64] = []
    ) throws -> InspectionReport {
        let inspection = try Inspection(of: DumpMemory(FilePath(folder.write(bytes, to: "dump"))))
        return InspectionReport(
            inspection: inspection, path: "dump", listsEntries: listsEntries, translated: translated)
    }

    @Test func tellsAPerson() throws {
        let text = try report(dump, translated: [0x1_0000, 0xc00c_0000_0000_0040, 0xc00c_0000_4000_0000, 1 << 60]).text
        for words in [
            "Linux 6.1.0-50-powerpc64le, hash MMU (swapper_pg_dir), 64 KiB pages", "256 sections of 16 MiB, 256 online",
            "memory map: at 0xc00c000000000000, struct page of 64 bytes",
            "vmemmap_list: 64 entries in 1 node page, head 0xc00000007ff305e8",
            "0x10000: page frame 1, struct page at virt 0xc00c000000000040, phys 0x7ff40040;",
            "0xc00c000000000040: phys 0x7ff40040, the struct page of page frame 1;",
            "0xc00c000040000000: in the memory map, of page frame 16777216; nothing backs",
            "passed: 0 findings; 256 of 256 sections have a block behind each struct page", "not judged: ",
        ] {
            #expect(text.contains(words), "\(words) in \(text)")
        }
        #expect(text.split(separator: "\n").allSatisfy { $0.count <= 80 })
    }

    @Test func tellsAProgram() async throws {
        let translated: [UInt64] = [0x1_0000, 0xc00c_0000_0000_0040, 0xc00c_0000_4000_0000, 1 << 60, .max]
        let documents = try [
            report(dump).json(), report(dump, listsEntries: true, translated: translated).json(),
        ]
        let schema = JSONSchema("inspection")
        let text = documents.joined(separator: "\n")
        #expect(try await schema.refusals(of: Data(text.utf8)) == [nil, nil])
        let others = [
            text.replacing("\"passed\"", with: "\"good\""), text.replacing("\"mmuSource\"", with: "\"source of MMU\""),
        ]
        for other in others {
            #expect(try await !schema.refusals(of: Data(other.utf8)).contains(nil))
        }
    }

    /// Words of the kernel's memory, and the finding that comes of them.
    struct Damage: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let words: [(address: UInt64, value: UInt64)]
        let findings: Set<String>
    }

    private static let head: UInt64 = 0xc000_0000_7ff3_05e8
    private static let last: UInt64 = 0xc000_0000_7ff3_0000

    @Test(arguments: [
        Damage(testDescription: "a cycle", words: [(last, head)], findings: ["list-cycle"]),
        Damage(
            testDescription: "a link outside memory", words: [(last, 0xc000_0fff_0000_0000)],
            findings: ["list-link-outside-memory"]),
        Damage(
            testDescription: "a link to memory that the dump lacks", words: [(last, 0xc000_0000_5000_0000)],
            findings: ["vmcore-not-in-dump"]),
        Damage(
            testDescription: "a link to no node", words: [(last, head + 4)], findings: ["list-misplaced-node"]),
        Damage(
            testDescription: "a block of another's", words: [(head + 8, 0x7ff4_0000)], findings: ["list-overlap"]),
        Damage(
            testDescription: "a window of another's", words: [(head + 16, 0xc00c_0000_0000_0000)],
            findings: ["list-duplicate-virt", "list-coverage-hole"]),
        Damage(
            testDescription: "a node left out", words: [(head, head - 48)], findings: ["list-coverage-hole"]),
    ])
    func damageIsFound(damage: Damage) throws {
        var bytes = dump
        for (address, value) in damage.words {
            let place = try Self.offset(of: address - LinearMap.base, in: bytes)
            let offset = try #require(place)
            for index in 0..<8 { bytes[offset + index] = UInt8(truncatingIfNeeded: value >> (8 * UInt64(index))) }
        }
        let report = try report(bytes)
        #expect(Set(report.inspection.verdict.findings.map(\.name)) == damage.findings)
        #expect(report.inspection.outcome == .failed)
        for name in damage.findings { #expect(report.text.contains("  \(name): ")) }
        let first = try #require(report.inspection.verdict.findings.first)
        #expect(report.text.hasSuffix("\nmore:   qemu-harness explain \(first.name)\n"))
        #expect(report.text.split(separator: "\n").allSatisfy { $0.count <= 80 })
    }

    /// Where an ELF file holds a physical address.
    private static func offset(of phys: UInt64, in bytes: [UInt8]) throws -> Int? {
        let header = try ELFHeader(bytes)
        let table = Array(bytes[Int(header.programHeaders.offset)...].prefix(header.programHeaders.byteCount))
        return header.programHeaders(in: table).first {
            $0.type == ELFProgramHeader.loadType && phys >= $0.physAddr && phys - $0.physAddr < $0.fileByteCount
        }.map { Int($0.fileOffset + (phys - $0.physAddr)) }
    }
}
