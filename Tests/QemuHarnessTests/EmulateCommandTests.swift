// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Foundation
import HarnessBasics
import RunRecord
import TestSupport
import Testing
import Verification
import VmemmapPopulate

@testable import OfflineCommands

struct EmulateCommandTests {
    private func emulation(_ arguments: String) throws -> Emulation {
        try EmulateCommand.parse(arguments.split(separator: " ").map(String.init) + ["--progress", "none"]).emulate()
            .result
    }

    struct Example: Sendable {
        let arguments: String
        let entries: UInt64
        let pages: UInt64
        let freed: UInt64
    }

    @Test(arguments: [
        Example(arguments: "", entries: 16, pages: 1, freed: 0),
        Example(arguments: "--memory 1GiB --plug 1GiB", entries: 32, pages: 1, freed: 0),
        Example(arguments: "--plug 1GiB --unplug 1", entries: 16, pages: 1, freed: 16),
        Example(arguments: "--rules 2010 --plug 1GiB --unplug 1", entries: 32, pages: 1, freed: 0),
        Example(arguments: "--page-size 4KiB", entries: 4096, pages: 25, freed: 0),
        Example(arguments: "--page-size 4KiB --psize 16MiB --memory 4GiB", entries: 4, pages: 1, freed: 0),
        Example(arguments: "--mmu radix --rules radix-list --plug 3GiB@1GiB", entries: 2, pages: 1, freed: 0),
        Example(arguments: "--mmu radix --plug 1GiB@0x40000000", entries: 0, pages: 0, freed: 0),
        Example(arguments: "--plug 1GiB --plug 1GiB --unplug 2 --unplug 1", entries: 16, pages: 1, freed: 32),
    ])
    func counts(example: Example) throws {
        let emulation = try emulation(example.arguments)
        #expect(emulation.entries == example.entries)
        #expect(emulation.listPages == example.pages)
        #expect(emulation.freedNodes == example.freed)
        #expect(emulation.wasteBytes == emulation.listBytes - 24 * example.entries)
        #expect(emulation.failures.isEmpty)
    }

