// SPDX-License-Identifier: Apache-2.0

import HarnessBasics
import Verification

/// All explanations as one document, docs/findings.md: what a subject's findings have in common stands at its head, once.
package struct ExplanationDocument {
    private static let width = 120

    /// Markdown.
    package static var text: String {
        let head = """
            <!-- SPDX-License-Identifier: Apache-2.0 -->

            # Findings

            Every finding that this program can come to: what was compared, what it means for a dump, what may have caused it (the
            likeliest first), where in the kernel to look, and what to look at next. `qemu-harness explain NAME` prints one of them.

            This file is made from the program's own texts: `qemu-harness explain --markdown > docs/findings.md`.
            """
        return ([head] + contents + SubjectText.all.map(chapter)).joined(separator: "\n\n") + "\n"
    }

    private static var contents: [String] {
        let rows = SubjectText.all.map { subject in
            let names = Explanation.all.filter { $0.subject == subject.subject }.map {
                "[\($0.fault.rawValue)](#\($0.name))"
            }
            return "| `\(subject.subject.rawValue)-` | \(names.joined(separator: ", ")) |"
        }
        return [(["| subject | fault |", "|---|---|"] + rows).joined(separator: "\n")]
    }

    private static func chapter(_ subject: SubjectText) -> String {
        var parts = [
            "## \(subject.subject.rawValue)", paragraph(subject.read),
            item("In a dump", subject.dump),
        ]
        if !subject.causes.isEmpty { parts.append(list("Causes, unless a finding has its own", subject.causes)) }
        parts.append(item("Look at", subject.next))
        let texts = FindingText.all.filter { $0.subjects.contains(subject.subject) }
        return (parts + texts.map { section($0, of: subject.subject) }).joined(separator: "\n\n")
    }

    private static func section(_ text: FindingText, of subject: Finding.Subject) -> String {
        let name = Finding(subject, text.fault, "").name
        var parts = ["### \(name)", paragraph("**\(text.summary)**. \(text.compared)")]
        if let dump = text.dump { parts.append(item("In a dump", dump)) }
        if !text.causes.isEmpty { parts.append(list("Causes", text.causes)) }
        if !text.kernel.isEmpty { parts.append(list("Kernel", text.kernel)) }
        if let next = text.next { parts.append(item("Look at", next)) }
        parts.append(lines("*Example*: `\(text.example(of: subject))`", indent: ""))
        return parts.joined(separator: "\n\n")
    }

    private static func paragraph(_ text: String) -> String { lines(escaped(text), indent: "") }

    private static func item(_ title: String, _ text: String) -> String { paragraph("*\(title)*: \(text)") }

    private static func list(_ title: String, _ items: [String]) -> String {
        if items.count == 1 { return item(title, items[0]) }
        return "*\(title)*:\n\n" + items.map { lines("- \(escaped($0))", indent: "  ") }.joined(separator: "\n")
    }

    private static func lines(_ text: String, indent: String) -> String {
        Terminal.wrapped(text, width: width, indent: indent).joined(separator: "\n")
    }

    /// Two underscores before a name make nothing bold.
    private static func escaped(_ text: String) -> String { text.replacing("__", with: #"\_\_"#) }
}
