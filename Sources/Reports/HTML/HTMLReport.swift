// SPDX-License-Identifier: Apache-2.0

import Foundation
import RunRecord

/// A report as one page that needs nothing but itself: no network, and no script to be read.
struct HTMLReport {
    /// The whole page.
    let document: String

    init(_ run: RecordedRun) {
        let places = PagePlaces(run)
        let sections: [PageSection] = [
            FindingSection(run, places).section,
            UnsaidSection(run).section,
            StepSection(run).section,
            WitnessSection(run).section,
            TimeSection(run).section,
            MapSection(run, places).section,
            EntrySection(run).section,
            LogSection(run, places).section,
            MachineSection(run).section,
        ].compactMap { $0 }
        let main = HTML(
            "main", [.id("main"), .attribute("tabindex", "-1")],
            [VerdictHead(run).html, .lineEnd] + sections.flatMap { [$0.html, .lineEnd] })
        let body = HTML(
            "body", [],
            [
                HTML("a", [.classes("skip"), .link(to: "main")], ["Skip to the report"]), .lineEnd,
                Self.bar(sections), .lineEnd, main, .lineEnd, Self.foot(run), .lineEnd,
                .data(PageData(run).json, id: "data"), .lineEnd, .script(PageScript.source), .lineEnd,
            ])
        let page = HTML(
            "html", [.attribute("lang", "en")],
            [.head(title: "\(run.results.outcome.rawValue): \(run.results.run.prefix(200))"), .lineEnd, body])
        document = HTML([.documentType, page, .lineEnd]).source
    }

    /// The bar at the top: where to go, and what to look for.
    private static func bar(_ sections: [PageSection]) -> HTML {
        let links = sections.map { section in
            HTML("li", [], [HTML("a", [.link(to: section.id)], [HTML(section.shortTitle)])])
        }
        let search = HTML(
            "form", [.attribute("role", "search"), .id("search"), .attribute("hidden", "hidden")],
            [
                HTML("label", [.attribute("for", "query")], ["Find an address or a word"]),
                HTML(
                    "input",
                    [
                        .id("query"), .attribute("type", "search"), .attribute("placeholder", "0xc00c…"),
                        .attribute("autocomplete", "off"), .attribute("spellcheck", "false"),
                        .attribute("maxlength", 80),
                    ]),
            ])
        let found = HTML(
            "div",
            [
                .id("found"), .attribute("role", "region"), .attribute("aria-label", "What was found"),
                .attribute("hidden", "hidden"), .attribute("tabindex", "-1"),
            ],
            [HTML("p", [.id("found-count"), .attribute("role", "status")]), HTML("ul", [.id("found-list")])])
        return HTML(
            "div", [.classes("bar")],
            [
                HTML("nav", [.attribute("aria-label", "Sections")], [HTML("ul", [], links)]), search, found,
            ])
    }

    private static func foot(_ run: RecordedRun) -> HTML {
        let version = run.information?.versions.harness ?? "an unknown version"
        return HTML(
            "footer", [],
            [
                HTML(
                    "p", [],
                    [
                        "Made from the record of run \(run.results.run.prefix(200)) by qemu-harness; the run was made by \(version). Its snapshots were judged anew for this page."
                    ])
            ])
    }
}

/// A part of the page with a heading of its own.
struct PageSection {
    let id: String
    /// As the bar names it.
    let shortTitle: String
    let html: HTML

    init(id: String, shortTitle: String, title: HTML, _ content: [HTML]) {
        (self.id, self.shortTitle) = (id, shortTitle)
        html = HTML(
            "section", [.id(id), .attribute("aria-labelledby", "\(id)-title")],
            [HTML("h2", [.id("\(id)-title")], [title]), .lineEnd] + content.flatMap { [$0, .lineEnd] })
    }
}
