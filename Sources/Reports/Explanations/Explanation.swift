// SPDX-License-Identifier: Apache-2.0

import HarnessBasics
package import Verification

/// What is to be known of a finding: its own text, and what it has in common with others of its subject.
package struct Explanation: Encodable {
    package let name: String
    package let subject: Finding.Subject
    package let fault: Finding.Fault
    /// What is wrong, in half a line.
    package let summary: String
    /// What was held against what: the subject's reading, and what was asked of it.
    package let compared: [String]
    /// What a dump tool makes of it.
    package let dump: String
    /// The likeliest cause first.
    package let causes: [String]
    /// Files of the kernel, with functions.
    package let kernel: [String]
    /// What to look at next.
    package let next: [String]
    /// A message as the program prints it.
    package let example: String

    private init(_ text: FindingText, of subject: SubjectText) {
        let finding = Finding(subject.subject, text.fault, "")
        (name, self.subject, fault) = (finding.name, subject.subject, text.fault)
        summary = text.summary
        compared = [subject.read, text.compared]
        dump = text.dump ?? subject.dump
        causes = text.causes.isEmpty ? subject.causes : text.causes
        kernel = text.kernel
        next = [text.next, subject.next].compactMap { $0 }
        example = text.example(of: subject.subject)
    }

    /// Each finding's, subject by subject.
    package static let all = SubjectText.all.flatMap { subject in
        FindingText.all.filter { $0.subjects.contains(subject.subject) }.map { Explanation($0, of: subject) }
    }

    /// What is to be known of a finding; nil where there is no such name.
    package static func of(_ name: String) -> Explanation? { byName[name] }

    private static let byName = Dictionary(uniqueKeysWithValues: all.map { ($0.name, $0) })

    /// The line that points from findings to `explain`, nil where there are none.
    package static func pointer(to findingNames: [String]) -> String? {
        findingNames.first.map { "more:   qemu-harness explain \($0)" }
    }

    /// How many names are told of where there is none of the one that was asked for.
    private static let nearestLimit = 5

    /// The names that are most like a text: those that hold it, or are held by it, then those that fewest letters make of it.
    package static func names(near text: String) -> [String] {
        let text = String(text.lowercased().prefix(80))
        let ranked = all.map { explanation -> (name: String, rank: Int) in
            let isPart = text.count > 2 && (explanation.name.contains(text) || text.contains(explanation.name))
            return (explanation.name, isPart ? -1 : distance(explanation.name, text))
        }
        return ranked.sorted { ($0.rank, $0.name) < ($1.rank, $1.name) }.prefix(nearestLimit).map(\.name)
    }

    /// How many letters have to go, come or change to make the one of the other.
    private static func distance(_ first: String, _ second: String) -> Int {
        let second = Array(second)
        var row = Array(0...second.count)
        for (index, letter) in first.enumerated() {
            var diagonal = row[0]
            row[0] = index + 1
            for column in second.indices {
                let cost = diagonal + (letter == second[column] ? 0 : 1)
                diagonal = row[column + 1]
                row[column + 1] = min(cost, row[column] + 1, diagonal + 1)
            }
        }
        return row[second.count]
    }

    /// For a terminal.
    package func text(isColored: Bool) -> String {
        let title = isColored ? "\u{1b}[1m\(name)\u{1b}[0m" : name
        let sections: [(title: String, items: [String])] = [
            ("compared", compared), ("in a dump", [dump]), ("causes", causes), ("kernel", kernel), ("look at", next),
            ("example", ["\(name): \(example)"]),
        ]
        let lines = sections.filter { !$0.items.isEmpty }.flatMap { section -> [String] in
            [section.title]
                + section.items.flatMap {
                    Terminal.wrapped($0, width: Terminal.width - 4, indent: "  ").map { "  " + $0 }
                }
        }
        return (["\(title): \(summary)", ""] + lines).joined(separator: "\n") + "\n"
    }

    /// All names with a line each.
    package static func listText() -> String {
        let rows = all.map { [$0.name, $0.summary] }
        return TextTable([.left(), .left()], rows).lines().joined(separator: "\n") + "\n"
    }
}
