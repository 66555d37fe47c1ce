// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Foundation
import Testing

@testable import qemu_harness

/// What is written for people leads where it says, and begins with what somebody new needs.
@Suite struct DocumentationTests {
    private static let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent()

    /// README and the like, and everything under docs/, by path.
    private static func documents() throws -> [String] {
        let docs = try FileManager.default.contentsOfDirectory(atPath: root.appending(path: "docs").path)
        return ["README.md", "DESIGN.md", "CONTRIBUTING.md"]
            + docs.filter { $0.hasSuffix(".md") }.sorted().map { "docs/\($0)" }
    }

    private static func text(_ path: String) throws -> String {
        try String(contentsOf: root.appending(path: path), encoding: .utf8)
    }

    /// What is no code.
    private static func prose(_ text: String) -> String {
        var isCode = false
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false).filter { line in
            guard line.hasPrefix("```") else { return !isCode }
            isCode.toggle()
            return false
        }
        return lines.joined(separator: "\n").replacing(/`[^`\n]*`/, with: "code")
    }

    /// The names that a document's headings have in links.
    private static func anchors(_ text: String) -> Set<String> {
        var isCode = false
        let headings = text.split(separator: "\n").filter { line in
            if line.hasPrefix("```") { isCode.toggle() }
            return !isCode && line.hasPrefix("#")
        }
        return Set(
            headings.map { heading in
                let title = heading.drop { $0 == "#" }.trimmingCharacters(in: .whitespaces).lowercased()
                let kept = title.filter { $0.isLetter || $0.isNumber || "-_ ".contains($0) }
                return String(kept.map { $0 == " " ? "-" : $0 })
            })
    }

    @Test func everyRelativeLinkLeadsSomewhere() throws {
        let documents = try Self.documents()
        #expect(documents.count > 10)
        var count = 0
        for document in documents {
            let text = try Self.text(document)
            for match in Self.prose(text).matches(of: /\]\(([^()\s]+)\)/) where !match.output.1.contains("://") {
                count += 1
                let parts = match.output.1.split(separator: "#", maxSplits: 1, omittingEmptySubsequences: false)
                let base = Self.root.appending(path: document)
                let folder = base.deletingLastPathComponent()
                let target = parts[0].isEmpty ? base : folder.appending(path: parts[0]).standardized
                guard target.path.hasPrefix(Self.root.standardized.path + "/"),
                    FileManager.default.fileExists(atPath: target.path)
                else {
                    Issue.record("\(document): \(match.output.1) leads nowhere")
                    continue
                }
                guard parts.count == 2, target.pathExtension == "md" else { continue }
                let anchors = Self.anchors(try String(contentsOf: target, encoding: .utf8))
                #expect(anchors.contains(String(parts[1])), "\(document): \(match.output.1) has no such heading")
            }
        }
        #expect(count > 100)
    }

    /// Somebody new reads it to its end.
    @Test func readmeIsShort() throws {
        let lines = try Self.text("README.md").split(separator: "\n", omittingEmptySubsequences: false)
        #expect(lines.count <= 151)
    }

    /// From README every other document is one or two links away.
    @Test func readmeLeadsToEveryDocument() throws {
        let readme = try Self.text("README.md")
        for document in try Self.documents() where document != "README.md" {
            #expect(readme.contains("](\(document))"), "README.md does not lead to \(document)")
        }
    }

    /// The rows of README's table, and the program's subcommands.
    @Test func readmeHasEveryCommand() throws {
        let sections = try Self.text("README.md").split(separator: "\n## ")
        let section = try #require(sections.first { $0.hasPrefix("Commands\n") })
        let rows = section.matches(of: /\n\| `([a-z]+)`/).map { String($0.output.1) }
        let commands = try QemuHarness.configuration.subcommands.filter { $0.configuration.shouldDisplay }
            .map { try #require($0.configuration.commandName) }
        #expect(rows.sorted() == commands.sorted())
    }
}
