// SPDX-License-Identifier: Apache-2.0

import Foundation
import Verification

/// A run as KTAP, version 1 (Documentation/dev-tools/ktap.rst): a test for each run, with its steps below it, and below each
/// verification its witnesses and what it found.
struct KTAPReport {
    let document: String

    /// A test, with those below it.
    private struct Node {
        var name: String
        var isOK: Bool
        /// Why it was skipped; nil where it was not.
        var skipped: String?
        var diagnostics: [String] = []
        var children: [Node] = []
    }

    /// A run alone.
    init(_ run: RecordedRun) { self.init([("qemu-harness", TestRun(run))]) }

    /// Several runs, each a test at the top.
    init(_ runs: [(name: String, run: TestRun)]) {
        let tests = runs.map { name, run in
            Node(
                name: name, isOK: !run.tests.contains { $0.status.isFailure },
                diagnostics: run.properties.map { "\($0.name): \($0.value)" }, children: run.tests.map(Self.node))
        }
        document = Self.lines(of: tests, name: nil, indent: "").map { $0 + "\n" }.joined()
    }

    // MARK: - Tests

    private static func node(_ test: TestCase) -> Node {
        var node = Node(
            name: test.name, isOK: !test.status.isFailure, skipped: test.status == .skipped ? test.reason : nil,
            diagnostics: test.details)
        if test.seconds > 0 { node.diagnostics.append("seconds: " + String(format: "%.3f", test.seconds)) }
        let children = test.verdict.map { Self.children(of: test, $0) } ?? []
        // A parser may count those below a test alone: so they never say something else than the test.
        if !children.allSatisfy(\.isOK) == !node.isOK { node.children = children }
        return node
    }

    private static func children(of test: TestCase, _ verdict: Verdict) -> [Node] {
        let witnesses = verdict.witnesses.map { statement -> Node in
            var node = Node(
                name: statement.witness.rawValue, isOK: true,
                diagnostics: ["agreeing: \(statement.agreeingCount)", "detail: \(ReportText.line(statement.detail))"])
            let unsaid = test.unsaid.filter { $0.witness == statement.witness }.map(TestCase.told)
            switch statement.standing {
            case .agrees: break
            case .contradicts:
                node.isOK = test.status != .failed
                if node.isOK { node.diagnostics.append("stands: differs, as expected") }
            case .incomplete, .cannotSay, .absent:
                node.isOK = unsaid.isEmpty
                if node.isOK { node.skipped = "stands: \(statement.standing.rawValue)" }
            }
            if !unsaid.isEmpty {
                node.isOK = false
                node.diagnostics += unsaid.map { ReportText.line($0) }
            }
            return node
        }
        return witnesses
            + test.findingNames.map { name in
                let messages = test.findings.lazy.filter { $0.name == name }.prefix(16)
                return Node(
                    name: name, isOK: false, diagnostics: messages.map { "\(name): \(ReportText.line($0.message))" })
            }
    }

    // MARK: - Lines

    /// Tests that stand at one depth: version, name of the test that they are below, plan, results.
    private static func lines(of tests: [Node], name: String?, indent: String) -> [String] {
        var lines = ["KTAP version 1"]
        if let name { lines.append("# Subtest: \(name)") }
        lines.append("1..\(tests.count)")
        for (index, test) in tests.enumerated() {
            let name = Self.name(test.name)
            if !test.children.isEmpty { lines += Self.lines(of: test.children, name: name, indent: "  ") }
            lines += test.diagnostics.map { "# " + Self.diagnostic($0) }
            let skipped = test.skipped.map { " # SKIP " + Self.name($0) } ?? ""
            lines.append("\(test.isOK ? "ok" : "not ok") \(index + 1) \(name)\(skipped)")
        }
        return lines.map { indent + $0 }
    }

    /// A test's name: what comes behind `#` is no name any more, and a dash at its beginning is none of it.
    private static func name(_ text: String) -> String {
        let words = ReportText.line(text, limit: 160).replacing("#", with: "\u{ff03}")
            .split(separator: " ").joined(separator: " ")
        let name = words.drop { $0 == "-" || $0 == " " }
        return name.isEmpty ? "unnamed" : String(name)
    }

    /// What ends a kernel's log for KUnit's parser, wherever it stands in a line. A guest's words may hold it.
    private static let endings = [
        ("List of all partitions:", "List of all partitions;"),
        ("Kernel panic - not syncing: VFS:", "Kernel panic - not syncing; VFS:"),
        ("reboot: System halted", "reboot; System halted"),
    ]

    private static func diagnostic(_ text: String) -> String {
        endings.reduce(text) { $0.replacing($1.0, with: $1.1) }
    }
}
