// SPDX-License-Identifier: Apache-2.0

import Foundation
import RunRecord
import Verification

/// The steps of the run, and what each came to.
struct StepSection {
    let section: PageSection?

    init(_ run: RecordedRun) {
        guard !run.results.steps.isEmpty else {
            section = nil
            return
        }
        let hasLags = run.results.steps.contains { $0.mirrorLag != nil }
        let rows = run.results.steps.map { step in
            let verdict = step.verdict
            var title: [HTML] = [HTML(step.title.prefix(400))]
            if let note = step.note { title.append(HTML("span", [.classes("note")], [HTML(note.prefix(400))])) }
            if let dump = step.dump, step.note?.contains(dump.text) != true {
                title.append(HTML("span", [.classes("note")], ["\(dump.tool) \(dump.text.prefix(1000))"]))
            }
            var cells: [HTML] = [
                "\(step.number)", HTML(title), .badge(step.outcome),
                step.allFindings.isEmpty ? "" : "\(step.allFindings.count)",
                verdict.map { "\($0.entryCount)" } ?? "", step.newEntries.map { "\($0.count)" } ?? "",
                step.goneEntries.map { "\($0.count)" } ?? "",
                verdict.map { "\($0.coveredSectionCount) of \($0.sectionCount)" } ?? "",
                HTML(String(format: "%.2f", step.seconds.isFinite ? step.seconds : 0)),
            ]
            if hasLags { cells.append(step.mirrorLag.map(Self.lag) ?? "") }
            return PageRow(
                cells, [.id("step-\(step.number)"), .attribute("data-where", "Step \(step.number)")])
        }
        var columns: [PageColumn] = [
            "Step", "What was done", "Outcome", .number("Findings"), .number("Entries"), .number("New"),
            .number("Gone"), .number("Sections covered"), .number("Seconds"),
        ]
        if hasLags { columns.append(.number("Mirror lag, ms")) }
        section = PageSection(
            id: "steps", shortTitle: "Steps", title: "Steps",
            [
                .table(
                    caption: "Each step, and the entries of the kernel's account where it verified",
                    columns, rows)
            ])
    }

    /// How far the mirror was behind the kernel with half of its changes, and with the last.
    private static func lag(_ lag: MirrorLag) -> HTML {
        func milliseconds(_ microseconds: UInt64) -> String { String(format: "%.2f", Double(microseconds) / 1000) }
        let most = HTML("span", [.classes("count")], ["at most \(milliseconds(lag.maximumMicroseconds))"])
        return HTML([HTML(milliseconds(lag.medianMicroseconds)), most])
    }
}

/// Who agrees: a row for each verification, a column for each witness.
struct WitnessSection {
    let section: PageSection?

    init(_ run: RecordedRun) {
        let steps = run.verifications
        let asked = Witness.allCases.filter { witness in
            steps.contains { $0.verdict?.statement(of: witness) != nil }
        }
        guard !steps.isEmpty, !asked.isEmpty else {
            section = nil
            return
        }
        let rows = steps.map { step in
            PageRow(
                [
                    HTML(
                        "a", [.link(to: "step-\(step.number)"), .classes("wide")],
                        ["\(step.number) \(step.title.prefix(60))"])
                ]
                    + asked.map { Self.cell(step.verdict, $0) })
        }
        let details = steps.map { step in
            HTML.folded(
                "Step \(step.number): in the witnesses' words",
                [
                    HTML(
                        "dl", [],
                        (step.verdict?.witnesses ?? []).map { statement in
                            .item(
                                HTML(statement.witness.rawValue),
                                [.paragraph(HTML(statement.detail.prefix(2000)))])
                        })
                ])
        }
        section = PageSection(
            id: "witnesses", shortTitle: "Witnesses", title: "Who agrees",
            [
                .paragraph(
                    "Each witness reads the memory map in a way of its own, and all are held against the kernel's own account. The number is how many of its statements agree."
                ),
                .table(
                    caption: "How each witness stands to the kernel's own account, by verification",
                    ["Step"] + asked.map { PageColumn(HTML($0.rawValue)) }, rows),
            ] + details)
    }

    private static func cell(_ verdict: Verdict?, _ witness: Witness) -> HTML {
        guard let statement = verdict?.statement(of: witness) else { return mark("· not asked", .classes("mark none")) }
        let count = HTML("span", [.classes("count")], ["\(statement.agreeingCount)"])
        // Who was to be asked and said nothing has left something unsaid.
        let isAsked = verdict?.unsaid.contains { $0.witness == witness } == true
        switch statement.standing {
        case .agrees: return HTML([mark("✓ agrees", .classes("mark ok")), count])
        case .contradicts: return HTML([mark("✗ contradicts", .classes("mark bad")), count])
        case .incomplete: return HTML([mark("◐ says a part", .classes("mark warn")), count])
        case .cannotSay where isAsked: return mark("? cannot say", .classes("mark warn"))
        case .absent where isAsked:
            let reason = HTML("span", [.classes("note")], [HTML(statement.detail.prefix(300))])
            return HTML([mark("– absent", .classes("mark warn")), reason])
        case .cannotSay, .absent: return mark("· not asked", .classes("mark none"))
        }
    }

    private static func mark(_ text: HTML, _ attribute: HTMLAttribute) -> HTML { HTML("span", [attribute], [text]) }
}

extension Verdict {
    /// What a witness said; nil where it was not among those that were listened to.
    func statement(of witness: Witness) -> WitnessStatement? { witnesses.first { $0.witness == witness } }
}
