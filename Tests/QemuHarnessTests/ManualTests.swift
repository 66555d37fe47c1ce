// SPDX-License-Identifier: Apache-2.0

import Foundation
import Subprocess
import TestSupport
import Testing

/// The manual pages in docs/man are those of this program. That each is to the letter what is generated now,
/// `scripts/test --all` has scripts/man-pages compare.
@Suite struct ManualTests {
    private static let folder = URL(filePath: #filePath).deletingLastPathComponent()
        .appending(path: "../../docs/man").standardizedFileURL

    /// What the program says of a command to those who make documents.
    private struct Command: Decodable {
        struct Argument: Decodable {
            struct Name: Decodable { let name: String }
            let names: [Name]?
            let shouldDisplay: Bool
        }
        let commandName: String
        let shouldDisplay: Bool
        let abstract: String?
        let arguments: [Argument]?
        let subcommands: [Command]?
    }

    private struct Document: Decodable { let command: Command }

    /// Each command with the name of its page.
    private static func pages(_ command: Command, under parent: String? = nil) -> [(name: String, command: Command)] {
        let name = (parent.map { $0 + "." } ?? "") + command.commandName
        let shown = (command.subcommands ?? []).filter(\.shouldDisplay)
        return [(name, command)] + shown.flatMap { pages($0, under: name) }
    }

    /// A page's words, without its markup; a hyphen may be escaped.
    private static func words(_ text: String) -> String {
        text.replacing("\\-", with: "-").replacing("\\&", with: "").split(whereSeparator: \.isWhitespace)
            .joined(separator: " ")
    }

    @Test func everyCommandHasItsPage() async throws {
        let help = try await HarnessProgram.run(["--experimental-dump-help"])
        #expect(help.status == .exited(0))
        let pages = Self.pages(try JSONDecoder().decode(Document.self, from: Data(help.output.utf8)).command)
        #expect(pages.count > 15)
        let files = try FileManager.default.contentsOfDirectory(atPath: Self.folder.path)
        #expect(files.sorted() == pages.map { $0.name + ".1" }.sorted())
        for (name, command) in pages {
            let file = Self.folder.appending(path: name + ".1")
            let words = Self.words(try String(contentsOf: file, encoding: .utf8))
            if let abstract = command.abstract {
                #expect(words.contains(Self.words(String(abstract.prefix { $0 != "." }))), "\(name): \(abstract)")
            }
            for option in (command.arguments ?? []).filter(\.shouldDisplay).flatMap({ $0.names ?? [] }) {
                #expect(words.contains(option.name), "\(name): \(option.name)")
            }
        }
    }
}
