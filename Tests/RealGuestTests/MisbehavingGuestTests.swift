// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc
import Libvirt
import RunFixture
import RunRecord
import Testing
import Verification

@testable import Guests
@testable import Runs
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
            /// Whether the error shows that the guest came as far as its own program.
            var consoleIsShown = true
            var testDescription: String { mode }
        }

        /// Whether the guest has come to its own program by then is of no account: it says nothing.
        @Test func silence() async throws {
            var timeouts = Timeouts(factor: 4)
            timeouts.boot = .seconds(4)
            try await expectErrors(
                Case(
                    mode: "silent", errors: ["the agent has not said hello within 4.0 seconds"], consoleIsShown: false),
                [], timeouts: timeouts)
        }

        private static let nonsense = [
            Case(
                mode: "garbage",
                errors: [
                    "the agent speaks protocol 2", "2 lines on the control channel made no sense, the last is '??'",
                ]),
            Case(mode: "chatter", errors: ["the guest has written more than 262144 bytes to the control channel"]),
            Case(
                mode: "odd-page",
                errors: ["the agent's hello says page=0xffffffffffffffff; it is 0x10000"]),
            Case(
                mode: "trouble", errors: ["the agent cannot work in this guest: it has no everything"],
                events: ["0 trouble missing=everything"]),
            Case(
                mode: "overlong",
                errors: [
                    "the agent speaks protocol 2",
                    "1 line on the control channel made no sense, each longer than 2048 bytes",
                ]),
            Case(mode: "noise", errors: ["the guest has written more than 262144 bytes to the control channel"]),
            Case(mode: "no-page", errors: ["the agent's hello has no number 'page'"]),
            Case(mode: "odd-mmu", errors: ["the agent's hello names no known MMU"]),
            Case(mode: "protocol", errors: ["the agent speaks protocol 2, this program 1"]),
        ]

        @Test(arguments: RealGuest.cases(nonsense, everyTime: 1))
        func nonsenseInsteadOfAHello(_ misbehaviour: Case) async throws {
            try await expectErrors(misbehaviour, [])
        }

        /// One answers nothing, so that its time does not matter, the other one answers the first request.
        @Test(.long, arguments: [("deaf", "sync", 3), ("half", "report", 20)])
        func silenceInTheMiddle(mode: String, request: String, seconds: Int) async throws {
            var timeouts = Timeouts(factor: 4)
            timeouts.answer = .seconds(seconds)
            try await expectErrors(
                Case(mode: mode, errors: ["the agent has not answered '\(request)' within \(seconds).0 seconds"]),
                [VerifyStep()], timeouts: timeouts)
        }

        private static let losses = [
            Case(
                mode: "unasked",
                errors: [
                    "the guest has started anew", "2 lines on the control channel made no sense",
                    "the last is '18446744073709551615 ok'",
                ],
                events: ["0 trouble unreadable-line=0x3"]),
            Case(
                mode: "exits",
                errors: [
                    "the guest's kernel has panicked (",
                    "Kernel panic - not syncing: Attempted to kill init! exitcode=0x00000100",
                ], consoleIsShown: false),
            Case(mode: "power-off", errors: ["qemu has ended with exit code 0, which this program has not asked for"]),
            Case(mode: "refuses", errors: ["the agent cannot do 'sync': no-mood"]),
            Case(
                mode: "again", errors: ["the guest has started anew: its agent said hello a second time"],
                events: ["0 hello protocol=0x1"]),
            Case(mode: "late-chatter", errors: ["the guest has written more than 262144 bytes"]),
            Case(mode: "reboots", errors: ["qemu has ended with exit code 0, which this program has not asked for"]),
        ]

        @Test(arguments: RealGuest.cases(losses, everyTime: 1))
        func lossInTheMiddle(_ misbehaviour: Case) async throws {
            try await expectErrors(misbehaviour, [VerifyStep()])
        }

        /// A guest that does something else than to switch itself off when it is asked to: whatever ends QEMU with code 0 is
        /// no power-off yet.
        private static let otherEndings = [
            Case(mode: "reboots", errors: ["the guest has not switched itself off: qemu says 'guest-reset'"]),
            Case(
                mode: "exits",
                errors: ["the guest's kernel has panicked (", "Attempted to kill init! exitcode=0x00000100"],
                consoleIsShown: false),
        ]

        @Test(arguments: RealGuest.cases(otherEndings, everyTime: 1))
        func lossAtPowerOff(_ misbehaviour: Case) async throws {
            try await expectErrors(misbehaviour, [PowerOffStep()])
        }

        /// The guest is asked, and QEMU dies of something else.
        @Test(.long) func qemuCrashesAtPowerOff() async throws {
            let crash = Case(mode: "deaf", errors: ["qemu was ended by signal 11 as the guest was switched off"])
            try await expectErrors(crash, [CrashingPowerOffStep()])
        }

        /// A guest that answers everything, and has done nothing of it, is no good guest: those are findings.
        @Test func lies() async throws {
            let run = try await Lab.run(try Self.configuration("lies"), [VerifyStep(), PowerOffStep()])
            #expect(run.report.results.error == nil)
            #expect(run.report.exitCode == 1)
            let names = Set(run.report.results.steps.flatMap(\.allFindings).map(\.name))
            #expect(names == ["mirror-header", "mirror-missing-entry", "report-unreadable"])
        }

        /// A guest that prints without end fills no disk, and its console's first and last lines are in the record.
        @Test(.long) func printsWithoutEnd() async throws {
            var guest = try Self.configuration("prints")
            guest.consoleByteLimit = 64 << 10
            let run = try await Lab.run(
                guest, [FullConsole(limit: guest.consoleByteLimit), VerifyStep(), PowerOffStep()])
            #expect(run.report.results.error == nil)
            // It lies besides.
            #expect(run.report.exitCode == 1)
            #expect(try #require(run.report.information.leftOutConsoleByteCount) > guest.consoleByteLimit / 2)
            #expect(run.events.contains("console.left-out"))
        }

        /// The words of a panic are found behind a console that was full before.
        @Test func panicsWithAFullConsole() async throws {
            var guest = try Self.configuration("exits")
            guest.consoleByteLimit = 16 << 10
            let run = try await Lab.run(guest, [VerifyStep()])
            #expect(try #require(run.report.information.leftOutConsoleByteCount) > 0)
            let text = [run.report.results.error ?? ""] + run.report.results.steps.flatMap(\.allFindings).map(\.message)
            #expect(text.contains { $0.contains("Attempted to kill init! exitcode=0x00000100") }, "\(text)")
        }

        static func configuration(_ mode: String) throws -> GuestConfiguration {
            let region = try Lab.configuration(bootMemoryByteCount: 512 << 20, plugs: []).sharedRegionByteCount
            return try Lab.configuration(
                bootMemoryByteCount: 512 << 20, plugs: [], initramfs: "misbehave-ppc64le.cpio.gz",
                append: "misbehave=\(mode) region=0x\(String(region, radix: 16))")
        }

        private func expectErrors(
            _ misbehaviour: Case, _ steps: [any RunStep], timeouts: Timeouts = Timeouts(factor: 4)
        ) async throws {
            let run = try await Lab.run(try Self.configuration(misbehaviour.mode), steps, timeouts: timeouts)
            #expect(run.report.results.outcome == .error)
            #expect(run.report.exitCode == 2)
            let error = try #require(run.report.results.error)
            for text in misbehaviour.errors { #expect(error.contains(text), "\(error)") }
            for text in misbehaviour.events { #expect(run.events.contains(text), "\(run.events)") }
            if misbehaviour.consoleIsShown {
                #expect(error.contains("this guest misbehaves: \(misbehaviour.mode)"), "\(error)")
            }
            // What was taken before the loss is in the results.
            #expect(run.report.results.steps.count == 1 + steps.count)
            #expect(run.report.results.steps.last?.outcome == .error)
        }
    }
}

/// Waits until the console was shortened, and lines came behind that.
private struct FullConsole: RunStep {
    let limit: Int

    var title: String { "wait for a full console" }

    func perform(in context: inout RunContext, result: inout StepResult) async throws {
        let file = context.record.consoleLog
        let text = try await waitUntil(within: context.timeouts.plug) { () async throws -> String? in
            let text = String(decoding: try Data(contentsOf: file), as: UTF8.self)
            let parts = text.components(separatedBy: "bytes of the console were left out here]\n")
            return parts.count == 2 && parts[1].contains("this guest prints line ") ? text : nil
        }
        let console = try #require(text)
        #expect(console.contains("Linux version"))
        // What a guest prints between two looks comes on top.
        #expect(console.utf8.count < limit + 32 << 20)
    }
}

/// Has QEMU die while it waits for the guest's power-off.
private struct CrashingPowerOffStep: RunStep {
    let title = "power off, and QEMU crashes"

    func perform(in context: inout RunContext, result: inout StepResult) async throws {
        let qemu = try #require(try qemuProcesses(of: [context.host.id.description]).first)
        #expect(kill(qemu, SIGSEGV) == 0)
        try await PowerOffStep().perform(in: &context, result: &result)
    }
}