    @Test func aFault() throws {
        let emulation = try emulation("--plug 1GiB --unplug 1 --fail-at 34")
        #expect(
            emulation.failures == [
                "plug 1: no memory for the memory map (-ENOMEM)", "unplug 1: its plug failed",
            ])
        #expect(emulation.entries == 16)
    }

    /// What no kernel can have, with a word of the reason.
    @Test(
        arguments: [
            ("--memory 64TiB --page-size 4KiB", "ends at 61 TiB"),
            ("--memory 4PiB", "invalid"),
            ("--memory 2049TiB", "ends at 2048 TiB"),
            ("--memory 17TiB --rules 2010", "ends at 16 TiB"),
            ("--memory 100MiB", "sections of 16 MiB"),
            ("--memory 0KiB", "sections of 16 MiB"),
            ("--memory 512MiB --psize 16MiB", "1 GiB"),
            ("--page-size 16KiB", "only 4 KiB or 64 KiB"),
            ("--psize 2MiB", "they are 4 KiB or 64 KiB or 16 MiB"),
            ("--mmu radix --psize 16MiB", "they are 2 MiB"),
            ("--mmu radix --rules 2010", "those of the hash MMU"),
            ("--plug 100MiB", "memory blocks of 256 MiB"),
            ("--plug 1GiB@0x40000000 --plug 1GiB@0x60000000", "overlaps"),
            ("--plug 1GiB@0", "invalid"),
            ("--plug 1GiB@0KiB", "overlaps"),
            ("--plug 1GiB@0xffffffffffffffff", "does not fit"),
            ("--plug 1GiB@1@2", "invalid"),
            ("--unplug 1", "no plug of this number"),
            ("--unplug 0", "no plug of this number"),
            ("--unplug=-9223372036854775808", "no plug of this number"),
            ("--plug 1GiB --unplug=-9223372036854775808", "no plug of this number"),
            ("--plug 1GiB --unplug 9223372036854775807", "no plug of this number"),
            ("--memory 16777215TiB", "ends at 2048 TiB"),
            ("--memory 16777216TiB", "invalid"),
            ("--plug 16777215TiB", "does not fit"),
            ("--plug 8388608TiB@0x8000000000000000", "does not fit"),
            ("--plug 1GiB --unplug 1 --unplug 1", "is not there"),
        ] as [(String, String)])
    func refusals(arguments: String, reason: String) {
        do {
            _ = try emulation(arguments)
            Issue.record("\(arguments) was accepted")
        } catch let HarnessError.usage(message) {
            #expect(message.contains(reason))
        } catch {
            #expect(EmulateCommand.message(for: error).contains(reason) || reason == "invalid")
            #expect(EmulateCommand.exitCode(for: error).rawValue == 64)
        }
    }

    /// What `--write` writes is what `verify` finds nothing wrong with.
    @Test(arguments: [
        ("--memory 1GiB --plug 3GiB --plug 1GiB --unplug 1", 32),
        ("--page-size 4KiB --memory 1GiB --plug 1GiB --unplug 1", 4096),
        ("--psize 16MiB --memory 2GiB --plug 32GiB", 3),
        ("--psize 4KiB --memory 1GiB", 256),
        ("--mmu radix --rules radix-list --memory 512MiB --plug 4GiB", 3),
    ])
    func writesWhatVerifyReads(arguments: String, entryCount: Int) throws {
        let folder = try TemporaryFolder()
        let file = folder.url.appending(path: "emulated.json")
        let arguments = arguments.split(separator: " ").map(String.init)
        let command = try EmulateCommand.parse(arguments + ["--write", file.path, "--progress", "none", "--json"])
        let written = try #require(try command.emulate().snapshot)
        try RunDirectory.json(written).write(to: file)
        let snapshot = try JSONDecoder().decode(Snapshot.self, from: Data(contentsOf: file))
        #expect(snapshot == written)
        let verdict = try Verifier.verdict(on: snapshot)
        #expect(verdict.findings == [])
        #expect(verdict.hasPassed)
        #expect(verdict.entryCount == entryCount)
        #expect(verdict.coveredSectionCount == verdict.sectionCount)
        #expect(verdict.witnesses.first { $0.witness == .model }?.agreeingCount == entryCount)
    }

    /// What a kernel did not give up is still there, and still what its books say.
    @Test func aFailedUnplugChangesNothing() throws {
        let command = try EmulateCommand.parse([
            "--memory", "32MiB", "--plug", "32GiB", "--unplug", "1", "--write", "x", "--progress", "none",
        ])
        let (emulation, snapshot) = try command.emulate()
        #expect(emulation.failures == ["unplug 1: it holds the kernel's own data"])
        let verdict = try Verifier.verdict(on: #require(snapshot))
        #expect(verdict.findings == [])
        #expect(verdict.coveredSectionCount == 2050)
    }

    /// A kernel of 2010 keeps entries of memory that is gone: today's rules call them stale.
    @Test func theRulesOf2010LeaveStaleEntries() throws {
        let command = try EmulateCommand.parse(
            ["--rules", "2010", "--plug", "1GiB", "--unplug", "1", "--write", "x", "--progress", "none"])
        let verdict = try Verifier.verdict(on: #require(try command.emulate().snapshot))
        #expect(Set(verdict.findings.map(\.name)) == ["list-stale-entry", "model-missing-entry"])
        #expect(verdict.findings.count == 32)
    }

    @Test func aSnapshotHasItsLimit() throws {
        let command = try EmulateCommand.parse(
            ["--memory", "1TiB", "--page-size", "4KiB", "--write", "x", "--progress", "none"])
        #expect {
            _ = try command.emulate()
        } throws: { error in
            "\(error)".contains("at most 1048576 entries and sections; here are 4194304 and 65536")
        }
    }

    /// Words at the edges of what a command line can say; memory that there may be is small, so that each is quick.
    private static func words(_ generator: inout SeededGenerator) -> [String] {
        func pick(_ words: [String]) -> String { words.randomElement(using: &generator) ?? "" }
        func size() -> String {
            pick([
                "0KiB", "1KiB", "16MiB", "256MiB", "512MiB", "1GiB", "4PiB", "4096TiB", "8388607TiB", "16777215TiB",
                "18014398509481983KiB", "18446744073709551615KiB", "2199023255552GiB", "-1GiB",
            ])
        }
        func word() -> String {
            let shifted = UInt64(1) << (generator.next() % 64)
            let number = [0, .max, shifted, shifted &- 1, 0 &- shifted, generator.next()].randomElement(
                using: &generator)
            return String(number ?? 0, radix: 16)
        }
        func number() -> String {
            pick(["0", "1", "2", "3", "-1", "\(Int.min)", "\(Int.max)", "\(UInt64.max)", "-\(UInt64.max)"])
        }
        return (0...generator.next() % 6).flatMap { _ -> [String] in
            switch generator.next() % 9 {
            case 0: ["--memory", size()]
            case 1: ["--page-size", pick(["4KiB", "64KiB", size()])]
            case 2: ["--psize", pick(["4KiB", "64KiB", "2MiB", "16MiB", size()])]
            case 3: ["--mmu", pick(["hash", "radix"])]
            case 4: ["--rules", pick(["2010", "hash", "radix-list", "radix-tables"])]
            case 5: ["--plug", "\(size())@0x\(word())"]
            case 6: ["--plug", pick([size(), "\(size())@\(size())"])]
            case 7: ["--unplug=\(number())"]
            default: ["--fail-at=\(number())"]
            }
        }
    }

    /// Whatever it is told, it gives a result or says what is wrong.
    @Test(arguments: [0x5eed_0011, 0x5eed_0012] as [UInt64])
    func noCommandLineEndsTheProgram(seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed)
        var (resultCount, refusalCount) = (0, 0)
        for _ in 0..<100 {
            let words = Self.words(&generator) + ["--write", "x", "--progress", "none"]
            do {
                let (result, snapshot) = try EmulateCommand.parse(words).emulate()
                #expect(result.text.isEmpty == false)
                _ = try Verifier.verdict(on: #require(snapshot))
                resultCount += 1
            } catch HarnessError.usage {
                refusalCount += 1
            } catch {
                #expect(EmulateCommand.exitCode(for: error).rawValue == 64, "\(words): \(error)")
                refusalCount += 1
            }
        }
        #expect(resultCount > 5)
        #expect(refusalCount > 30)
    }
}
