// SPDX-License-Identifier: Apache-2.0

import Foundation
import Libvirt
import RunRecord
import Subprocess
import Testing
import Verification

@testable import Guests
@testable import Runs
@testable import qemu_harness

extension RealGuest {
    /// Radix guests' page tables: beside a list, and as the kernel's only account.
    @Suite struct PageTables {
        /// Each way to spoil an entry, with what is found beside a list. The window is the first 2 GiB's, the only one.
        private static let damages: [(damage: TableDamage, findings: Set<String>)] = [
            (
                TableDamage("another block", level: 2) { $0 ^ 0x20_0000 },
                ["page-tables-wrong-phys", "mmu-contradiction"]
            ),
            (
                TableDamage("a block for users", level: 2) { $0 & ~8 },
                ["page-tables-attributes", "mmu-unmapped"]
            ),
            (TableDamage("no block", level: 2) { _ in 0 }, ["page-tables-missing-entry", "mmu-unmapped"]),
            (
                TableDamage("a table of 2^31 entries", level: 2) { _ in 0x8000_0000_0400_001f },
                ["page-tables-table-size", "page-tables-missing-entry", "mmu-unmapped"]
            ),
            (
                TableDamage("a misaligned table", level: 1) { $0 | 0x800 },
                ["page-tables-misaligned-table", "page-tables-missing-entry"]
            ),
            (
                TableDamage("a table outside memory", level: 1) { _ in 0x8000_0100_0000_0009 },
                ["page-tables-link-outside-memory", "page-tables-missing-entry", "mmu-unmapped"]
            ),
            (
                TableDamage("a leaf in the root", level: 0) { $0 | 0x4000_0000_0000_0000 },
                ["page-tables-wrong-level", "page-tables-missing-entry"]
            ),
        ]

        @Test(.long) func everyDamageBesideAListIsFound() async throws {
            let results = try await results(of: "6.1", Self.damages.map { TableDamageStep(damage: $0.damage) })
            for (damage, expected) in Self.damages {
                let step = try #require(results.steps.first { $0.title == damage.title })
                #expect(step.outcome == .failed, "\(damage.title)")
                let names = Set(step.allFindings.map(\.name))
                // What QEMU makes of a table that the architecture does not allow is its own affair.
                let isAllowed = expected.contains { $0.hasPrefix("mmu") }
                #expect(
                    (isAllowed ? names : names.filter { !$0.hasPrefix("mmu") }) == expected,
                    "\(damage.title): \(step.allFindings)")
                #expect(step.verdict?.account == .list)
            }
        }

