// SPDX-License-Identifier: Apache-2.0

import Foundation
import OfflineCommands
import RunRecord
import Verification

/// Tells a person on stderr which step is under way and how long each took.
struct RunProgress: RunObserver {
    private let line: ProgressLine

    init(style: ProgressLine.Style) {
        line = ProgressLine(style: style)
    }

    func observe(_ event: RunEvent) {
        switch event {
        case .stepStarted(let number, let title): line.show("\(label(number, title))…")
        case .stepEnded(let step):
            let seconds = String(format: "%6.2f s", step.seconds)
            let summary = summary(step)
            line.finish("\(label(step.number, step.title))\(seconds)\(summary.isEmpty ? "" : "   \(summary)")")
        default: break
        }
    }

    private func label(_ number: Int, _ title: String) -> String {
        let label = "\(number) \(title)"
        return label.padding(toLength: max(20, label.count), withPad: " ", startingAt: 0)
    }

    private func summary(_ step: StepResult) -> String {
        if let verdict = step.verdict {
            let entries = verdict.entryCount == 1 ? "1 entry" : "\(verdict.entryCount) entries"
            let judgement =
                switch verdict.findings.count {
                case 0: step.outcome.rawValue
                case 1: "1 finding"
                case let count: "\(count) findings"
                }
            return "\(entries), \(verdict.coveredSectionCount) of \(verdict.sectionCount) sections covered: "
                + judgement
        }
        if step.outcome != .passed { return step.outcome.rawValue }
        return step.note ?? ""
    }
}
