// SPDX-License-Identifier: Apache-2.0

import Foundation
import HarnessBasics
import Inspection
import MemoryBackends
import SystemPackage
import TestSupport
import Testing
import Verification

@testable import OfflineCommands
@testable import RunRecord

/// Reduced dumps of real guests, against what was read in those guests' memory before they crashed.
@Suite struct FixtureTests {
    private let folder: TemporaryFolder

    init() throws { folder = try TemporaryFolder() }

    /// What the host has read in guest RAM.
    private struct Expected: Decodable {
        let kernel: KernelFacts
        let account: KernelAccount
        let sectionCount: Int
        let entryCount: Int
        let first: String
        let last: String
        let csvSHA256: String
    }

    private static let names = ["6.1-hash-64k", "6.1-radix-64k", "6.12-hash-4k"]

    private static func inspection(_ name: String) throws -> Inspection {
        try Inspection(of: DumpMemory(FilePath(Fixture.file(name + ".elf").path)))
    }

    @Test(arguments: names) func readsWhatTheLiveGuestHad(name: String) throws {
        let all = try JSONDecoder().decode(
            [String: Expected].self, from: Data(contentsOf: Fixture.file("expected.json")))
        let expected = try #require(all[name])
        let inspection = try Self.inspection(name)
        #expect(inspection.snapshot.kernel == expected.kernel)
        #expect(inspection.verdict.account == expected.account)
        #expect(inspection.verdict.findings == [])
        #expect(inspection.verdict.unsaid.isEmpty)
        #expect(inspection.verdict.sectionCount == expected.sectionCount)
        #expect(inspection.verdict.coveredSectionCount == expected.sectionCount)
        #expect(inspection.outcome == .passed)
        let report = InspectionReport(inspection: inspection, path: name, listsEntries: true, translated: [])
        let lines = report.csv.split(separator: "\n").map(String.init)
        #expect(lines.count == expected.entryCount + 1)
        #expect(lines[1] == expected.first)
        #expect(lines.last == expected.last)
        let file = URL(filePath: try folder.write(Array(report.csv.utf8), to: "entries.csv"))
        #expect(try RecordFile.digest(of: file) == expected.csvSHA256)
    }

    /// What was reduced once has nothing more to lose.
    @Test(arguments: names) func reducesToTheSame(name: String) throws {
        let file = folder.path("again.elf")
        let dump = try DumpMemory(FilePath(Fixture.file(name + ".elf").path))
        let first = try Inspection(of: dump, reducingTo: FilePath(file))
        #expect(try Data(contentsOf: URL(filePath: file)) == Data(contentsOf: Fixture.file(name + ".elf")))
        #expect(try Inspection(of: DumpMemory(FilePath(file))).snapshot == first.snapshot)
        // It is no file that is there already.
        #expect(throws: Errno.fileExists) { try Inspection(of: dump, reducingTo: FilePath(file)) }
    }

    /// Pages of each of the machine's sections, there and back.
    @Test(arguments: names) func translatesBothWays(name: String) throws {
        let snapshot = try Self.inspection(name).snapshot
        let index = TranslationIndex(snapshot)
        let kernel = snapshot.kernel
        for section in snapshot.sections {
            for page in stride(
                from: section.number << 24, to: (section.number + 1) << 24, by: 1 << 19)
            {
                let location = try #require(index.location(ofPageAt: page + 17))
                #expect(location.frame == page / kernel.pageByteCount)
                let backing = try #require(location.backing)
                // A linear search says the same.
                #expect(index.window(of: location.structPage) == backing.window)
                #expect(backing.window.addresses?.contains(location.structPage) == true)
                #expect(backing.phys - backing.window.phys == location.structPage - backing.window.virtAddr)
                #expect(
                    index.frame(describedAt: location.structPage + kernel.structPageByteCount - 1) == location.frame)
            }
        }
        #expect(index.window(of: kernel.vmemmapBase - 1) == nil)
        #expect(index.frame(describedAt: kernel.vmemmapBase - 1) == nil)
        #expect(index.location(ofPageAt: .max)?.backing == nil)
    }
}
