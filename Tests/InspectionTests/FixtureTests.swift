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

/// Reduced dumps of real guests, against what the host has read in those guests' RAM.
@Suite struct FixtureTests {
    private let folder: TemporaryFolder

    init() throws { folder = try TemporaryFolder() }

    private static func inspection(_ fixture: Fixture) throws -> Inspection {
        try Inspection(of: DumpMemory(FilePath(fixture.dump.path)))
    }

    /// Every entry in its order and its place, every section, every translation.
    @Test(arguments: Fixture.all) func readsWhatTheHostReadInGuestRAM(fixture: Fixture) throws {
        let expected = try fixture.expected()
        #expect(expected.outcome == "passed")
        #expect(expected.entries.count == expected.verdict.entryCount)
        #expect(expected.sections.count == expected.verdict.sectionCount)
        #expect(expected.verdict.coveredSectionCount == expected.verdict.sectionCount)
        #expect((expected.verdict.account == .list) == fixture.hasList)
        let report = InspectionReport(
            inspection: try Self.inspection(fixture), path: fixture.name, listsEntries: true,
            translated: expected.translations.map(\.address))
        let facts = try JSONDecoder().decode(InspectionFacts.self, from: Data(report.json().utf8))
        #expect(facts.kernel == expected.kernel)
        #expect(facts.outcome == expected.outcome)
        #expect(facts.verdict == expected.verdict)
        // Those were read before flags and sub-sections were.
        #expect(
            facts.sections.map {
                PresentSection(number: $0.number, vmemmapBase: $0.vmemmapBase, isOnline: $0.isOnline)
            } == expected.sections)
        #expect(facts.sections.allSatisfy { $0.flags != nil })
        #expect(facts.entries == expected.entries)
        #expect(facts.translations == expected.translations)
    }

    /// Both ends of each section, the last window, and two addresses behind everything.
    @Test(arguments: Fixture.all) func translationsAreOfEachSection(fixture: Fixture) throws {
        let expected = try fixture.expected()
        let ends = expected.sections.flatMap { [$0.number << 24, ($0.number + 1) << 24 - 1] }
        #expect(expected.translations.prefix(ends.count).map(\.address) == ends)
        #expect(expected.translations.count == ends.count + 3)
        for translation in expected.translations.prefix(ends.count) {
            #expect(translation.frame == translation.address / expected.kernel.pageByteCount)
            #expect(translation.phys != nil)
        }
        #expect(expected.translations.dropFirst(ends.count).prefix(2).allSatisfy { $0.phys == nil })
        let last = try #require(expected.translations.last)
        #expect(last.address == expected.entries.last?.virtAddr)
        #expect(last.phys?.wrappedValue == expected.entries.last?.phys)
    }

    @Test func expectationsAreOfTheSchema() async throws {
        let documents = try Fixture.all.map { try Data(contentsOf: Fixture.file("\($0.name)/expected.json")) }
        let refusals = try await JSONSchema("inspection").refusals(of: Data(documents.joined(separator: Data([0x0a]))))
        #expect(refusals == Fixture.all.map { _ in nil })
    }

    /// The files are those that were made together.
    @Test func digestsAreTheFiles() throws {
        let lines = try String(contentsOf: Fixture.file("SHA256SUMS"), encoding: .utf8).split(separator: "\n")
        var names: Set<String> = []
        for line in lines {
            let name = String(line.dropFirst(66))
            names.insert(name)
            #expect(try RecordFile.digest(of: Fixture.file(name)) == String(line.prefix(64)), "\(name)")
        }
        for fixture in Fixture.all {
            for file in ["dump.elf", "expected.json", "made.txt", "plan.yaml"] {
                #expect(names.contains("\(fixture.name)/\(file)"))
            }
        }
        #expect(Set(names.map { $0.prefix { $0 != "/" } }) == Set(Fixture.all.map { $0.name[...] }))
    }

    /// What was reduced once has nothing more to lose.
    @Test(arguments: Fixture.all) func reducesToTheSame(fixture: Fixture) throws {
        let file = folder.path("again.elf")
        let dump = try DumpMemory(FilePath(fixture.dump.path))
        let first = try Inspection(of: dump, reducingTo: FilePath(file))
        #expect(try Data(contentsOf: URL(filePath: file)) == Data(contentsOf: fixture.dump))
        #expect(try Inspection(of: DumpMemory(FilePath(file))).snapshot == first.snapshot)
        // It is no file that is there already.
        #expect(throws: Errno.fileExists) { try Inspection(of: dump, reducingTo: FilePath(file)) }
    }

    /// Pages of each of the machine's sections, there and back.
    @Test(arguments: Fixture.all) func translatesBothWays(fixture: Fixture) throws {
        let snapshot = try Self.inspection(fixture).snapshot
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
