// SPDX-License-Identifier: Apache-2.0

import Foundation
import HarnessBasics
import OfflineCommands
import Reports
import RunRecord

/// What a person reads of a soak that has ended, on stdout.
struct SoakText {
    let summary: SoakSummary
    let folder: URL

    func text() -> String {
        let numbers: [(String, Int)] = [
            ("histories", summary.historyCount), ("verifications", summary.verificationCount),
            ("entries verified", summary.entryCount), ("failed histories", summary.failedCount),
            ("incomplete histories", summary.incompleteCount), ("histories without a verdict", summary.errorCount),
            ("records of clean histories dropped", summary.droppedRecordCount),
        ]
        var lines = rows(numbers)
        lines += section("refused, as a guest may", summary.refusals)
        lines += section("found, by histories", summary.findings)
        lines += [
            "", "seed \(summary.seed), \(histories)",
            "go on: \(summary.goingOn)", "one again: \(summary.command) --from N --runs 1 --keep-clean", "",
            "\(summary.outcome?.rawValue ?? "ended"): \(folder.path)",
        ]
        if let pointer = Explanation.pointer(to: summary.findings.keys.sorted()) { lines.append(pointer) }
        return Terminal.printable(lines.joined(separator: "\n") + "\n")
    }

    private var histories: String {
        switch summary.next - summary.first {
        case 0: "no history"
        case 1: "history \(summary.first)"
        default: "histories \(summary.first) to \(summary.next - 1)"
        }
    }

    private func rows(_ numbers: [(String, Int)]) -> [String] {
        TextTable([.left(), .right], numbers.map { [$0.0, "\($0.1)"] }).lines(indent: 2)
    }

    private func section(_ title: String, _ counts: [String: Int]) -> [String] {
        counts.isEmpty ? [] : ["", title] + rows(counts.sorted { $0.key < $1.key })
    }
}
