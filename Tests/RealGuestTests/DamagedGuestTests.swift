// SPDX-License-Identifier: Apache-2.0

import Detection
import GuestMemory
import KernelState
import RunRecord
import Testing
import Verification

@testable import Guests
@testable import Runs
@testable import qemu_harness

extension RealGuest {
    /// Guests whose lists are spoiled after a good start: the run has to find it, and the guest has to live on.
    @Suite struct DamagedGuest {
        /// One guest takes every kind of damage to the kernel's list, and is whole again after each.
        @Test func everyDamageToTheKernelsListIsFound() async throws {
            try await expectFindings(
                .kernel, before: [ListDamage.length], after: ListDamage.all, \.kernelFindings)
        }

        /// Another one the same to its mirror, which the agent trusts no more than the host does.
        @Test func everyDamageToTheMirrorIsFound() async throws {
            try await expectFindings(
                .mirror, before: [], after: ListDamage.all + [.ring, .header], \.mirrorFindings)
        }

        /// Spoils a letter of the VMCOREINFO note of a running guest, verifies, and puts it back.
        private struct NoteDamageStep: RunStep {
            var title: String { "a damaged note" }

            func perform(in context: inout RunContext, result: inout StepResult) async throws {
                let guest = try context.runningGuest()
                let note = try await guest.runningKernel().kernel.note
                let address = try #require(note.addresses.first).rawValue
                #expect(note.addresses.count == 1)
                let memory = try WritableMemory(await guest.memory.ram)
                let place = WritableMemory.Place.ram(address + 64)
                try memory.store(memory.stored(at: place) ^ 1, at: place)
                let outcome: Result<Void, any Error>
                do {
                    outcome = .success(try await VerifyStep().perform(in: &context, result: &result))
                } catch {
                    outcome = .failure(error)
                }
                try memory.undo()
                try outcome.get()
            }
        }

        @Test func aDamagedNoteIsFound() async throws {
            let run = try await Lab.run(
                try Lab.configuration(bootMemoryByteCount: 512 << 20),
                [VerifyStep(), NoteDamageStep(), VerifyStep(), PowerOffStep()])
            #expect(run.report.results.error == nil)
            #expect(
                run.report.results.steps.compactMap(\.verdict).map { $0.findings.map(\.name) } == [
                    [], ["guest-note"], [],
                ])
        }

        /// One guest takes every kind of damage to what its kernel has written of its memory, and is whole again after each.
        @Test func everyDamageToSectionsAndStructPagesIsFound() async throws {
            let run = try await Lab.run(
                try Lab.configuration(bootMemoryByteCount: 512 << 20),
                [VerifyStep(looksAtAllStructPages: true)] + MemoryDamage.all.map(MemoryDamageStep.init) + [
                    VerifyStep(), PowerOffStep(),
                ])
            #expect(run.report.results.error == nil)
            for damage in MemoryDamage.all {
                let step = try #require(run.report.results.steps.first { $0.title == damage.title })
                #expect(Set(step.allFindings.map(\.name)) == damage.findings, "\(damage.title): \(step.allFindings)")
            }
            for step in run.report.results.steps where step.title.hasPrefix("verify") {
                #expect(step.verdict?.findings == [], "step \(step.number)")
                #expect(step.verdict?.witnesses.first { $0.witness == .structPages }?.agreeingCount == 8)
            }
        }

        /// Spoils the list of a guest of 512 MiB before and after a plug of 256 MiB.
        private func expectFindings(
            _ target: DamageStep.Target, before: [ListDamage], after: [ListDamage],
            _ findings: KeyPath<ListDamage, Set<String>>
        ) async throws {
            func steps(_ damages: [ListDamage]) -> [any RunStep] {
                damages.map { DamageStep(target: target, damage: $0) }
            }
            let plug: [any RunStep] = [PlugStep(byteCount: 256 << 20), VerifyStep()]
            let run = try await Lab.run(
                try Lab.configuration(bootMemoryByteCount: 512 << 20, plugs: [256 << 20]),
                [VerifyStep()] + steps(before) + plug + steps(after) + [VerifyStep(), PowerOffStep()])

            #expect(run.report.results.error == nil)
            #expect(run.report.results.outcome == .failed)
            #expect(run.report.exitCode == 1)
            for damage in before + after {
                let step = try #require(run.report.results.steps.first { $0.title == damage.title })
                #expect(step.outcome == .failed, "\(damage.title)")
                let names = Set(step.allFindings.map(\.name))
                if damage.title == ListDamage.length.title {
                    // The made-up nodes are wrong in every way there is; what counts is that the walk ends.
                    #expect(names.isSuperset(of: damage[keyPath: findings]), "\(names)")
                    #expect(step.verdict?.entryCount == (512 << 20) >> 18 + 1)
                } else {
                    #expect(names == damage[keyPath: findings], "\(damage.title): \(step.allFindings)")
                }
            }
            for step in run.report.results.steps where step.title == "verify" {
                #expect(step.verdict?.findings == [], "step \(step.number)")
                #expect(step.outcome == .passed)
            }
        }
    }
}
