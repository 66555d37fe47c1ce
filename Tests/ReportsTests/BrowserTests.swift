// SPDX-License-Identifier: Apache-2.0

import Foundation
import Subprocess
import SystemPackage
import TestSupport
import Testing

@testable import Reports

/// Pages in a real browser.
@Suite(.enabled("there is no chromium: scripts/setup installs it") { Browser.isThere })
struct BrowserTests {
    /// Nothing of what anyone says is run, asked for, or complained of.
    @Test func hostileWordsDoNothing() async throws {
        let folder = try TemporaryFolder()
        let run = RecordedRun(directory: try SampleRecord.hostile("run-6.1-power8-kdump", in: folder))
        let opened = try await Browser.open(ReportFormat.html.document(of: run), in: folder)
        #expect(opened.console == [])
        #expect(!opened.netLog.contains("taken.invalid"))
        #expect(!opened.page.contains("<title>taken"))
        #expect(opened.page.matches(of: /<(img|iframe|object|embed|link|base)\b/).isEmpty)
        #expect(opened.page.matches(of: /<script\b/).count == 2)
        #expect(opened.page.contains(/data-ready="[1-9][0-9]*"/))
        #expect(opened.page.contains("taken.invalid"))
    }

    /// The browser takes all of them, and has no more rows than it shows.
    @Test func manyEntriesOpen() async throws {
        let folder = try TemporaryFolder()
        let document = ReportFormat.html.document(of: SampleRecord.run(entryCount: 16_384))
        let opened = try await Browser.open(document, in: folder)
        #expect(opened.console == [])
        #expect(opened.page.contains("data-ready=\"16384\""))
        #expect(opened.page.contains("Entries 1 to 50 of 16384."))
        #expect(opened.page.contains("<code>0xc0003f0000000000</code>"))
    }
}

extension BrowserTests {
    /// What somebody types, what the page says to that, which links it gives, and which entries it shows then.
    private struct Answer: Decodable {
        let query: String
        let count: String
        let links: [String]
        let entries: String
        let rows: [String]
    }

    /// Types into the search of a page, and reads its answers.
    private func answers(of document: String, to queries: [String]) async throws -> [Answer] {
        let folder = try TemporaryFolder()
        try folder.write(Array(document.utf8), to: "searched.html")
        let words = String(decoding: try JSONEncoder().encode(queries), as: UTF8.self)
        // The page lets no script of anybody else's run in it, so this one looks in from outside.
        let opened = try await Browser.open(
            """
            <!DOCTYPE html><meta charset="utf-8"><title>outside</title><pre id="answers"></pre>
            <iframe id="page" src="searched.html" width="1200" height="800"></iframe>
            <script>
            const frame = document.getElementById("page");
            frame.addEventListener("load", () => {
              const byId = (id) => frame.contentDocument.getElementById(id);
              const text = (selector) => [...frame.contentDocument.querySelectorAll(selector)].map((a) => a.textContent);
              const answers = \(words).map((query) => {
                byId("query").value = query;
                byId("search").dispatchEvent(new Event("submit", {cancelable: true}));
                return {query, count: byId("found-count").textContent, links: text("#found-list a"),
                  entries: byId("entry-count").textContent, rows: text("#entry-table tbody th")};
              });
              document.getElementById("answers").textContent = JSON.stringify(answers);
            });
            </script>
            """, in: folder)
        #expect(opened.console == [])
        let page = opened.page
        let start = try #require(page.firstRange(of: "<pre id=\"answers\">")?.upperBound)
        let end = try #require(page[start...].firstRange(of: "</pre>")?.lowerBound)
        return try JSONDecoder().decode([Answer].self, from: Data(page[start..<end].utf8))
    }

    /// An address leads to the entry that it lies in and to where it is drawn; words lead to where they stand.
    @Test func theSearchFinds() async throws {
        let run = RecordedRun(directory: SampleRecord.fixture("run-6.1-power9"))
        let first = "0xc00c000000000000"
        let answers = try await answers(
            of: ReportFormat.html.document(of: run),
            to: [first, "0xc00c000000000040", "0xc00c0000001fffff", "0xc00c000000200000", "0xc00c", "boot"]
                + ["nothing of the kind", "0xffffffffffffffff", "0", ""])
        func answer(_ query: String) throws -> Answer { try #require(answers.first { $0.query == query }) }
        // A window of 2 MiB, at its beginning, in it, at its end.
        for query in [first, "0xc00c000000000040", "0xc00c0000001fffff"] {
            let answer = try answer(query)
            #expect(answer.rows == [first], "\(query)")
            #expect(answer.entries == "Entries 1 to 1 of 1 that the search finds.")
            #expect(answer.links.first?.hasPrefix("Entry \(first) → 0x") == true, "\(answer.links)")
        }
        // Of that window boot memory's memory map fills the first half, the DIMM's the other.
        #expect(try answer(first).links.contains("Memory map of boot"))
        #expect(try answer("0xc00c0000001fffff").links.contains("Memory map of ua-dimm1"))
        #expect(try answer("0xc00c000000200000").rows == ["0xc00c000000200000"])
        // The beginning of an address finds all that begin so.
        let beginning = try answer("0xc00c")
        #expect(beginning.rows.count == 3 && beginning.links.first?.hasPrefix("3 entries, the first ") == true)
        #expect(try answer("boot").links.contains("Step 1"))
        for query in ["nothing of the kind", "0xffffffffffffffff"] {
            #expect(try answer(query).count == "Nothing in this page has it.", "\(query)")
            #expect(try answer(query).entries == "Entries 1 to 3 of 3.")
        }
        // One letter is no search.
        #expect(try answer("0").rows.count == 3 && answer("").rows.count == 3)
    }
}

/// Debian's Chromium, without a window.
enum Browser {
    static let path = "/usr/bin/chromium"
    static var isThere: Bool { FileManager.default.isExecutableFile(atPath: path) }

    /// A page that was opened.
    struct Opened {
        /// As it stands once its script has run.
        let page: String
        /// What the console says: errors, warnings, and what the page's policy refused.
        let console: [String]
        /// All that the browser asked a network for.
        let netLog: String
    }

    static func open(_ document: String, in folder: TemporaryFolder) async throws -> Opened {
        let page = try folder.write(Array(document.utf8), to: "page.html")
        let netLog = folder.path("net.json")
        let result = try await Subprocess.run(
            .path(FilePath(path)),
            arguments: [
                "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
                "--disable-component-update", "--disable-dev-shm-usage", "--user-data-dir=\(folder.path("profile"))",
                "--log-net-log=\(netLog)", "--enable-logging=stderr",
                // A page may look into another one that lies beside it, and is given the time for that.
                "--allow-file-access-from-files", "--virtual-time-budget=10000", "--dump-dom", "file://\(page)",
            ],
            environment: .inherit.updating(["HOME": folder.path("home")]), input: .none,
            output: .string(limit: 1 << 25), error: .string(limit: 1 << 22))
        #expect(result.terminationStatus == .exited(0))
        return Opened(
            page: result.standardOutput,
            console: result.standardError.split(separator: "\n").filter { $0.contains("CONSOLE") }.map(String.init),
            netLog: (try? String(contentsOfFile: netLog, encoding: .utf8)) ?? "")
    }
}
