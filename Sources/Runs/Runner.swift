// SPDX-License-Identifier: Apache-2.0

package import Foundation
package import Guests
import HarnessBasics
import Libvirt
package import Plans
import RunFixture
package import RunRecord
import SystemPackage
package import Verification

/// Takes the steps of a run, and leaves a complete record and nothing else behind, whichever way it ends.
package struct Runner {
    /// What the steps were made from.
    let plan: Plan
    let steps: [any RunStep]
    let configuration: GuestConfiguration
    let timeouts: Timeouts
    /// Who is told what happens, beside the record.
    let observers: [any RunObserver]
    /// Leaves the guest running.
    let keepsGuest: Bool
    /// Keeps dumps in the record.
    let keepsDumps: Bool
    /// The witnesses that may leave something unsaid.
    let allowedUnsaid: [Witness]
    /// Takes no more steps behind the first one that found what no expectation right behind it excuses.
    let endsAtFailure: Bool

    /// Takes these steps, which were made from this plan, in a guest of this configuration; `observers` are told what
    /// happens, beside the record.
    package init(
        plan: Plan, steps: [any RunStep], configuration: GuestConfiguration, timeouts: Timeouts,
        observers: [any RunObserver], keepsGuest: Bool, keepsDumps: Bool = false, allowedUnsaid: [Witness] = [],
        endsAtFailure: Bool = false
    ) {
        self.plan = plan
        self.steps = steps
        self.configuration = configuration
        self.timeouts = timeouts
        self.observers = observers
        self.keepsGuest = keepsGuest
        self.keepsDumps = keepsDumps
        self.allowedUnsaid = allowedUnsaid
        self.endsAtFailure = endsAtFailure
    }

    /// What a run came to.
    package struct Report {
        package let results: RunResults
        package let information: RunInformation
        package let directory: URL
        package let exitCode: Int32
        /// Whether the guest runs on.
        package let isGuestKept: Bool
        /// What the run has left behind, in words; nil when it is nothing. No part of the verdict.
        package let leftover: String?
    }

    /// Runs the steps. Whatever goes wrong is in the report, and in the record as far as that can be written.
    ///
    /// When the task is cancelled the step under way ends early, and the outcome is `interrupted`.
    /// The fixture is opened once the record has begun, and removed, or kept with its guest, before the record ends.
    package func run(
        in host: any GuestHost, record: RunDirectory, interrupts: Interrupts, commandLine: [String]
    ) async -> Report {
        var ending = Ending(
            information: RunInformation(
                run: record.name, startedAt: Date(), commandLine: commandLine,
                versions: .init(harness: Program.version),
                guest: .init(
                    kernelPath: configuration.kernel.path, initramfsPath: configuration.initramfs.path,
                    cpu: configuration.cpu.rawValue, cpuCount: configuration.cpuCount,
                    bootMemoryByteCount: configuration.bootMemoryByteCount,
                    maximumMemoryByteCount: configuration.maximumMemoryByteCount,
                    kernelCommandLine: configuration.kernelCommandLine)))
        do {
            try record.write(ending.information)
            try record.write(plan: plan.yaml())
            interrupts.onSecondSignal { host.killGuests() }
            try await take(in: host, record: record, interrupts: interrupts, ending: &ending)
        } catch {
            ending.failure = error
        }
        await leave(host, record: record, ending: &ending)
        return finish(ending, record: record, interrupts: interrupts)
    }

    /// The record, and who else is told.
    private func events(of record: RunDirectory) -> RunEvents { RunEvents([record] + observers) }

    /// What a run has come to so far.
    private struct Ending {
        var information: RunInformation
        var results: [StepResult] = []
        var failure: (any Error)?
        var isGuestKept = false
        var leftover: String?
    }

    /// Opens the fixture, takes the steps, and ends the guest unless it is to be kept.
    private func take(
        in host: any GuestHost, record: RunDirectory, interrupts: Interrupts, ending: inout Ending
    ) async throws {
        try await host.open(libvirtLog: FilePath(record.libvirtLog.path))
        ending.information.versions.libvirt = try host.libvirtVersion()
        try record.write(ending.information)
        // What libvirt would refuse in the middle of the run is said before the guest boots.
        try await GuestTrial(configuration, steps: steps).perform(
            on: host, console: FilePath(record.consoleLog.path))
        var context = RunContext(
            host: host, record: record, events: events(of: record), timeouts: timeouts, interrupts: interrupts,
            keepsDumps: keepsDumps, information: ending.information)
        do {
            try await take(&ending.results, in: &context)
        } catch {
            ending.failure = await context.guest?.ending.explained(error) ?? error
        }
        ending.information = context.information
        guard let guest = context.guest else { return }
        ending.isGuestKept = await end(guest)
        let count = guest.ending.leftOutConsoleByteCount
        if count > 0 { ending.information.leftOutConsoleByteCount = count }
    }

    /// Removes what the run has left outside of its record, or says why that cannot be: it takes nothing from the verdict.
    private func leave(_ host: any GuestHost, record: RunDirectory, ending: inout Ending) async {
        if ending.isGuestKept {
            do {
                return try host.keep()
            } catch {
                ending.leftover = "the next run will end the guest that runs on: \(error)"
            }
        } else {
            let failures = await host.remove().failures
            if failures.isEmpty { return }
            let reasons = failures.map { "\($0.error)" }.joined(separator: "; ")
            ending.leftover = "cannot remove all that the run has left: \(reasons)"
        }
        // A record that cannot be written any more is found out when it is completed.
        if let leftover = ending.leftover { try? record.log(leftover) }
    }

    private func take(_ results: inout [StepResult], in context: inout RunContext) async throws {
        var hasPanicked = false
        for (index, step) in steps.enumerated() {
            try Task.checkCancellation()
            // Nothing but an expectation can follow, and nothing else has to; a dump says itself that it is not taken.
            if hasPanicked, !(step is ExpectStep), !(step is DumpStep) {
                let rest = steps[index...].filter {
                    !($0 is ExpectStep) && !($0 is DumpStep) && !($0 is PowerOffStep)
                }
                guard let first = rest.first else { return }
                throw HarnessError.infrastructure("\(rest.count) steps were not taken, from '\(first.title)' on")
            }
            var result = StepResult(number: index + 1, title: step.title, seconds: 0, outcome: .passed)
            try context.events.note(.stepStarted(number: result.number, title: result.title))
            let start = ContinuousClock.now
            do {
                try await step.perform(in: &context, result: &result)
                // An expectation is about the step before it.
                if result.expectedFindings == nil, let (faults, note) = try await context.guest?.observer.takeFaults() {
                    try result.note(faults, telling: context.events)
                    if let note { result.note = result.note.map { "\($0); \(note)" } ?? note }
                }
            } catch {
                let faults = await context.guest?.observer.takeLastFaults(after: error) ?? []
                try? result.note(faults, telling: context.events)
                hasPanicked = faults.contains { $0.fault == .panic }
                guard hasPanicked else {
                    result.seconds = start.duration(to: .now).inSeconds
                    result.conclude(endedBy: EarlyEnding(error))
                    results.append(result)
                    // If this cannot be recorded, then nothing can, which finish() will say.
                    try? context.events.note(.stepEnded(result))
                    throw error
                }
            }
            result.seconds = start.duration(to: .now).inSeconds
            result.mirrorLag = await context.guest?.observer.takeMirrorLag()
            result.conclude()
            results.append(result)
            if result.expectedFindings == nil { context.previous = result }
            try context.events.note(.stepEnded(result))
            let rest = steps[(index + 1)...]
            if endsAtFailure, hasFailed(results, before: rest) {
                return try context.record.log("\(rest.count) steps were not taken behind the first failure")
            }
        }
    }

    /// Whether something was found that nothing which follows can excuse.
    private func hasFailed(_ results: [StepResult], before rest: ArraySlice<any RunStep>) -> Bool {
        guard !(rest.first is ExpectStep) else { return false }
        return Outcome.of(results) == .failed
    }

    /// Ends the guest even when the run was cancelled; or keeps it, where it is to be kept and lives.
    ///
    /// - Returns: Whether the guest runs on.
    private func end(_ guest: Guest) async -> Bool {
        guard keepsGuest, await guest.watch.end == nil else {
            await Task { await guest.ending.destroy() }.value
            return false
        }
        await Task { try? await guest.domain.resume() }.value
        return true
    }

    /// Completes the record, as far as it can be written: a report follows also from a record that cannot.
    private func finish(_ ending: Ending, record: RunDirectory, interrupts: Interrupts) -> Report {
        let report = report(ending, record: record, interrupts: interrupts)
        guard let problem = write(report, to: record), ending.failure == nil else { return report }
        var incomplete = ending
        incomplete.failure = problem
        let second = self.report(incomplete, record: record, interrupts: interrupts)
        _ = write(second, to: record)
        return second
    }

    private func report(_ ending: Ending, record: RunDirectory, interrupts: Interrupts) -> Report {
        let outcome = Outcome.of(
            ending.results, allowing: allowedUnsaid,
            endedBy: EarlyEnding(ending.failure, wasInterrupted: interrupts.signal != nil))
        let message = ending.failure.flatMap { outcome == .interrupted ? nil : "\($0)" }
        let exitCode = outcome.exitCode(isTerminated: interrupts.isTerminated)
        var information = ending.information
        information.finishedAt = Date()
        information.outcome = outcome
        information.exitCode = exitCode
        information.error = message
        information.leftOutEventCount = record.leftOutEventCount > 0 ? record.leftOutEventCount : nil
        return Report(
            results: RunResults(
                run: record.name, outcome: outcome, error: message, steps: ending.results,
                allowedUnsaid: allowedUnsaid),
            information: information, directory: record.url, exitCode: exitCode, isGuestKept: ending.isGuestKept,
            leftover: ending.leftover)
    }

    /// Writes each file by itself, and returns the first error.
    private func write(_ report: Report, to record: RunDirectory) -> (any Error)? {
        let events = events(of: record)
        let (results, information) = (report.results, report.information)
        let parts: [() throws -> Void] = [
            { try record.write(results) },
            // What the record does not hold, because a guest had more to say than there is room for.
            { try information.leftOutEventCount.map { try events.note(.eventsLeftOut(count: $0)) } },
            { try information.leftOutConsoleByteCount.map { try events.note(.consoleLeftOut(byteCount: $0)) } },
            { try events.note(.runEnded(results.outcome, error: results.error)) },
            // The guest has ended by now, unless it is kept: then its console goes on.
            {
                var information = information
                information.digests = try record.digests(isConsoleComplete: !report.isGuestKept)
                try record.write(information)
            },
        ]
        return parts.compactMap { part -> (any Error)? in
            do {
                try part()
                return nil
            } catch {
                return error
            }
        }.first
    }
}

extension Duration {
    /// In seconds, rounded to microseconds.
    package var inSeconds: Double {
        let (seconds, attoseconds) = components
        return Double(seconds) + (Double(attoseconds) / 1e12).rounded() / 1e6
    }
}
