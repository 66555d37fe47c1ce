// SPDX-License-Identifier: Apache-2.0

import Foundation
import HarnessBasics
import OfflineCommands
import Reports
import RunRecord
import Runs
import Synchronization

/// Tells a person on stderr what a matrix does: a line that stays for each cell that has ended and each finding, and on a
/// terminal a line for each guest that runs.
final class MatrixProgress: MatrixObserver {
    private let block: ProgressBlock
    private let state: Mutex<State>
    private let start = ContinuousClock.now

    private struct Running {
        let cell: MatrixCell
        let stepCount: Int
        let start: ContinuousClock.Instant
        var step = 0
        var title = "starts"

        /// How much of its weight is done.
        var doneWeight: Double { cell.weight * Double(max(step - 1, 0)) / Double(max(stepCount, step, 1)) }
    }

    private struct State {
        /// By the cells' numbers.
        var running: [Int: Running] = [:]
        let stepCounts: [Int: Int]
        let weights: [Int: Double]
        var endedNumbers: Set<Int> = []
        var counts: [Outcome: Int] = [:]
    }

    /// A view of these cells, whose runs have so many steps, by their numbers.
    init(_ cells: [MatrixCell], stepCounts: [Int: Int], style: ProgressLine.Style) {
        block = ProgressBlock(style: style)
        let weights = Dictionary(uniqueKeysWithValues: cells.map { ($0.number, $0.weight) })
        state = Mutex(State(stepCounts: stepCounts, weights: weights))
    }

    /// Shows what goes on once a second, until the task is cancelled.
    func tick() async {
        while !Task.isCancelled {
            block.show(state.withLock { lines($0, at: .now) })
            try? await Task.sleep(for: .seconds(1))
        }
        block.clear()
    }

    func observe(_ event: MatrixEvent) {
        switch event {
        case .cellStarted(let cell, let attempt):
            state.withLock { state in
                state.running[cell.number] = Running(
                    cell: cell, stepCount: state.stepCounts[cell.number] ?? 0, start: .now)
            }
            block.finish(
                "cell \(cell.number) (\(cell.name)): begins" + (attempt.attempt > 1 ? ", run \(attempt.attempt)" : ""))
        case .stepStarted(let cell, let number, let title):
            state.withLock { state in
                state.running[cell.number]?.step = number
                state.running[cell.number]?.title = title
            }
        case .found(let cell, let finding, let message):
            block.finish("cell \(cell.number) (\(cell.name)): \(finding): \(message)")
        case .cellEnded(let cell, let ending, let isRepeated):
            state.withLock { state in
                state.running[cell.number] = nil
                guard !isRepeated else { return }
                state.endedNumbers.insert(cell.number)
                state.counts[ending.outcome, default: 0] += 1
            }
            block.finish(Self.text(of: cell, ending, isRepeated: isRepeated))
        }
        block.show(state.withLock { lines($0, at: .now) })
    }

    private static func text(of cell: MatrixCell, _ ending: MatrixEnding, isRepeated: Bool) -> String {
        var text =
            "cell \(cell.number) (\(cell.name)): \(ending.outcome.rawValue), \(ending.verificationCount) verifications, "
            + "\(ending.entryCount) entries, " + String(format: "%.1f s", ending.seconds)
        if let error = ending.error?.split(separator: "\n").first { text += "\n  \(error)" }
        return text + (isRepeated ? "\n  it is taken again" : "")
    }

    // MARK: - The lines that change

    private func lines(_ state: State, at now: ContinuousClock.Instant) -> [String] {
        let elapsed = start.duration(to: now).inSeconds
        let ended = state.endedNumbers.reduce(0) { $0 + (state.weights[$1] ?? 0) }
        let done = state.running.values.reduce(ended) { $0 + $1.doneWeight }
        let all = state.weights.values.reduce(0, +)
        var head = "\(state.endedNumbers.count) of \(state.weights.count) cells"
        for outcome in [Outcome.failed, .error, .incomplete] {
            if let count = state.counts[outcome] { head += ", \(count) \(outcome.rawValue)" }
        }
        head += "; \(Self.time(elapsed))"
        // What has just begun says little.
        if done > all / 50 { head += ", about \(Self.time(elapsed * (all - done) / done)) left" }
        let rows = state.running.values.sorted { $0.cell.number < $1.cell.number }.map { row($0, now) }
        let columns: [TextTable.Column] = [.left(), .left(), .left(), .left(), .left(givesWay: true), .right, .left()]
        return [head] + TextTable(columns, rows).lines(indent: 2, width: Terminal.width)
    }

    private func row(_ running: Running, _ now: ContinuousClock.Instant) -> [String] {
        let elapsed = running.start.duration(to: now).inSeconds
        let (done, weight) = (running.doneWeight, running.cell.weight)
        let left = done > 0 ? "about \(Self.time(elapsed * (weight - done) / done)) left" : ""
        let step = "\(running.step) of \(max(running.stepCount, running.step))"
        let cell = running.cell
        return [cell.planName, cell.kernelName, cell.cpu, step, running.title, Self.time(elapsed), left]
            .map { Terminal.printable($0) }
    }

    /// A time as a person reads it.
    private static func time(_ seconds: Double) -> String {
        guard seconds.isFinite else { return "?" }
        let seconds = Int(min(max(seconds, 0), 1e7).rounded())
        if seconds < 60 { return "\(seconds) s" }
        if seconds < 3600 { return "\(seconds / 60) min \(seconds % 60) s" }
        return "\(seconds / 3600) h \(seconds % 3600 / 60) min"
    }
}
