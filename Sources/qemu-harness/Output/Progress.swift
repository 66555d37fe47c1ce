// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Foundation
import Guests
import RunRecord
import Verification

/// Tells a person on stderr which step is under way and how long each took.
struct Progress: RunObserver {
    /// How it tells.
    enum Style: String, CaseIterable, ExpressibleByArgument {
        /// As on a terminal when stderr is one, else `plain`.
        case auto
        /// A line for each step that has ended.
        case plain
        /// Nothing.
        case none
    }

    private let isSilent: Bool
    private let isTerminal: Bool

    init(style: Style) {
        isSilent = style == .none
        isTerminal =
            style == .auto
            && Terminal.isCapable(STDERR_FILENO, environment: ProcessInfo.processInfo.environment)
    }

    func observe(_ event: RunEvent) {
        guard !isSilent else { return }
        switch event {
        case .stepStarted(let number, let title): if isTerminal { write("\(label(number, title))…") }
        case .stepEnded(let step): writeLine(of: step)
        default: break
        }
    }

    private func writeLine(of step: StepResult) {
        // Back to the line's start, and whatever stood there goes.
        let start = isTerminal ? "\r\u{1b}[K" : ""
        let seconds = String(format: "%6.2f s", step.seconds)
        let summary = summary(step)
        write("\(start)\(label(step.number, step.title))\(seconds)\(summary.isEmpty ? "" : "   \(summary)")\n")
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

    private func write(_ text: String) {
        // A closed stderr is nobody's loss: the record has it all.
        try? FileHandle.standardError.write(contentsOf: Data(text.utf8))
    }
}
