// SPDX-License-Identifier: Apache-2.0

import Foundation
import Libvirt
import Plans
import RunRecord
import SystemPackage
import Verification

/// Takes the steps of a run, and leaves a complete record and nothing else behind, whichever way it ends.
struct Runner {
    /// What the steps were made from.
    let plan: Plan
    let steps: [any RunStep]
    let configuration: GuestConfiguration
    let connection: ConnectionTarget
    let patience: Patience
    let progress: Progress
    /// Leaves the guest running.
    let keepsGuest: Bool
    /// The witnesses that may leave something unsaid.
    var allowedUnsaid: [Witness] = []

    /// What a run came to.
    struct Report {
        let results: RunResults
        let information: RunInformation
        let directory: URL
        let exitCode: Int32
    }

    /// Runs the steps. Throws only when there can be no record; everything else is in the report.
    ///
    /// When the task is cancelled the step under way ends early, and the outcome is `interrupted`.
    func run(
        record: RunDirectory, root: EmbeddedRoot, interrupts: Interrupts, commandLine: [String]
    ) async throws -> Report {
        var information = RunInformation(
            run: record.name, startedAt: Date(), commandLine: commandLine,
            versions: .init(harness: QemuHarness.version),
            guest: .init(
                kernelPath: configuration.kernel.path, initramfsPath: configuration.initramfs.path,
                cpu: configuration.cpu.rawValue, cpuCount: configuration.cpuCount,
                bootMemoryByteCount: configuration.bootMemoryByteCount,
                maximumMemoryByteCount: configuration.maximumMemoryByteCount,
                kernelCommandLine: configuration.kernelCommandLine))
        try record.write(information)
        try record.write(plan: plan.yaml())

        var results: [StepResult] = []
        var failure: (any Error)?
        do {
            try LibvirtRuntime.start(logFile: FilePath(record.libvirtLog.path))
            let libvirt = try await connection.open(root: root)
            information.versions.libvirt = "\(try Connection.libraryVersion())"
            try record.write(information)
            var context = RunContext(
                root: root, connection: libvirt, emulatorOwner: try await connection.emulatorOwner(libvirt),
                record: record, patience: patience, information: information)
            do {
                try await take(&results, in: &context)
            } catch {
                failure = await context.machine?.explained(error) ?? error
            }
            information = context.information
            await end(context.machine)
            if let count = await context.machine?.leftOutConsoleByteCount, count > 0 {
                information.leftOutConsoleByteCount = count
            }
        } catch {
            failure = error
        }
        return finish(
            record: record, information: information, results: results, failure: failure, interrupts: interrupts)
    }

    private func take(_ results: inout [StepResult], in context: inout RunContext) async throws {
        for (index, step) in steps.enumerated() {
            try Task.checkCancellation()
            var result = StepResult(number: index + 1, title: step.title, seconds: 0, outcome: .passed)
            try context.record.append("step.started", ["step": "\(result.number)", "title": step.title])
            progress.begin(result)
            let start = ContinuousClock.now
            do {
                try await step.perform(in: &context, result: &result)
            } catch {
                result.seconds = start.duration(to: .now).inSeconds
                result.outcome = error is CancellationError ? .interrupted : .error
                results.append(result)
                progress.end(result, information: context.information)
                // If this cannot be recorded, then nothing can, which finish() will say.
                try? note(result, in: context.record)
                throw error
            }
            result.seconds = start.duration(to: .now).inSeconds
            results.append(result)
            if result.expectedFindings == nil { context.previous = result }
            progress.end(result, information: context.information)
            try note(result, in: context.record)
        }
    }

    private func note(_ result: StepResult, in record: RunDirectory) throws {
        try record.append(
            "step.ended",
            [
                "step": "\(result.number)", "title": result.title, "outcome": result.outcome.rawValue,
                "findings": "\(result.allFindings.count)",
            ])
        try record.log("\(result.number) \(result.title): \(result.outcome.rawValue)")
        for finding in result.allFindings { try record.log("  \(finding.name): \(finding.message)") }
    }