        /// Without a list the page tables are what mirror, report and MMU are held against.
        @Test func everyDamageToTheOnlyAccountIsFound() async throws {
            let results = try await results(of: "6.12-64k", Self.damages.map { TableDamageStep(damage: $0.damage) })
            for (damage, expected) in Self.damages {
                let step = try #require(results.steps.first { $0.title == damage.title })
                #expect(step.outcome == .failed, "\(damage.title)")
                let names = Set(step.allFindings.map(\.name))
                #expect(step.verdict?.account == .pageTables)
                if damage.title == "a block for users" {
                    #expect(names.isSuperset(of: ["page-tables-attributes"]), "\(names)")
                } else if damage.title == "another block" {
                    #expect(names.isSuperset(of: ["report-wrong-phys", "mirror-wrong-phys"]), "\(names)")
                } else {
                    #expect(names.isSuperset(of: ["page-tables-coverage-hole", "report-extra-entry"]), "\(names)")
                    #expect(
                        names.isSuperset(of: expected.filter { $0.hasPrefix("page-tables") && !$0.hasSuffix("entry") }),
                        "\(names)")
                }
            }
        }

        /// Since 6.17 a populate in the middle of a PMD entry's part begins at the entry's start. Without a block for it the kernel
        /// makes base pages from there on, and no free of the memory takes those in front of it back.
        ///
        /// DIMMs in the middle of what 2 MiB describe take a block each, until there is none in one piece. Where that is between
        /// the last block and no memory at all is the guest's affair, so that it has several tries.
        @Test(.long) func pagesInFrontOfMemoryLeak() async throws {
            let environment = ProcessInfo.processInfo.environment
            let byteCount: UInt64 = 256 << 20
            let tries = (0..<5).flatMap { attempt -> [any RunStep] in
                let plugs: [any RunStep] = (0..<4).map {
                    PlugStep(byteCount: byteCount, base: UInt64(3 + 2 * (4 * attempt + $0)) << 30)
                }
                return [GuestStep(.leaveFree(byteCount: 8 << 20))] + plugs
                    + [GuestStep(.release), VerifyStep()] as [any RunStep]
            }
            let configuration = try Lab.configuration(
                cpu: .power9, plugs: Array(repeating: byteCount, count: 20),
                kernel: GuestImages.kernel(named: "7-64k", environment: environment),
                append: "kernelcore=256M memhp_default_state=online_movable sysctl.vm.watermark_boost_factor=0",
                maximumMemory: 64 << 30)
            let run = try await Lab.run(configuration, [VerifyStep()] + tries + [PowerOffStep()])
            #expect(run.report.results.error == nil)
            let names = Set(run.report.results.steps.compactMap(\.verdict).flatMap(\.findings).map(\.name))
            #expect(names == ["page-tables-leaked-entry"])
        }

        /// A guest with a hole in its memory lives well with a leaf too many, there or far behind the end of all memory; every
        /// witness that can see it tells.
        @Test(.long) func aLeafForNoMemoryIsFound() async throws {
            let leaves = [StaleLeafStep(described: 768 << 20, level: 2), StaleLeafStep(described: 3 << 40, level: 1)]
            let results = try await results(
                of: "6.12-4k", bootMemoryByteCount: 512 << 20, plugs: [256 << 20], leaves)
            let everywhere: Set = [
                "page-tables-stale-entry", "page-tables-overlap", "mirror-missing-entry", "model-missing-entry",
            ]
            // A leaf of 1 GiB has no place there, and no block is as large.
            let others: [Set<String>] = [[], ["page-tables-wrong-level", "page-tables-phys-outside-memory"]]
            for (leaf, others) in zip(leaves, others) {
                let step = try #require(results.steps.first { $0.title == leaf.title })
                #expect(Set(step.allFindings.map(\.name)) == everywhere.union(others), "\(step.allFindings)")
            }
        }

        @Test(.long, arguments: ["6.12-4k", "6.12-64k"]) func radixGuestWithoutAListTakesOneGiB(
            kernel: String
        ) async throws {
            let harness = try HarnessProcess()
            defer { harness.cleanUp() }
            let ending = try await harness.run(["--cpu", "POWER9", "--kernel", kernel])
            #expect(ending.status == .exited(0), "\(ending.errors)")
            let verdicts = try harness.results().steps.compactMap(\.verdict)
            #expect(verdicts.map(\.account) == [.pageTables, .pageTables])
            #expect(verdicts.map(\.coveredSectionCount) == [64, 128])
            // A block of 2 MiB describes 2 GiB of 64 KiB pages, or 128 MiB of 4 KiB pages.
            #expect(verdicts.map(\.entryCount) == (kernel == "6.12-64k" ? [1, 1] : [8, 16]))
            for verdict in verdicts {
                #expect(verdict.findings == [])
                for statement in verdict.witnesses where statement.witness != .kernelList {
                    #expect(statement.standing == .agrees, "\(statement)")
                    #expect(statement.agreeingCount == verdict.entryCount, "\(statement)")
                    #expect(statement.unsaidCount == 0, "\(statement)")
                }
                #expect(verdict.witnesses.first { $0.witness == .kernelList }?.standing == .cannotSay)
            }
            let words = ending.output.split(whereSeparator: \.isWhitespace).joined(separator: " ")
            #expect(words.contains("no list: its account is its page tables"))
            #expect(try harness.leftovers() == [])
        }

        /// A radix guest that is verified, plugged, verified, spoilt in each way, and whole again afterwards.
        private func results(
            of kernel: String, bootMemoryByteCount: UInt64 = 1 << 30, plugs: [UInt64] = [1 << 30],
            _ damages: [any RunStep]
        ) async throws -> RunResults {
            let environment = ProcessInfo.processInfo.environment
            let configuration = try Lab.configuration(
                cpu: .power9, bootMemoryByteCount: bootMemoryByteCount, plugs: plugs,
                kernel: GuestImages.kernel(named: kernel, environment: environment))
            let plug: [any RunStep] = plugs.map { PlugStep(byteCount: $0) }
            let run = try await Lab.run(
                configuration, [VerifyStep()] + plug + [VerifyStep()] + damages + [VerifyStep(), PowerOffStep()])
            #expect(run.report.results.error == nil)
            #expect(run.report.exitCode == 1)
            for step in run.report.results.steps where step.title == "verify" {
                #expect(step.verdict?.findings == [], "step \(step.number)")
                #expect(step.outcome == .passed)
            }
            return run.report.results
        }
    }
}
