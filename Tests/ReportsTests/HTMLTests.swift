// SPDX-License-Identifier: Apache-2.0

import Foundation
import RunRecord
import TestSupport
import Testing

@testable import Reports

#if canImport(FoundationXML)
import FoundationXML
#endif

/// The page as a document: whole, closed, and deaf to what anyone says in it.
@Suite struct HTMLTests {
    @Test(arguments: [
        ("a < b & c > d", "a &lt; b &amp; c &gt; d"), ("\"it's\"", "&quot;it&#39;s&quot;"), ("ü€𝄞", "ü€𝄞"), ("", ""),
        ("a\tb\nc", "a\tb\nc"), ("a\u{0}b\u{1b}c\u{7f}d\u{9b}e", "a\u{fffd}b\u{fffd}c\u{fffd}d\u{fffd}e"),
        ("a\r\nb", "a\u{fffd}\nb"), ("\u{202e}\u{2066}\u{200f}\u{61c}", "\u{fffd}\u{fffd}\u{fffd}\u{fffd}"),
        ("\u{fffe}\u{ffff}", "\u{fffd}\u{fffd}"), ("&amp;", "&amp;amp;"), ("]]>", "]]&gt;"),
    ])
    func textsAreEscaped(text: String, source: String) {
        #expect(HTML(text).source == source)
        #expect(("\(text)" as HTML).source == source)
        #expect(HTML("b", [.attribute("title", text)]).source == "<b title=\"\(source)\"></b>")
        #expect(HTML("a", [.link(to: text)]).source == "<a href=\"#\(source)\"></a>")
    }

    /// What stands in an element of data ends no element, and is the same to a reader of JSON.
    @Test(arguments: SampleRecord.hostileTexts)
    func dataEndsNothing(text: String) throws {
        let json = String(decoding: try JSONEncoder().encode([text]), as: UTF8.self)
        let source = HTML.data(json, id: "data").source
        let content = try #require(
            source.firstMatch(of: /<script type="application\/json" id="data">([^<>&]*)<\/script>/))
        #expect(try JSONDecoder().decode([String].self, from: Data(content.output.1.utf8)) == [text])
    }

    @Test(arguments: [
        (0.0, "0"), (1.5, "1.50"), (-0.25, "-0.25"), (1000, "1000"), (0.004, "0"), (.nan, "0"), (.infinity, "0"),
        (1e300, "1000000000"),
    ])
    func lengthsAreNumbers(value: Double, text: String) {
        #expect(HTML.number(value) == text)
    }

    /// Every record there is, as it was written.
    @Test(arguments: SampleRecord.names)
    func recordsMakePages(name: String) throws {
        let run = RecordedRun(directory: SampleRecord.fixture(name))
        #expect(run.problems.isEmpty)
        let page = try Page(ReportFormat.html.document(of: run))
        #expect(
            page.ids.isSuperset(of: ["findings", "steps", "witnesses", "time", "maps", "entries", "log", "machine"]))
        #expect(page.text.contains(run.results.run))
        #expect(!page.text.contains("damaged"))
        #expect(ReportFormat.text.document(of: run).contains(run.results.outcome.rawValue))
    }

    /// A kernel that keeps no list has nothing to say of one, and nobody asked it.
    @Test func whoWasNotAskedIsNotBlamed() throws {
        let run = RecordedRun(directory: SampleRecord.fixture("run-6.12-64k-power9"))
        let page = try Page(ReportFormat.html.document(of: run))
        #expect(page.text.contains("· not asked"))
        #expect(!page.text.contains("? cannot say"))
    }

    /// The same with hostile words in every field. The record is damaged then, and its page shows all of it as text.
    @Test(arguments: ["run-6.1-power8-kdump", "run-6.12-4k-power8-failed-plug"])
    func hostileWordsAreWords(name: String) throws {
        let folder = try TemporaryFolder()
        let run = RecordedRun(directory: try SampleRecord.hostile(name, in: folder))
        #expect(run.information != nil)
        #expect(!run.results.steps.isEmpty)
        #expect(!run.memory.isEmpty)
        let page = try Page(ReportFormat.html.document(of: run))
        #expect(page.text.contains("<img src=\"http://taken.invalid/\" onerror=\"alert(1)\">"))
        #expect(page.ids.isSuperset(of: ["findings", "steps", "witnesses", "maps", "log", "machine"]))
    }

    /// What is no record, or half of one.
    @Test(arguments: ["run.json", "results.json", "events.jsonl", "snapshot-4.json", "console.log", "plan.yaml"])
    func whatIsMissingIsSaid(file: String) throws {
        let folder = try TemporaryFolder()
        let record = folder.url.appending(path: "run")
        try FileManager.default.copyItem(at: SampleRecord.fixture("run-6.1-power8"), to: record)
        try FileManager.default.removeItem(at: record.appending(path: file))
        let run = RecordedRun(directory: record)
        #expect(run.problems.contains { $0.file == file })
        let page = try Page(ReportFormat.html.document(of: run))
        #expect(page.text.contains("What is wrong with the record."))
        #expect(page.text.contains(file))
    }

    /// Many entries are data and a few shapes, and no more elements than few entries are.
    @Test func manyEntriesAreData() throws {
        let document = ReportFormat.html.document(of: SampleRecord.run(entryCount: 16_384))
        let page = try Page(document)
        #expect(page.text.contains("16384 blocks of 4 KiB"))
        #expect(page.elementCount < 4000)
        #expect(document.utf8.count < 1 << 20)
    }
}