    /// Ends the guest even when the run was cancelled.
    private func end(_ machine: GuestMachine?) async {
        guard let machine else { return }
        if keepsGuest {
            await Task { try? await machine.domain.resume() }.value
            return
        }
        await Task { await machine.destroy() }.value
    }

    /// Completes the record, as far as it can be written: a report follows also from a record that cannot.
    private func finish(
        record: RunDirectory, information: RunInformation, results: [StepResult], failure: (any Error)?,
        interrupts: Interrupts
    ) -> Report {
        let report = report(
            record: record, information: information, results: results, failure: failure, interrupts: interrupts)
        guard let problem = write(report, to: record), failure == nil else { return report }
        let incomplete = self.report(
            record: record, information: information, results: results, failure: problem, interrupts: interrupts)
        _ = write(incomplete, to: record)
        return incomplete
    }

    private func report(
        record: RunDirectory, information: RunInformation, results: [StepResult], failure: (any Error)?,
        interrupts: Interrupts
    ) -> Report {
        let outcome = Self.outcome(
            results, allowing: allowedUnsaid, failure: failure, wasInterrupted: interrupts.signal != nil)
        let message = failure.flatMap { outcome == .interrupted ? nil : "\($0)" }
        let exitCode = Self.exitCode(outcome, interrupts)
        var information = information
        information.finishedAt = Date()
        information.outcome = outcome
        information.exitCode = exitCode
        information.error = message
        information.leftOutEventCount = record.leftOutEventCount > 0 ? record.leftOutEventCount : nil
        return Report(
            results: RunResults(
                run: record.name, outcome: outcome, error: message, steps: results, allowedUnsaid: allowedUnsaid),
            information: information, directory: record.url, exitCode: exitCode)
    }

    /// Writes each file by itself, and returns the first error.
    private func write(_ report: Report, to record: RunDirectory) -> (any Error)? {
        let parts: [() throws -> Void] = [
            { try record.write(report.results) },
            { try report.results.error.map { try record.log("error: \($0)") } },
            { try Self.noteLimits(report.information, in: record) },
            { try record.append("run.ended", ["outcome": report.results.outcome.rawValue]) },
            // The guest has ended by now, unless it is kept: then its console goes on.
            {
                var information = report.information
                information.digests = try record.digests(isConsoleComplete: !keepsGuest)
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

    /// Says what the record does not hold, because a guest had more to say than there is room for.
    private static func noteLimits(_ information: RunInformation, in record: RunDirectory) throws {
        if let count = information.leftOutEventCount {
            try record.append("events.left-out", ["events": "\(count)"])
            try record.log("\(RunDirectory.eventsName) is full: \(count) events of the guest's were left out")
        }
        if let count = information.leftOutConsoleByteCount {
            try record.append("console.left-out", ["bytes": "\(count)"])
            try record.log("console.log was full: about \(count) bytes of it were left out")
        }
    }

    /// What a run's steps, and the error that ended it, come to.
    static func outcome(
        _ results: [StepResult], allowing allowed: [Witness] = [], failure: (any Error)?, wasInterrupted: Bool
    ) -> Outcome {
        // Whatever fails after a signal fails because of it.
        if failure != nil, wasInterrupted || failure is CancellationError { return .interrupted }
        // What was found stays found, also when the run could not go on.
        let outcome = RunResults.outcome(of: results, allowing: allowed)
        return failure != nil && outcome != .failed ? .error : outcome
    }

    /// The process's exit code for an outcome.
    private static func exitCode(_ outcome: Outcome, _ interrupts: Interrupts) -> Int32 {
        switch outcome {
        case .passed: ExitStatus.passed
        case .failed: ExitStatus.failed
        case .error: ExitStatus.infrastructure
        case .incomplete: ExitStatus.incomplete
        case .interrupted: interrupts.exitCode
        }
    }
}

extension Duration {
    /// In seconds, rounded to microseconds.
    var inSeconds: Double {
        let (seconds, attoseconds) = components
        return Double(seconds) + (Double(attoseconds) / 1e12).rounded() / 1e6
    }
}
