// SPDX-License-Identifier: Apache-2.0

package import Exploration
import Foundation
import HarnessBasics
package import Plans
package import RunRecord
import Verification

/// Takes one history after another, and makes those that fail smaller.
package struct Soak {
    /// How long it goes on, and what it keeps.
    package struct Bounds: Sendable {
        /// The number of the first history.
        package var first: Int
        /// How many histories are taken; as many as there is time for if nil.
        package var historyCount: Int?
        /// The time in which histories begin; until it is interrupted if nil.
        package var duration: Duration?
        /// How many plans are tried to make a history smaller.
        package var shrinkTryLimit: Int
        /// Keeps the records of histories in which everything is right.
        package var keepsClean: Bool

        /// Collects bounds.
        package init(
            first: Int = 1, historyCount: Int? = nil, duration: Duration? = nil, shrinkTryLimit: Int,
            keepsClean: Bool = false
        ) {
            self.first = first
            self.historyCount = historyCount
            self.duration = duration
            self.shrinkTryLimit = shrinkTryLimit
            self.keepsClean = keepsClean
        }
    }

    /// Takes a plan as `run` does, its record to have this in its name, and tells the observer; throws where it does not come
    /// to a run. A run that ends at its failure takes no step behind the first that found what nobody excused.
    package typealias Take =
        @Sendable (
            Plan, _ name: String, _ endsAtFailure: Bool, any RunObserver
        ) async throws -> Runner.Report

    let generator: HistoryGenerator
    let bounds: Bounds
    let journal: SoakJournal
    let observer: any SoakObserver
    let take: Take

    /// A soak of these histories, within these bounds.
    package init(
        _ generator: HistoryGenerator, bounds: Bounds, journal: SoakJournal, observer: any SoakObserver,
        take: @escaping Take
    ) {
        self.generator = generator
        self.bounds = bounds
        self.journal = journal
        self.observer = observer
        self.take = take
    }

    /// So many histories in a row whose guests never came up are the machine's fault.
    private static let unbootedLimit = 3
    /// So many plans at most are tried of a history whose guest was lost: each may take until the time for an answer is up.
    private static let lostTryLimit = 12

    /// Takes histories until it is through, or the task is cancelled. Whatever goes wrong is in what is returned.
    ///
    /// `options` are those that make the same histories, beside seed and numbers: what goes on is told with them.
    package func run(commandLine: [String], options: [String] = []) async -> SoakSummary {
        var summary = SoakSummary(seed: generator.seed, first: bounds.first, options: options)
        do {
            try journal.note(.started(summary, commandLine: commandLine))
            try await takeHistories(&summary)
        } catch {
            summary.error = "\(error)"
        }
        summary.outcome = summary.outcome(wasInterrupted: Task.isCancelled)
        do {
            try journal.note(.ended(summary))
        } catch {
            summary.error = summary.error ?? "\(error)"
        }
        return summary
    }

    private func takeHistories(_ summary: inout SoakSummary) async throws {
        let deadline = bounds.duration.map { ContinuousClock.now + $0 }
        var unbootedCount = 0
        // The same failure of the same guest is shown by one plan.
        var known: Set<Known> = []
        while !Task.isCancelled, summary.historyCount < bounds.historyCount ?? .max {
            if let deadline, ContinuousClock.now >= deadline { return }
            let number = summary.next
            let subject = generator.subject(of: number)
            let plan = generator.plan(number: number)
            observer.observe(.historyStarted(number: number, subject))
            var (history, report) = await taken(plan, number)
            // What was interrupted is taken again by who goes on, unless it has failed by then.
            if history.outcome == .interrupted {
                guard !history.findings.isEmpty else {
                    if let report { try RunDirectory.discard(report.directory) }
                    return
                }
                history.outcome = .failed
            }
            summary.add(history)
            if let report, history.outcome == .passed, !bounds.keepsClean {
                try RunDirectory.discard(report.directory)
                history.record = nil
                summary.droppedRecordCount += 1
            }
            // Whoever watches is told of it all the same where the journal cannot be written any more.
            let noted = Result { try journal.note(.historyEnded(history, goingOn: summary.goingOn)) }
            observer.observe(.historyEnded(history, summary))
            try noted.get()

            let failure = report.flatMap { Failure($0.results) }
            if let report, let failure, !Task.isCancelled,
                known.insert(Known(failure: failure, subject: subject)).inserted
            {
                try await shrink(plan, number, failure, report)
            }
            unbootedCount = history.outcome == .error && failure == nil ? unbootedCount + 1 : 0
            guard unbootedCount < Self.unbootedLimit else {
                throw HarnessError.infrastructure(
                    "\(unbootedCount) guests in a row did not come up: \(history.error ?? "nothing says why")")
            }
        }
    }

    /// A failure of a guest that was made small.
    private struct Known: Hashable {
        let failure: Failure
        let subject: Subject
    }

    /// Takes a history, and says what it came to.
    private func taken(_ plan: Plan, _ number: Int) async -> (SoakHistory, Runner.Report?) {
        let subject = generator.subject(of: number)
        var history = SoakHistory(
            number: number, kernel: subject.kernel, cpu: subject.cpu, outcome: .error, seconds: 0)
        let start = ContinuousClock.now
        let tally = RunTally(telling: observer)
        let report: Runner.Report
        do {
            report = try await take(plan, "\(number)", true, tally)
        } catch {
            history.error = "\(error)"
            history.outcome = error is CancellationError ? .interrupted : .error
            history.seconds = start.duration(to: .now).inSeconds
            return (history, nil)
        }
        let (count, results) = (tally.count, report.results)
        history.outcome = results.outcome
        history.error = results.error
        history.verificationCount = count.verificationCount
        history.entryCount = count.entryCount
        history.refusals = count.refusals
        history.record = report.directory.path
        if let first = results.failures.first {
            history.findings = Set(first.findings.map(\.name)).sorted()
            history.failedStep = results.steps.first { $0.number == first.step }?.title
        }
        history.seconds = start.duration(to: .now).inSeconds
        return (history, report)
    }

    /// Makes a history that failed smaller, and leaves the smallest plan in its record, and a record of its run beside that.
    private func shrink(_ plan: Plan, _ number: Int, _ failure: Failure, _ report: Runner.Report) async throws {
        // The run's first step boots the guest.
        let failedStep = report.results.failures.first.map { $0.step - 1 } ?? report.results.steps.count - 1
        // A guest is lost by the machine's troubles more often than by a plan: what does not come again at once is not followed.
        var shrinker =
            failure == .lost
            ? Shrinker(
                plan, failedStep: failedStep, tryLimit: min(bounds.shrinkTryLimit, Self.lostTryLimit), replayLimit: 1)
            : Shrinker(plan, failedStep: failedStep, tryLimit: bounds.shrinkTryLimit)
        var smallest: URL?
        while !Task.isCancelled, let candidate = shrinker.next() {
            observer.observe(
                .trying(number: number, tryCount: shrinker.tryCount + 1, stepCount: shrinker.plan.steps.count))
            let name = "\(number).\(shrinker.tryCount + 1)"
            // What does not come to a run says nothing of the plan.
            guard let trial = try? await take(candidate, name, false, RunTally(telling: observer)) else { break }
            if Task.isCancelled {
                try RunDirectory.discard(trial.directory)
                break
            }
            let hasFailed = failure.isShown(by: trial.results)
            shrinker.take(hasFailed: hasFailed)
            if let old = hasFailed ? smallest : trial.directory { try RunDirectory.discard(old) }
            if hasFailed { smallest = trial.directory }
        }
        let shrunk =
            try shrinker.hasVanished
            ? nil : SoakJournal.write(shrunkPlan: shrinker.plan.yaml(), to: report.directory)
        let shrinking = SoakShrinking(
            number: number, plan: shrunk?.path, record: smallest?.path, originalStepCount: plan.steps.count,
            stepCount: shrinker.plan.steps.count, tryCount: shrinker.tryCount, replayCount: shrinker.replays.count,
            replayFailureCount: shrinker.replays.failureCount, isThrough: shrinker.isThrough)
        let noted = Result { try journal.note(.shrunk(shrinking)) }
        observer.observe(.shrunk(shrinking))
        try noted.get()
    }
}

/// What a run failed of, which a smaller one has to fail of too.
enum Failure: Hashable {
    /// Findings that nobody excused, by their names: those of the first step that has any.
    case findings(Set<String>)
    /// The guest came up, and was lost, or said nothing for too long.
    case lost

    /// What a run failed of; nil when it did not fail, or has nothing to do with its steps.
    init?(_ results: RunResults) {
        if let first = results.failures.first {
            self = .findings(Set(first.findings.map(\.name)))
        } else if results.outcome == .error, results.steps.first?.outcome == .passed {
            self = .lost
        } else {
            return nil
        }
    }

    /// Whether a run has failed of this as well, whatever else it has failed of.
    func isShown(by results: RunResults) -> Bool {
        switch self {
        case .findings(let names): names.isSubset(of: results.failures.flatMap { $0.findings.map(\.name) })
        case .lost: Failure(results) == .lost
        }
    }
}