/// A page, read as XML and held to what every page has to be.
final class Page: NSObject, XMLParserDelegate {
    private(set) var ids: Set<String> = []
    private(set) var text = ""
    private(set) var elementCount = 0
    private var links: Set<String> = []
    private var names: [String] = []
    private var headings: [Int] = []
    private var wrong: [String] = []
    private var scriptCount = 0

    private let leadsToPages: Bool

    /// Throws for one that is not well-formed, and records an issue for everything else that is not as it must be. One that
    /// leads to pages of runs has no script.
    init(_ document: String, leadsToPages: Bool = false) throws {
        self.leadsToPages = leadsToPages
        super.init()
        let parser = XMLParser(data: Data(document.replacing("<!DOCTYPE html>", with: "").utf8))
        parser.delegate = self
        guard parser.parse() else {
            throw NotWellFormed(text: "line \(parser.lineNumber): \(parser.parserError.map { "\($0)" } ?? "")")
        }
        #expect(wrong.isEmpty)
        #expect(scriptCount == (leadsToPages ? 0 : 2))
        #expect(links.subtracting(ids) == [])
        #expect(headings.first == 1)
        #expect(headings.count { $0 == 1 } == 1)
        for (heading, next) in zip(headings, headings.dropFirst()) where next > heading + 1 {
            Issue.record("a heading of level \(next) stands under one of level \(heading)")
        }
    }

    struct NotWellFormed: Error { let text: String }

    private static let known: Set<String> = [
        "html", "head", "meta", "title", "style", "script", "body", "a", "nav", "ul", "li", "form", "label", "input",
        "div",
        "p", "main", "header", "footer", "section", "article", "h1", "h2", "h3", "h4", "span", "strong", "code", "pre",
        "dl",
        "dt", "dd", "table", "caption", "thead", "tbody", "tr", "th", "td", "details", "summary", "figure",
        "figcaption",
        "svg", "rect", "line", "path", "circle", "text", "noscript", "button",
    ]

    func parser(
        _ parser: XMLParser, didStartElement name: String, namespaceURI: String?, qualifiedName: String?,
        attributes: [String: String]
    ) {
        elementCount += 1
        names.append(name)
        if !Self.known.contains(name) { wrong.append("element \(name)") }
        if name == "script" { scriptCount += 1 }
        if name.count == 2, name.hasPrefix("h"), let level = Int(name.dropFirst()) { headings.append(level) }
        if name == "th", attributes["scope"] == nil { wrong.append("a head of a table without scope") }
        if name == "svg", attributes["role"] == "img", attributes["aria-label"] == nil {
            wrong.append("an image without a name")
        }
        for (key, value) in attributes {
            if key.hasPrefix("on") || ["src", "style", "action", "srcset"].contains(key) {
                wrong.append("attribute \(key)")
            }
            if key == "id", !ids.insert(value).inserted { wrong.append("id \(value) twice") }
            if key == "href" {
                if value.hasPrefix("#") {
                    links.insert(String(value.dropFirst()))
                } else if !leadsToPages || !value.hasPrefix("reports/") {
                    wrong.append("link \(value)")
                }
            }
        }
    }

    func parser(_ parser: XMLParser, didEndElement name: String, namespaceURI: String?, qualifiedName: String?) {
        names.removeLast()
    }

    func parser(_ parser: XMLParser, foundCharacters string: String) {
        if names.last != "script", names.last != "style" { text += string }
    }
}
