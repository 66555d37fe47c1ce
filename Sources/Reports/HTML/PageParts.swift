// SPDX-License-Identifier: Apache-2.0

import HarnessBasics
import RunRecord
import Verification

/// Pieces that more than one section is made of.
extension HTML {
    /// A paragraph.
    static func paragraph(_ content: HTML...) -> HTML { HTML("p", [], content) }

    /// Text as a terminal has it.
    static func code(_ text: some StringProtocol) -> HTML { HTML("code", [], [HTML(text)]) }

    /// What can be folded.
    static func folded(_ summary: HTML, isOpen: Bool = false, _ content: [HTML]) -> HTML {
        HTML("details", isOpen ? [.attribute("open", "open")] : [], [HTML("summary", [], [summary])] + content)
    }

    /// A term and what is said of it, for a description list.
    static func item(_ term: HTML, _ content: [HTML]) -> HTML {
        HTML("div", [], [HTML("dt", [], [term]), HTML("dd", [], content)])
    }

    /// A list, or its one item as a paragraph.
    static func list(_ items: [HTML]) -> HTML {
        items.count == 1 ? HTML("p", [], items) : HTML("ul", [], items.map { HTML("li", [], [$0]) })
    }

    /// A table in a region that scrolls by itself where it is too wide. The first cell of a row is its head.
    static func table(caption: String, _ columns: [PageColumn], _ rows: [PageRow], id: String? = nil) -> HTML {
        let head = HTML(
            "tr", [],
            columns.map {
                HTML("th", [.attribute("scope", "col")] + ($0.isNumber ? [.classes("n")] : []), [$0.title])
            })
        let body = rows.map { row in
            let cells = zip(columns, row.cells).enumerated().map { index, pair in
                let classes: [HTMLAttribute] = pair.0.isNumber ? [.classes("n")] : []
                return index == 0
                    ? HTML("th", [.attribute("scope", "row")] + classes, [pair.1])
                    : HTML("td", classes, [pair.1])
            }
            return HTML([HTML("tr", row.attributes, cells), .lineEnd])
        }
        let table = HTML(
            "table", id.map { [.id($0)] } ?? [],
            [
                HTML("caption", [], [HTML(caption)]), HTML("thead", [], [head]), .lineEnd,
                HTML("tbody", [], body),
            ])
        return HTML(
            "div",
            [
                .classes("scroll"), .attribute("tabindex", "0"), .attribute("role", "region"),
                .attribute("aria-label", caption),
            ], [table])
    }

    /// How something ended, as a sign and a word.
    static func badge(_ outcome: Outcome) -> HTML {
        switch outcome {
        case .passed: HTML("span", [.classes("badge ok")], ["✓ passed"])
        case .failed: HTML("span", [.classes("badge bad")], ["✗ failed"])
        case .error: HTML("span", [.classes("badge bad")], ["! error"])
        case .incomplete: HTML("span", [.classes("badge warn")], ["◐ incomplete"])
        case .interrupted: HTML("span", [.classes("badge warn")], ["■ interrupted"])
        }
    }
}

/// A column of a table.
struct PageColumn: ExpressibleByStringLiteral {
    let title: HTML
    let isNumber: Bool

    init(_ title: HTML, isNumber: Bool = false) { (self.title, self.isNumber) = (title, isNumber) }
    init(stringLiteral value: String) { self.init(HTML(value)) }

    /// A column of numbers.
    static func number(_ title: HTML) -> PageColumn { PageColumn(title, isNumber: true) }
}

/// A row of a table.
struct PageRow {
    var attributes: [HTMLAttribute] = []
    var cells: [HTML]

    init(_ cells: [HTML], _ attributes: [HTMLAttribute] = []) { (self.cells, self.attributes) = (cells, attributes) }
}

extension Range<UInt64> {
    /// Both ends, the last address that is in it.
    var text: String { "\(lowerBound.hexadecimal) to \((upperBound - 1).hexadecimal)" }
}

extension Int {
    /// So many of something.
    func of(_ one: String, _ many: String) -> String { self == 1 ? "1 \(one)" : "\(self) \(many)" }
}
