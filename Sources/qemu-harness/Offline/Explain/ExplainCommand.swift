// SPDX-License-Identifier: Apache-2.0

package import ArgumentParser
import Foundation
import HarnessBasics
import Reports
import RunRecord

/// `explain`: what a finding means.
package struct ExplainCommand: ParsableCommand {
    package static let configuration = CommandConfiguration(
        commandName: "explain",
        abstract: "Say what a finding means, what may have caused it, and where to look.",
        discussion: """
            Findings are named as runs, 'verify' and 'inspect' print them. Without a name all are listed, with a line each.

            Example:
              qemu-harness explain list-coverage-hole
            """
    )

    /// A command that is not parsed yet.
    package init() {}

    @Argument(help: ArgumentHelp("A finding's name.", valueName: "finding"))
    var finding: String?

    @Flag(help: "Print it as JSON; without a name all of them.")
    var json = false

    @Flag(help: "Print all of them as one Markdown document, which is docs/findings.md.")
    var markdown = false

    /// Refuses what does not go together.
    package func validate() throws {
        guard markdown else { return }
        if json { throw ValidationError("--markdown and --json exclude each other") }
        if finding != nil { throw ValidationError("--markdown is of all findings") }
    }

    /// Prints.
    package func run() throws {
        let document = Data(try text().utf8)
        // A reader that has gone is nobody's error.
        try? FileHandle.standardOutput.write(contentsOf: document)
    }

    /// What is printed.
    func text() throws -> String {
        if markdown { return ExplanationDocument.text }
        guard let finding else {
            return try json ? Self.json(Explanation.all) : Explanation.listText()
        }
        guard let explanation = Explanation.all.first(where: { $0.name == finding }) else {
            let names = Explanation.names(near: finding).joined(separator: ", ")
            throw HarnessError.usage("there is no finding '\(finding.prefix(80))'; the nearest are \(names)")
        }
        if json { return try Self.json(explanation) }
        return explanation.text(
            isColored: Terminal.isColored(STDOUT_FILENO, environment: ProcessInfo.processInfo.environment))
    }

    private static func json(_ value: some Encodable) throws -> String {
        String(decoding: try RunDirectory.json(value), as: UTF8.self)
    }
}
