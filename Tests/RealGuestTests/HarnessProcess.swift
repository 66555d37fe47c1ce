// SPDX-License-Identifier: Apache-2.0

import Foundation
import RunRecord
import Subprocess
import SystemPackage
import Testing

/// qemu-harness as a user runs it: a process of its own, with a runs directory of its own.
struct HarnessProcess {
    let runsDirectory: URL

    /// What a process came to.
    struct Ending {
        let status: TerminationStatus
        let output: String
        let errors: String
    }

    /// Makes an empty runs directory.
    init() throws {
        runsDirectory = FileManager.default.temporaryDirectory.appending(path: "qh-test-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: runsDirectory, withIntermediateDirectories: false)
    }

    /// Removes the runs directory; the test is over.
    func cleanUp() {
        try? FileManager.default.removeItem(at: runsDirectory)
    }

    /// The program, which SwiftPM puts beside the tests.
    static var program: URL {
        URL(filePath: "/proc/self/exe").resolvingSymlinksInPath().deletingLastPathComponent()
            .appending(path: "qemu-harness")
    }

    /// Runs `qemu-harness run` with arguments, and `body` beside it, which may send signals.
    func run(
        _ arguments: [String], body: @escaping @Sendable (ProcessIdentifier) async throws -> Void = { _ in }
    ) async throws -> Ending {
        try await Self.start(["run", "--runs-dir", runsDirectory.path] + arguments, body: body)
    }

    /// Runs qemu-harness with arguments.
    static func start(
        _ arguments: [String], body: @escaping @Sendable (ProcessIdentifier) async throws -> Void = { _ in }
    ) async throws -> Ending {
        let result = try await Subprocess.run(
            .path(FilePath(program.path)), arguments: Arguments(arguments), input: .none,
            output: .string(limit: 1 << 24), error: .string(limit: 1 << 20)
        ) { execution in
            try await body(execution.processIdentifier)
        }
        return Ending(
            status: result.terminationStatus, output: result.standardOutput,
            errors: result.standardError)
    }

    /// The newest record.
    var record: URL { runsDirectory.appending(path: "latest") }

    /// The newest record's results.
    func results() throws -> RunResults {
        try JSONDecoder().decode(
            RunResults.self, from: Data(contentsOf: record.appending(path: "results.json")))
    }

    /// The newest record's description of the run.
    func information() throws -> RunInformation {
        let decoder = JSONDecoder()
        decoder.dateDecodingStrategy = .iso8601
        return try decoder.decode(
            RunInformation.self, from: Data(contentsOf: record.appending(path: "run.json")))
    }

    /// Waits until the newest record has an event of a kind.
    func waitForEvent(_ kind: String, containing text: String? = nil) async throws {
        let events = record.appending(path: RunDirectory.eventsName)
        while true {
            let lines = (try? String(contentsOf: events, encoding: .utf8))?.split(separator: "\n") ?? []
            let found = lines.contains { line in
                line.contains("\"kind\":\"\(kind)\"") && (text.map { line.contains($0) } ?? true)
            }
            if found { return }
            try await Task.sleep(for: .milliseconds(20))
        }
    }
}

/// What runs may not leave behind: files of theirs in the two folders they use, and processes on those.
func leftovers() throws -> [String] {
    var found: [String] = []
    for folder in ["/tmp", "/dev/shm"] {
        found += try FileManager.default.contentsOfDirectory(atPath: folder)
            .filter { $0.wholeMatch(of: /qh-[a-z0-9]{8}(\.shared)?/) != nil && !$0.contains(Lab.identifier) }
            .map { "\(folder)/\($0)" }
    }
    for entry in try FileManager.default.contentsOfDirectory(atPath: "/proc") where Int(entry) != nil {
        guard let commandLine = FileManager.default.contents(atPath: "/proc/\(entry)/cmdline") else { continue }
        let text = String(decoding: commandLine, as: UTF8.self)
        if text.hasPrefix("/usr/bin/qemu-system-ppc64"), text.contains("guest=qh-") { found.append("process \(entry)") }
    }
    return found
}
