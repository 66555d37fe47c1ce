// SPDX-License-Identifier: Apache-2.0

import Foundation
import FoundationXML

/// A run as JUnit XML, which CI systems read: a test suite, and a test case for each step.
///
/// `failure` is for findings that nobody excused, and for what had to be verified and was not (its type is `incomplete`);
/// `error` for what failed outside of the guest; `skipped` for steps of the plan that the run did not come to. What a step
/// says besides, expected findings among it, stands in its `system-out`.
struct JUnitReport {
    let document: String

    /// A run alone.
    init(_ run: RecordedRun) {
        let run = TestRun(run)
        self.init([(Self.words(of: run), run)])
    }

    /// Several runs, each a suite that is named by these words.
    init(_ runs: [(words: [String], run: TestRun)]) {
        let suites = runs.map { Self.suite($0.words, $0.run) }
        let root = Self.element("testsuites", Self.totals(runs.map(\.run)) + [("name", "qemu-harness")], suites)
        let document = XMLDocument(rootElement: root)
        document.version = "1.0"
        document.characterEncoding = "UTF-8"
        self.document = document.xmlString(options: .nodePrettyPrint)
    }

    private static func suite(_ words: [String], _ run: TestRun) -> XMLElement {
        let suite = element(
            "testsuite", totals([run]) + [("name", (["qemu-harness"] + words).joined(separator: " "))])
        if let start = run.startedAt {
            // UTC, without saying so: what readers of JUnit XML have always taken.
            let style = Date.ISO8601FormatStyle(timeZone: .gmt).year().month().day().dateSeparator(.dash)
                .time(includingFractionalSeconds: false).timeSeparator(.colon)
            suite.addAttribute(attribute("timestamp", start.formatted(style)))
        }
        suite.addChild(
            element(
                "properties", [],
                run.properties.map { element("property", [("name", $0.name), ("value", $0.value)]) }))
        let className = className(of: words)
        for test in run.tests { suite.addChild(testCase(test, className: className)) }
        return suite
    }

    private static func totals(_ runs: [TestRun]) -> [(String, String)] {
        let tests = runs.flatMap(\.tests)
        func count(_ statuses: TestCase.Status...) -> String { "\(tests.count { statuses.contains($0.status) })" }
        return [
            ("tests", "\(tests.count)"), ("failures", count(.failed, .incomplete)), ("errors", count(.error)),
            ("skipped", count(.skipped)), ("time", text(ofSeconds: runs.reduce(0) { $0 + $1.seconds })),
        ]
    }

    /// The machine and its kernel: the same in each run of it, so that a history can be kept.
    private static func words(of run: TestRun) -> [String] {
        ["cpu", "mmu", "kernel"].compactMap { name in run.properties.first { $0.name == name }?.value }
    }

    /// The same as a name of packages, whose parts are between dots.
    private static func className(of words: [String]) -> String {
        (["qemu-harness"] + words).flatMap { $0.split(separator: " ") }.map { part in
            String(part.map { $0.isASCII && ($0.isLetter || $0.isNumber || "-_".contains($0)) ? $0 : "_" })
        }.joined(separator: ".")
    }

    private static func testCase(_ test: TestCase, className: String) -> XMLElement {
        let element = element(
            "testcase", [("name", test.name), ("classname", className), ("time", text(ofSeconds: test.seconds))])
        let details = test.details.joined(separator: "\n")
        let result: XMLElement? =
            switch test.status {
            case .passed: nil
            case .failed:
                Self.element(
                    "failure", [("type", test.findingNames.first ?? "failed"), ("message", test.reason)],
                    text: details)
            case .incomplete:
                Self.element("failure", [("type", "incomplete"), ("message", test.reason)], text: details)
            case .error: Self.element("error", [("type", "infrastructure"), ("message", test.reason)], text: details)
            case .skipped: Self.element("skipped", [("message", test.reason)])
            }
        if let result {
            element.addChild(result)
        } else if !details.isEmpty {
            element.addChild(Self.element("system-out", [], text: details))
        }
        return element
    }

    private static func text(ofSeconds seconds: Double) -> String { String(format: "%.3f", seconds) }

    // MARK: - Elements

    private static func attribute(_ name: String, _ value: String) -> XMLNode {
        let attribute = XMLNode(kind: .attribute)
        attribute.name = name
        attribute.stringValue = value
        return attribute
    }

    private static func element(
        _ name: String, _ attributes: [(String, String)], _ children: [XMLElement] = [], text: String = ""
    ) -> XMLElement {
        let element = XMLElement(name: name)
        for (name, value) in attributes { element.addAttribute(attribute(name, value)) }
        for child in children { element.addChild(child) }
        if !text.isEmpty { element.stringValue = text }
        return element
    }
}
