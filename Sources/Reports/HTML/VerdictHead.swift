// SPDX-License-Identifier: Apache-2.0

import Foundation
import RunRecord
import Verification

/// What the run came to, before everything else.
struct VerdictHead {
    let html: HTML

    init(_ run: RecordedRun) {
        let results = run.results
        var content: [HTML] = [
            HTML("h1", [], [HTML.badge(results.outcome), " ", HTML(Self.sentence(run))])
        ]
        if run.problems.isEmpty {
            let table = ResultTable(results: results, information: run.information, record: run.directory)
            content.append(.paragraph(HTML(table.summary)))
        }
        if !run.problems.isEmpty {
            let shown = run.problems.prefix(20).map { HTML($0.description.prefix(1000)) }
            let rest = run.problems.count - shown.count
            content.append(
                HTML(
                    "div", [.classes("notice"), .attribute("role", "note")],
                    [
                        .paragraph(
                            HTML("strong", [], ["What is wrong with the record."]),
                            " The rest of this page is what can be read of it."),
                        .list(shown + (rest > 0 ? ["and \(rest) more"] : [])),
                    ]))
        } else if let error = results.error {
            content.append(
                HTML(
                    "div", [.classes("notice"), .attribute("role", "note")],
                    [.paragraph(HTML("strong", [], ["What went wrong: "]), HTML(error.prefix(2000)))]))
        }
        if let information = run.information { content.append(Self.facts(information)) }
        html = HTML("header", [.classes("verdict")], content.flatMap { [$0, .lineEnd] })
    }

    private static func sentence(_ run: RecordedRun) -> String {
        if !run.problems.isEmpty { return "The record of this run is damaged, or not complete." }
        let count = run.results.failures.reduce(0) { $0 + $1.findings.count }
        switch run.results.outcome {
        case .passed:
            let all = run.results.steps.reduce(0) { $0 + $1.allFindings.count }
            return all == 0
                ? "Everything that was verified is right."
                : "It came as the plan has it: \(all.of("finding", "findings")), and none that it does not expect."
        case .failed: return "The guest is wrong: \(count.of("finding", "findings"))."
        case .error: return "The run did not come to its end."
        case .incomplete: return "Nothing is known to be wrong, and not everything was verified."
        case .interrupted: return "A signal ended the run."
        }
    }

    /// In a line: which kernel on what, and when.
    private static func facts(_ information: RunInformation) -> HTML {
        let guest = information.guest
        var parts = [guest.kernelRelease.map { "Linux \($0)" } ?? "a kernel that did not come up", guest.cpu]
        if let mmu = guest.mmu { parts.append("\(mmu) MMU") }
        parts.append(information.startedAt.formatted(.iso8601))
        if let end = information.finishedAt {
            parts.append(String(format: "took %.0f s", end.timeIntervalSince(information.startedAt)))
        }
        return HTML("p", [.classes("facts")], [HTML(parts.joined(separator: " · "))])
    }
}
