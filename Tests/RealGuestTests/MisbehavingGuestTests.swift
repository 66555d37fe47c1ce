// SPDX-License-Identifier: Apache-2.0

import Foundation
import RunRecord
import Testing
import Verification

@testable import qemu_harness

extension RealGuest {
    /// Guests that do not do what the agent does (Guests/misbehave.c): each an infrastructure error of its own words.
    @Suite struct MisbehavingGuest {
        struct Case: Sendable, CustomTestStringConvertible {
            /// `misbehave=`.
            let mode: String
            /// What the error says; all of it.
            let errors: [String]
            /// What the events tell of it.
            var events: [String] = []
            var testDescription: String { mode }
        }

        /// Errors that come before a hello, or instead of one.
        @Test(arguments: [
            Case(mode: "silent", errors: ["the agent has not said hello within 8.0 seconds"]),
            Case(
                mode: "garbage",
                errors: ["the agent has not said hello", "2 lines on the control channel made no sense"]),
            Case(mode: "overlong", errors: ["the agent has not said hello", "1 line", "longer than 2048 bytes"]),
        ])
        func silenceInsteadOfAHello(_ misbehaviour: Case) async throws {
            // Longer than a boot takes here; on a slower machine the guest has said less by then, and no hello either.
            var patience = Patience(factor: 4)
            patience.boot = .seconds(8)
            try await expectErrors(misbehaviour, [], patience: patience, consoleIsShown: false)
        }

        @Test(arguments: [
            Case(mode: "chatter", errors: ["the guest has written more than 262144 bytes to the control channel"]),
            Case(mode: "noise", errors: ["the guest has written more than 262144 bytes to the control channel"]),
            Case(mode: "no-page", errors: ["the agent's hello has no number 'page'"]),
            Case(
                mode: "odd-page",
                errors: ["the agent's hello says page=0xffffffffffffffff; it is 0x10000"]),
            Case(mode: "odd-mmu", errors: ["the agent's hello names no known MMU"]),
            Case(mode: "protocol", errors: ["the agent speaks protocol 2, this program 1"]),
            Case(
                mode: "trouble", errors: ["the agent cannot work in this guest: it has no everything"],
                events: ["0 trouble missing=everything"]),
        ])
        func nonsenseInsteadOfAHello(_ misbehaviour: Case) async throws {
            try await expectErrors(misbehaviour, [])
        }

        @Test(arguments: [
            Case(mode: "deaf", errors: ["the agent has not answered 'sync' within 1.0 seconds"]),
            Case(mode: "half", errors: ["the agent has not answered 'report' within 1.0 seconds"]),
            Case(
                mode: "unasked",
                errors: [
                    "the agent has not answered 'sync'", "2 lines on the control channel made no sense",
                    "the last is '18446744073709551615 ok'",
                ],
                events: ["0 trouble unreadable-line=0x3"]),
        ])
        func silenceInTheMiddle(_ misbehaviour: Case) async throws {
            var patience = Patience(factor: 4)
            patience.answer = .seconds(1)
            try await expectErrors(misbehaviour, [VerifyStep()], patience: patience)
        }

        @Test(arguments: [
            Case(mode: "refuses", errors: ["the agent cannot do 'sync': no-mood"]),
            Case(
                mode: "again", errors: ["the guest has started anew: its agent said hello a second time"],
                events: ["0 hello protocol=0x1"]),
            Case(mode: "late-chatter", errors: ["the guest has written more than 262144 bytes"]),
            Case(
                mode: "exits",
                errors: [
                    "the guest's kernel has panicked (",
                    "Kernel panic - not syncing: Attempted to kill init! exitcode=0x00000100",
                ]),
            Case(mode: "power-off", errors: ["qemu has ended with exit code 0, which this program has not asked for"]),
            Case(mode: "reboots", errors: ["qemu has ended with exit code 0, which this program has not asked for"]),
        ])
        func lossInTheMiddle(_ misbehaviour: Case) async throws {
            try await expectErrors(misbehaviour, [VerifyStep()])
        }

        /// A guest that answers everything, and has done nothing of it, is no good guest: those are findings.
        @Test func lies() async throws {
            let run = try await Lab.run(try configuration("lies"), [VerifyStep(), PowerOffStep()])
            #expect(run.report.results.error == nil)
            #expect(run.report.exitCode == 1)
            let names = Set(run.report.results.steps.flatMap(\.allFindings).map(\.name))
            #expect(names == ["mirror-header", "mirror-missing-entry", "report-unreadable"])
        }

        private func configuration(_ mode: String) throws -> GuestConfiguration {
            let region = try Lab.configuration(bootMemoryByteCount: 512 << 20, plugs: []).sharedRegionByteCount
            return try Lab.configuration(
                bootMemoryByteCount: 512 << 20, plugs: [], initramfs: "misbehave-ppc64le.cpio.gz",
                append: "misbehave=\(mode) region=0x\(String(region, radix: 16))")
        }

        /// Every error ends with the last lines of the console, which tell that the guest came as far as its own program.
        private func expectErrors(
            _ misbehaviour: Case, _ steps: [any RunStep], patience: Patience = Patience(factor: 4),
            consoleIsShown: Bool = true
        ) async throws {
            let run = try await Lab.run(try configuration(misbehaviour.mode), steps, patience: patience)
            #expect(run.report.results.outcome == .error)
            #expect(run.report.exitCode == 2)
            let error = try #require(run.report.results.error)
            for text in misbehaviour.errors { #expect(error.contains(text), "\(error)") }
            for text in misbehaviour.events { #expect(run.events.contains(text), "\(run.events)") }
            if consoleIsShown {
                #expect(error.contains("this guest misbehaves: \(misbehaviour.mode)"), "\(error)")
            }
            // What was taken before the loss is in the results.
            #expect(run.report.results.steps.count == 1 + steps.count)
            #expect(run.report.results.steps.last?.outcome == .error)
        }
    }
}
