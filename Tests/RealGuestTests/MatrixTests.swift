// SPDX-License-Identifier: Apache-2.0

import Foundation
import Guests
import RunRecord
import Subprocess
import Testing
import Verification

extension RealGuest {
    /// Kernels old and new on every MMU: 3 GiB come, go if the guest lets them, and come again.
    @Suite struct Matrix {
        struct Cell: Sendable, CustomTestStringConvertible {
            let kernel: String
            let cpu: String
            let mmu: String
            var append: String?
            /// Entries of the kernel's account at 1 and at 4 GiB.
            let entryCounts: [Int]

            var testDescription: String { "\(kernel), \(cpu), \(mmu)" }
        }

        private static func cells(of kernel: String, hash: [Int], radix: [Int]) -> [Cell] {
            [
                Cell(kernel: kernel, cpu: "POWER8", mmu: "hash", entryCounts: hash),
                Cell(kernel: kernel, cpu: "POWER9", mmu: "radix", entryCounts: radix),
                Cell(kernel: kernel, cpu: "POWER9", mmu: "hash", append: "disable_radix", entryCounts: hash),
                Cell(kernel: kernel, cpu: "POWER10", mmu: "radix", entryCounts: radix),
            ]
        }

        private static let all =
            cells(of: "6.1", hash: [16, 64], radix: [1, 2])
            + cells(of: "6.12-4k", hash: [4096, 16384], radix: [8, 32])
            + cells(of: "6.12-64k", hash: [16, 64], radix: [1, 2])

        /// What unstable has is fetched where it is to be had.
        private static let newest =
            cells(of: "7-4k", hash: [4096, 16384], radix: [8, 32]) + cells(of: "7-64k", hash: [16, 64], radix: [1, 2])

        @Test(.long, arguments: all) func cell(cell: Cell) async throws {
            try await Self.verify(cell)
        }

        @Test(
            .long,
            .enabled("needs scripts/guest-kernel 7-4k and 7-64k") {
                ["7-4k", "7-64k"].allSatisfy {
                    (try? GuestImages.kernel(named: $0, environment: ProcessInfo.processInfo.environment)) != nil
                }
            },
            arguments: newest)
        func cellOfTheNewestKernel(cell: Cell) async throws {
            try await Self.verify(cell)
        }

        private static func verify(_ cell: Cell) async throws {
            let harness = try HarnessProcess()
            defer { harness.cleanUp() }
            // A guest that refuses to give a DIMM up needs room for another.
            let append = cell.append.map { ", append: \($0)" } ?? ""
            let file = harness.runsDirectory.appending(path: "plan.yaml")
            try """
            description: A cell of the matrix.
            guest: {kernel: "\(cell.kernel)", cpu: \(cell.cpu), memory: 1GiB, maximum-memory: 7GiB, slots: 2\(append)}
            steps: [verify, plug: 3GiB, verify, unplug: last, verify, plug: 3GiB, verify]
            """.write(to: file, atomically: true, encoding: .utf8)
            let ending = try await harness.run([file.path, "--slowdown", "4"])
            #expect(ending.status == .exited(0), "\(ending.errors)\(ending.output.prefix(4000))")
            let guest = try harness.information().guest
            #expect(guest.mmu == cell.mmu)
            let steps = try harness.results().steps
            let verdicts = steps.compactMap(\.verdict)
            try #require(verdicts.count == 4)
            let unplug = try #require(steps.first { $0.title.hasPrefix("unplug") }?.note)
            // Either outcome is right; what it leaves has to be.
            let isGone = unplug == "removed"
            let counts = cell.entryCounts
            #expect(verdicts.prefix(3).map(\.entryCount) == [counts[0], counts[1], isGone ? counts[0] : counts[1]])
            #expect(verdicts.prefix(3).map(\.sectionCount) == [64, 256, isGone ? 64 : 256])
            #expect(verdicts[3].sectionCount == (isGone ? 256 : 448))
            for verdict in verdicts {
                #expect(verdict.findings == [])
                #expect(verdict.coveredSectionCount == verdict.sectionCount)
                for statement in verdict.witnesses {
                    // A list that the kernel does not keep, and page tables that it does not have, cannot speak.
                    let isOther =
                        verdict.account == .pageTables
                        ? statement.witness == .kernelList : statement.witness == .pageTables && cell.mmu == "hash"
                    #expect(isOther || statement.standing == .agrees, "\(statement)")
                    #expect(isOther || statement.agreeingCount == verdict.entryCount, "\(statement)")
                }
            }
            let row = [
                cell.kernel, cell.cpu + (cell.append.map { " \($0)" } ?? ""), cell.mmu,
                verdicts[0].account == .list ? "list" : "page tables",
                verdicts.map { "\($0.entryCount)" }.joined(separator: " → "), isGone ? "removed" : "refused",
                "\(verdicts[3].coveredSectionCount) of \(verdicts[3].sectionCount)",
                (guest.eventSource ?? "").components(separatedBy: " on ")[0],
            ]
            print("matrix: | " + row.joined(separator: " | ") + " |")
        }
    }
}
