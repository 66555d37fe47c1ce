// SPDX-License-Identifier: Apache-2.0

import Foundation
import HarnessBasics
import OfflineCommands
import RunRecord
import Runs
import Synchronization

/// Tells a person on stderr what a soak does, and what each history came to.
final class SoakProgress: SoakObserver {
    private let line: ProgressLine
    /// What stands before the step that is under way, and what the soak has come to behind it.
    private let around = Mutex((before: "", behind: ""))

    init(style: ProgressLine.Style) {
        line = ProgressLine(style: style)
    }

    func observe(_ event: SoakEvent) {
        switch event {
        case .historyStarted(let number, let subject):
            around.withLock { $0.before = "history \(number) (\(subject))" }
        case .trying(let number, let tryCount, let stepCount):
            around.withLock { $0.before = "history \(number), \(stepCount) steps, try \(tryCount)" }
        case .stepStarted(let title):
            let around = around.withLock { $0 }
            line.show(Terminal.printable("\(around.before): \(title)…\(around.behind)"))
        case .historyEnded(let history, let summary):
            around.withLock {
                $0.behind =
                    "   \(summary.historyCount) histories, \(summary.verificationCount) verifications, "
                    + "\(summary.entryCount) entries, \(summary.failedCount) failed"
            }
            line.finish(Terminal.printable(Self.text(of: history)))
        case .shrunk(let shrinking):
            line.finish(Terminal.printable(Self.text(of: shrinking)))
        }
    }

    private static func text(of history: SoakHistory) -> String {
        let refusalCount = history.refusals.values.reduce(0, +)
        var text =
            "history \(history.number) (\(history.kernel), \(history.cpu)): \(history.outcome.rawValue), "
            + "\(history.verificationCount) verifications, \(history.entryCount) entries, \(refusalCount) refusals, "
            + String(format: "%.1f s", history.seconds)
        if let step = history.failedStep { text += "\n  \(step): \(history.findings.joined(separator: ", "))" }
        if let error = history.error?.split(separator: "\n").first { text += "\n  \(error)" }
        if let record = history.record { text += "\n  \(record)" }
        return text
    }

    private static func text(of shrinking: SoakShrinking) -> String {
        let beginning = "history \(shrinking.number): "
        let replays = "\(shrinking.replayFailureCount) of \(shrinking.replayCount) times"
        guard let plan = shrinking.plan else {
            return beginning + "the failure came again \(replays); it was not made smaller"
        }
        return beginning
            + "\(shrinking.originalStepCount) steps made \(shrinking.stepCount) in \(shrinking.tryCount) tries"
            + (shrinking.isThrough ? "" : "; there may be smaller ones")
            + (shrinking.replayFailureCount == shrinking.replayCount ? "" : "; the failure comes \(replays)")
            + "\n  qemu-harness run \(plan)"
    }
}
