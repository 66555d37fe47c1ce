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
                "--log-net-log=\(netLog)", "--enable-logging=stderr", "--dump-dom", "file://\(page)",
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
