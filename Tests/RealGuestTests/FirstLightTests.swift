// SPDX-License-Identifier: Apache-2.0

import Foundation
import GuestMemory
import RunRecord
import Subprocess
import TestSupport
import Testing
import Verification

extension RealGuest {
    /// The main job as a user runs it, on both MMUs.
    @Suite struct FirstLight {
        @Test func hashGuestTakesOneGiB() async throws {
            let harness = try HarnessProcess()
            defer { harness.cleanUp() }
            let ending = try await harness.run(["--json"])
            #expect(ending.status == .exited(0), "\(ending.errors)")

            let results = try JSONDecoder().decode(RunResults.self, from: Data(ending.output.utf8))
            #expect(results == (try harness.results()))
            #expect(results.outcome == .passed)
            let verdicts = results.steps.compactMap(\.verdict)
            #expect(verdicts.map(\.entryCount) == [16, 32])
            #expect(verdicts.map(\.coveredSectionCount) == [64, 128])
            #expect(verdicts.map(\.sectionCount) == [64, 128])
            try expectAllWitnessesAgree(verdicts)
            #expect(verdicts.last?.provenance == [.seeded: 16, .observed: 16])
            // Each block of the plugged GiB is new, at the 64 KiB windows behind the first GiB's, newest first.
            let virts = results.steps.last { $0.verdict != nil }?.newEntries?.map(\.virtAddr)
            let expected = (UInt64(16)..<32).reversed().map { 0xc00c_0000_0000_0000 + $0 << 16 }
            #expect(virts == expected)

            // The agent knows when the kernel's log had each block, and when the mirror had it.
            let lags = results.steps.compactMap(\.mirrorLag)
            #expect(lags.reduce(0) { $0 + $1.blockCount } == 16)

            let summary = try JSONDecoder().decode(Summary.self, from: Data(ending.output.utf8))
            #expect(summary.record == harness.record.resolvingSymlinksInPath().path)
            #expect(summary.information.versions == (try harness.information().versions))
            #expect(summary.information.versions.qemu?.isEmpty == false)

            let guest = try harness.information().guest
            #expect(guest.kernelRelease == summary.information.guest.kernelRelease)
            #expect(guest.mmu == "hash")
            #expect(guest.pageByteCount == 65536)
            #expect(guest.vmemmapPageByteCount == 65536)
            #expect(guest.eventSource == "dynamic debug on /dev/kmsg")
            // Why not a better one: this kernel lets nobody probe what it calls at boot too.
            let trials = try #require(guest.eventSourceTrials)
            #expect(trials.map(\.source) == ["kprobe events", "dynamic debug on /dev/kmsg"])
            #expect(trials.first?.refusals.contains("vmemmap_populate: Invalid argument") == true)
            #expect(trials.last?.refusals == [])
            try await expectRecordProvesItself(harness)
            #expect(try harness.leftovers() == [])
        }

        @Test(arguments: RealGuest.cases(["POWER9", "POWER10"], everyTime: 1))
        func radixGuestTakesFourGiB(cpu: String) async throws {
            let harness = try HarnessProcess()
            defer { harness.cleanUp() }
            let ending = try await harness.run(["--cpu", cpu, "--plug", "4GiB"])
            #expect(ending.status == .exited(0), "\(ending.errors)")

            let verdicts = try harness.results().steps.compactMap(\.verdict)
            #expect(verdicts.map(\.entryCount) == [1, 3])
            #expect(verdicts.map(\.coveredSectionCount) == [64, 320])
            try expectAllWitnessesAgree(verdicts)
            #expect(verdicts.last?.provenance == [.seeded: 1, .observed: 2])
            #expect(try harness.results().steps.compactMap(\.mirrorLag).reduce(0) { $0 + $1.blockCount } == 2)
            #expect(try harness.information().guest.vmemmapPageByteCount == 2 << 20)
            #expect(ending.output.contains("step 4 new: 0xc00c000000200000 to 0xc00c0000005fffff, 2 entries\n"))
            let words = ending.output.split(whereSeparator: \.isWhitespace).joined(separator: " ")
            #expect(
                words.contains(
                    " passed: 3 entries, 320 of 320 sections covered; mirror, kernel-list, page-tables, struct-pages, "
                        + "report, mmu, model agree record: "))
            #expect(ending.output.split(separator: "\n").allSatisfy { $0.count <= 80 || $0.hasPrefix("record: ") })
            try await expectRecordProvesItself(harness)
            #expect(try harness.leftovers() == [])
        }

        /// The first GiB of a radix guest's DIMM lies in the window that boot memory has populated: no new entry is
        /// right, and a small guest's device memory starts at 1 GiB, behind a hole.
        @Test func severalDIMMsBehindAHole() async throws {
            let harness = try HarnessProcess()
            defer { harness.cleanUp() }
            let ending = try await harness.run(
                ["--cpu", "POWER9", "--memory", "512MiB", "--plug", "256MiB", "--plug", "1GiB", "--vcpus", "2"])
            #expect(ending.status == .exited(0), "\(ending.errors)")
            let results = try harness.results()
            let verdicts = results.steps.compactMap(\.verdict)
            #expect(verdicts.map(\.entryCount) == [1, 1, 2])
            #expect(verdicts.map(\.sectionCount) == [32, 48, 112])
            try expectAllWitnessesAgree(verdicts)
            #expect(try harness.leftovers() == [])
        }

        /// What `--json` says beside the results.
        private struct Summary: Decodable {
            struct Information: Decodable {
                struct Guest: Decodable { let kernelRelease: String }
                let versions: RunInformation.Versions
                let guest: Guest
            }
            let record: String
            let information: Information
        }

        /// The record has the form that the schemas describe, and gives the same verdict with no guest.
        private func expectRecordProvesItself(_ harness: HarnessProcess) async throws {
            for (schema, documents) in try recordDocuments(harness.record.resolvingSymlinksInPath()) {
                let refusals = try await schema.refusals(of: documents)
                #expect(!refusals.isEmpty && refusals.allSatisfy { $0 == nil }, "\(refusals)")
            }
            let verify = try await HarnessProcess.start(["verify", "--json", harness.record.path])
            #expect(verify.status == .exited(0), "\(verify.errors)")
            #expect(try JSONDecoder().decode(RunResults.self, from: Data(verify.output.utf8)) == harness.results())
        }

        private func expectAllWitnessesAgree(_ verdicts: [Verdict]) throws {
            for verdict in verdicts {
                #expect(verdict.findings == [])
                let isRadix = verdict.witnesses.contains { $0.witness == .pageTables }
                #expect(
                    Set(verdict.witnesses.map(\.witness))
                        == Set(Witness.allCases).subtracting(
                            [.crashHeader, .vmcore, isRadix ? .hashTable : .pageTables]))
                for statement in verdict.witnesses {
                    #expect(statement.standing == .agrees, "\(statement)")
                    #expect(statement.agreeingCount == verdict.entryCount, "\(statement)")
                    #expect(statement.unsaidCount == 0, "\(statement)")
                }
            }
        }
    }
}
