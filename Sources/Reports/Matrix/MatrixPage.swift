// SPDX-License-Identifier: Apache-2.0

import Foundation
import HarnessBasics
import RunRecord

/// A matrix as a page: which plan came to what on which kernel and CPU model, with links to the page of each run.
struct MatrixPage {
    let document: String

    init(_ matrix: MatrixRecord) {
        let sections = [Self.attention(matrix), Self.grid(matrix), Self.cells(matrix)].compactMap { $0 }
        let main = HTML(
            "main", [.id("main"), .attribute("tabindex", "-1")],
            [Self.verdict(matrix), .lineEnd] + sections.flatMap { [$0.html, .lineEnd] })
        let foot = HTML(
            "footer", [],
            [
                .paragraph(
                    "Made from \(matrix.information.matrix.prefix(200)), by qemu-harness \(matrix.information.harness.prefix(80))."
                )
            ])
        let body = HTML(
            "body", [],
            [
                HTML("a", [.classes("skip"), .link(to: "main")], ["Skip to the report"]), .lineEnd, main, .lineEnd,
                foot, .lineEnd,
            ])
        let title = "\(matrix.outcome.rawValue): \(matrix.information.matrix.prefix(200))"
        let page = HTML("html", [.attribute("lang", "en")], [.head(title: title), .lineEnd, body])
        document = HTML([.documentType, page, .lineEnd]).source
    }

    private static func verdict(_ matrix: MatrixRecord) -> HTML {
        let sentence =
            switch matrix.outcome {
            case .passed where matrix.cells.isEmpty: "This shard has no cells."
            case .passed: "Every run of the matrix passed."
            case .failed: "Guests are wrong: there are findings."
            case .error: "Not every run came to its end."
            case .incomplete: "Nothing is known to be wrong, and not everything was verified."
            case .interrupted: "The matrix was ended before all of its runs were taken."
            }
        return HTML(
            "header", [.classes("verdict")],
            [
                HTML("h1", [], [.badge(matrix.outcome), " ", HTML(sentence)]), .lineEnd,
                .paragraph(HTML(MatrixTable(matrix).summary)), .lineEnd,
                HTML("p", [.classes("facts")], [HTML("began \(matrix.information.startedAt.formatted(.iso8601))")]),
                .lineEnd,
            ])
    }

    /// What was found and what went wrong, before everything else.
    private static func attention(_ matrix: MatrixRecord) -> PageSection? {
        let items = matrix.cells.compactMap { cell -> HTML? in
            guard let ending = cell.ending, ending.outcome != .passed else { return nil }
            let names = ending.findings.keys.sorted().map { name -> HTML in
                let means = Explanation.of(name).map { HTML("span", [.classes("note")], [HTML($0.summary)]) } ?? HTML()
                return HTML([.code(name.prefix(80)), " ", means])
            }
            return HTML(
                "article", [.classes("finding")],
                [
                    HTML("h3", [], [.badge(ending.outcome), " ", link(to: cell, HTML(cell.cell.name))]),
                    names.isEmpty ? HTML() : .list(names),
                    ending.error.map { HTML("p", [.classes("said")], [HTML($0.prefix(2000))]) } ?? HTML(),
                ])
        }
        return items.isEmpty
            ? nil : PageSection(id: "attention", shortTitle: "Findings", title: "What is not right", items)
    }

    /// Plans down, kernels and CPU models across.
    private static func grid(_ matrix: MatrixRecord) -> PageSection? {
        var cells: [[String]: MatrixRecord.Cell] = [:]
        for cell in matrix.cells { cells[[cell.cell.plan, cell.cell.kernel, cell.cell.cpu]] = cell }
        let plans = places(of: matrix.cells.map(\.cell.plan)).sorted { $0.value < $1.value }.map(\.key)
        let kernels = places(of: matrix.cells.map(\.cell.kernel))
        let cpus = places(of: matrix.cells.map(\.cell.cpu))
        let columns = Set(matrix.cells.map { [$0.cell.kernel, $0.cell.cpu] }).sorted {
            (kernels[$0[0]] ?? 0, cpus[$0[1]] ?? 0) < (kernels[$1[0]] ?? 0, cpus[$1[1]] ?? 0)
        }
        let names = Dictionary(
            matrix.cells.flatMap { [($0.cell.kernel, $0.cell.kernelName), ($0.cell.plan, $0.cell.planName)] }
        ) { first, _ in first }
        guard !plans.isEmpty else { return nil }
        let heads = columns.map { column in
            PageColumn(HTML([HTML(names[column[0]] ?? ""), HTML("span", [.classes("count")], [HTML(column[1])])]))
        }
        let rows = plans.map { plan in
            PageRow(
                [HTML(names[plan] ?? "")]
                    + columns.map { column in cells[[plan] + column].map { link(to: $0, badge($0)) } ?? HTML() })
        }
        return PageSection(
            id: "grid", shortTitle: "Grid", title: "Plans by kernel and CPU model",
            [.table(caption: "What each plan came to; a link leads to the run's own report", ["plan"] + heads, rows)])
    }

    private static func cells(_ matrix: MatrixRecord) -> PageSection? {
        guard !matrix.cells.isEmpty else { return nil }
        let rows = matrix.cells.map { cell -> PageRow in
            let ending = cell.ending
            return PageRow([
                HTML("\(cell.cell.number)"), link(to: cell, HTML(cell.cell.planName)), HTML(cell.cell.kernelName),
                HTML(cell.cell.cpu), badge(cell), HTML("\(cell.attempts.count)"),
                HTML(ending.map { "\($0.verificationCount)" } ?? ""), HTML(ending.map { "\($0.entryCount)" } ?? ""),
                HTML(ending.map { String(format: "%.1f", ReportText.seconds($0.seconds)) } ?? ""),
                ending?.record.map { .code($0) } ?? HTML(),
            ])
        }
        return PageSection(
            id: "cells", shortTitle: "Cells", title: "All cells",
            [
                .table(
                    caption: "Each cell, with what its last run came to",
                    [
                        "cell", "plan", "kernel", "CPU model", "outcome", .number("runs"), .number("verifications"),
                        .number("entries"), .number("seconds"), "record",
                    ], rows)
            ])
    }

    private static func badge(_ cell: MatrixRecord.Cell) -> HTML {
        cell.ending.map { .badge($0.outcome) }
            ?? HTML("span", [.classes("badge warn")], [HTML(MatrixRecord.Cell.missingWord)])
    }

    private static func link(to cell: MatrixRecord.Cell, _ content: HTML) -> HTML {
        guard let record = cell.ending?.record else { return content }
        return HTML("a", [.link(toFile: [MatrixReport.pagesFolder, record + ".html"])], [content])
    }

    /// Where each of these comes first.
    private static func places(of names: [String]) -> [String: Int] {
        Dictionary(names.enumerated().map { ($1, $0) }) { first, _ in first }
    }
}
