// SPDX-License-Identifier: Apache-2.0

import RunRecord
import Verification

/// What was found, each kind with what it means and what to look at.
struct FindingSection {
    let section: PageSection?

    /// How many kinds of a step's findings are told, how many messages of each, and how many of those without unfolding.
    private static let (kindLimit, messageLimit, openMessageLimit) = (200, 100, 6)

    init(_ run: RecordedRun, _ places: PagePlaces) {
        let unexcused = Dictionary(
            run.results.failures.map { ($0.step, $0.findings) }, uniquingKeysWith: { $0 + $1 })
        var kinds: [(step: StepResult, findings: [Finding])] = []
        for step in run.results.steps {
            for finding in step.allFindings {
                if let index = kinds.lastIndex(where: {
                    $0.step.number == step.number && $0.findings.first?.name == finding.name
                }) {
                    kinds[index].findings.append(finding)
                } else {
                    kinds.append((step, [finding]))
                }
            }
        }
        guard !kinds.isEmpty else {
            section = PageSection(
                id: "findings", shortTitle: "Findings", title: "Findings",
                [.paragraph("None: no witness contradicts another, and the guest's kernel reported nothing of itself.")]
            )
            return
        }
        // What nobody expected comes first.
        func isExpected(_ kind: (step: StepResult, findings: [Finding])) -> Bool {
            guard let name = kind.findings.first?.name else { return true }
            return unexcused[kind.step.number]?.contains { $0.name == name } != true
        }
        let ordered = kinds.filter { !isExpected($0) } + kinds.filter(isExpected)
        var told: Set<String> = []
        let articles = ordered.prefix(Self.kindLimit).enumerated().map { index, kind in
            let isTold = !told.insert(kind.findings.first?.name ?? "").inserted
            return Self.article(
                kind.findings, of: kind.step, id: "finding-\(index + 1)", isExpected: isExpected(kind), isTold: isTold,
                places)
        }
        let rest = ordered.count - articles.count
        section = PageSection(
            id: "findings", shortTitle: "Findings", title: "Findings",
            articles + (rest > 0 ? [.paragraph("And \(rest) more kinds, in results.json.")] : []))
    }

    private static func article(
        _ findings: [Finding], of step: StepResult, id: String, isExpected: Bool, isTold: Bool, _ places: PagePlaces
    ) -> HTML {
        guard let first = findings.first else { return HTML() }
        let explanation = Explanation.of(first.name)
        var content: [HTML] = [
            HTML(
                "h3", [.id("\(id)-title")],
                [
                    HTML("code", [], [HTML(first.name)]),
                    explanation.map { ": \($0.summary)" } ?? "",
                    findings.count > 1 ? " (\(findings.count) times)" : "",
                ]),
            HTML(
                "p", [.classes("facts")],
                [
                    HTML("a", [.link(to: "step-\(step.number)")], ["Step \(step.number): \(step.title)"]),
                    isExpected ? " · the plan expects or allows it" : "",
                ]),
        ]
        let messages = findings.prefix(messageLimit).map { places.linked($0.message.prefix(4000), step: step.number) }
        let rest = findings.count - messages.count
        let others =
            Array(messages.dropFirst(openMessageLimit)) + (rest > 0 ? ["and \(rest) more, in results.json"] : [])
        content.append(
            HTML(
                "div", [.classes("said")],
                [
                    .list(Array(messages.prefix(openMessageLimit))),
                    others.isEmpty ? HTML() : .folded("\(findings.count - openMessageLimit) more", [.list(others)]),
                ]))
        if let explanation, isTold {
            content.append(.paragraph("What it means is said above, at the first ", .code(explanation.name), "."))
        } else if let explanation {
            content.append(
                HTML(
                    "dl", [.classes("means")],
                    [
                        .item("What was compared", [.list(explanation.compared.map { HTML($0) })]),
                        .item("In a dump", [.paragraph(HTML(explanation.dump))]),
                        explanation.causes.isEmpty
                            ? HTML() : .item("Likely causes", [.list(explanation.causes.map { HTML($0) })]),
                        .item("Look at next", [.list(explanation.next.map { HTML($0) })]),
                        explanation.kernel.isEmpty
                            ? HTML() : .item("In the kernel", [.list(explanation.kernel.map { HTML.code($0) })]),
                    ]))
        }
        let attributes: [HTMLAttribute] = [
            .id(id), isExpected ? .classes("finding expected") : .classes("finding"),
            .attribute("aria-labelledby", "\(id)-title"),
            .attribute("data-where", "Finding \(first.name), step \(step.number)"),
        ]
        return HTML("article", attributes, content.flatMap { [$0, .lineEnd] })
    }
}

/// What was left unsaid.
struct UnsaidSection {
    let section: PageSection?

    private static let limit = 200

    init(_ run: RecordedRun) {
        let missing = run.results.unsaid
        let rows = run.results.steps.flatMap { step in
            (step.verdict?.unsaid ?? []).map { unsaid in
                let isMissing = missing.contains { $0.step == step.number && $0.unsaid == unsaid }
                return PageRow([
                    HTML("a", [.link(to: "step-\(step.number)")], ["\(step.number)"]), HTML(unsaid.witness.rawValue),
                    unsaid.count > 0 ? "\(unsaid.count)" : "all", HTML(unsaid.reason.prefix(1000)),
                    isMissing ? "◐ no: the run is incomplete for it" : "✓ expected or allowed",
                ])
            }
        }
        guard !rows.isEmpty else {
            section = nil
            return
        }
        let rest = rows.count - Self.limit
        section = PageSection(
            id: "unsaid", shortTitle: "Unsaid", title: "Left unsaid",
            [
                .paragraph("What a witness was asked and did not say. It is no agreement."),
                .table(
                    caption: "What was left unsaid, step by step",
                    ["Step", "Witness", .number("Entries"), "Why", "Excused"], Array(rows.prefix(Self.limit))),
            ] + (rest > 0 ? [.paragraph("And \(rest) more, in results.json.")] : []))
    }
}
