// SPDX-License-Identifier: Apache-2.0

import Foundation
import HarnessBasics
import Reports
import RunRecord
import Verification

/// A comparison as a person reads it: 80 columns, what differs last.
struct ComparisonText {
    private let comparison: RunComparison

    /// How many lines tell of differences.
    private static let lineLimit = 64

    init(_ comparison: RunComparison) { self.comparison = comparison }

    var text: String {
        [sideLines, stepLines, differenceLines].filter { !$0.isEmpty }.map { $0.joined(separator: "\n") }
            .joined(separator: "\n\n") + "\n"
    }

    private var sideLines: [String] {
        [("A", \RunComparison.Pair<String>.a, comparison.outcome.a), ("B", \.b, comparison.outcome.b)]
            .flatMap { name, side, outcome -> [String] in
                let words = ["kernel", "cpu", "mmu"].compactMap { comparison.properties[$0]?[keyPath: side] }
                let run = comparison.run[keyPath: side] ?? ""
                return Terminal.paragraph(
                    "\(name): \(run), \((words + [outcome?.rawValue ?? ""]).joined(separator: ", "))")
            }
            + comparison.properties.sorted { $0.key < $1.key }.filter { !$0.value.isSame }.flatMap { name, pair in
                Terminal.paragraph("  \(name): \(Self.text(pair))", indent: "    ")
            }
    }

    private var stepLines: [String] {
        guard !comparison.steps.isEmpty else { return [] }
        let hasLags = comparison.steps.contains { $0.mirrorLag.a != nil || $0.mirrorLag.b != nil }
        let rows = comparison.steps.map { step in
            [
                step.isSame ? "" : "*", step.number.a.map { "\($0)" } ?? "-", step.number.b.map { "\($0)" } ?? "-",
                Terminal.printable(step.title), Self.text(step.entryCount), Self.text(step.newEntryCount),
                Self.text(step.goneEntryCount), Self.text(step.seconds, Self.seconds),
            ] + (hasLags ? [Self.text(step.mirrorLag, Self.milliseconds)] : [])
        }
        let lagHead = hasLags ? ["lag ms"] : []
        return TextTable(
            [.left(), .right, .right, .left(givesWay: true), .right, .right, .right, .right]
                + lagHead.map { _ in .right },
            [["", "A", "B", "step", "entries", "new", "gone", "seconds"] + lagHead] + rows
        ).lines(width: Terminal.width)
    }

    private var differenceLines: [String] {
        let lines = comparison.steps.flatMap { step -> [String] in
            let place = "step \((step.number.a ?? step.number.b).map { "\($0)" } ?? "") \(step.title)"
            guard step.number.a != nil, step.number.b != nil else {
                return ["\(place): only in \(step.number.a == nil ? "B" : "A")"]
            }
            var lines: [String] = []
            if !step.outcome.isSame {
                lines.append(
                    "\(place): \(step.outcome.a?.rawValue ?? "none") in A, \(step.outcome.b?.rawValue ?? "none") in B")
            }
            if !step.coveredSectionCount.isSame {
                lines.append("\(place): covered sections: \(Self.text(step.coveredSectionCount))")
            }
            if let windows = step.windowsOnlyIn, windows.a != 0 || windows.b != 0 {
                lines.append("\(place): windows only in A: \(windows.a ?? 0), only in B: \(windows.b ?? 0)")
            }
            lines += step.findings.sorted { $0.key < $1.key }.map { name, pair in
                "\(place): \(name): \(pair.a ?? 0) in A, \(pair.b ?? 0) in B"
            }
            lines += step.witnesses.sorted { $0.key < $1.key }.map { name, pair in
                "\(place): \(name): \(pair.a?.rawValue ?? "not asked") in A, \(pair.b?.rawValue ?? "not asked") in B"
            }
            return lines
        }
        guard !lines.isEmpty else { return ["nothing differs but how long it took"] }
        let rest = lines.count - Self.lineLimit
        return lines.prefix(Self.lineLimit).flatMap { Terminal.paragraph($0) }
            + (rest > 0 ? ["… and \(rest) more with --json"] : [])
    }

    private static func text<Value>(
        _ pair: RunComparison.Pair<Value>, _ word: (Value) -> String = { "\($0)" }
    ) -> String {
        if pair.a == nil, pair.b == nil { return "" }
        let (a, b) = (pair.a.map(word) ?? "-", pair.b.map(word) ?? "-")
        return pair.isSame ? a : "\(a) / \(b)"
    }

    private static func seconds(_ seconds: Double) -> String { String(format: "%.2f", seconds) }

    /// How far the mirror was behind with half of its changes.
    private static func milliseconds(_ lag: MirrorLag) -> String { seconds(Double(lag.medianMicroseconds) / 1000) }
}
