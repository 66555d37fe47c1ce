// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc
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
    init(in parent: URL = FileManager.default.temporaryDirectory) throws {
        runsDirectory = parent.appending(path: "qh-test-\(UUID().uuidString)")
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
        _ arguments: [String], environment: [String: String] = [:],
        body: @escaping @Sendable (ProcessIdentifier) async throws -> Void = { _ in }
    ) async throws -> Ending {
        try await Self.start(
            ["run", "--runs-dir", runsDirectory.path] + arguments, environment: environment, body: body)
    }

    /// Runs qemu-harness with arguments, and more in its environment than this process has.
    static func start(
        _ arguments: [String], environment: [String: String] = [:],
        body: @escaping @Sendable (ProcessIdentifier) async throws -> Void = { _ in }
    ) async throws -> Ending {
        let variables = environment.map { (Environment.Key(stringLiteral: $0.key), $0.value as String?) }
        let result = try await Subprocess.run(
            .path(FilePath(program.path)), arguments: Arguments(arguments),
            environment: .inherit.updating(Dictionary(uniqueKeysWithValues: variables)), input: .none,
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
        try RunInformation(record: record)
    }

    /// Waits until the newest record has an event of a kind.
    func waitForEvent(_ kind: String, containing text: String? = nil) async throws {
        let events = record.appending(path: RunDirectory.eventsName)
        while true {
            // Asked for first: a run that has ended writes no more events.
            let hasEnded = try? information().outcome != nil
            let lines = (try? String(contentsOf: events, encoding: .utf8))?.split(separator: "\n") ?? []
            let found = lines.contains { line in
                line.contains("\"kind\":\"\(kind)\"") && (text.map { line.contains($0) } ?? true)
            }
            if found { return }
            try #require(hasEnded != true, "the run has ended without an event '\(kind)'")
            try await Task.sleep(for: .milliseconds(20))
        }
    }

}

extension HarnessProcess {
    /// The runs that are recorded here.
    private func identifiers() throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: runsDirectory.path).filter { $0.contains("Z-") }
            .compactMap { $0.split(separator: "-").last.map(String.init) }
    }

    /// What the runs that are recorded here have left behind.
    func leftovers() throws -> [String] { try RealGuestTests.leftovers(of: identifiers()) }

    /// Waits until libvirt has started the QEMU of the run that is recorded here, and its guest runs.
    func waitForQemu() async throws {
        let console = record.appending(path: "console.log")
        while (try? Data(contentsOf: console).isEmpty) != false { try await Task.sleep(for: .milliseconds(20)) }
    }

    /// Sends a signal to the QEMU of the run that is recorded here.
    func signalQemu(_ number: Int32) throws {
        let process = try #require(try qemuProcesses(of: identifiers()).first)
        #expect(kill(process, number) == 0)
    }
}

/// What runs may not leave behind: files of theirs in the two folders they use, and processes on those.
func leftovers(of identifiers: [String]) throws -> [String] {
    let names = identifiers.map { "qh-\($0)" }
    var found = names.flatMap { ["/tmp/\($0)", "/tmp/.\($0)", "/dev/shm/\($0)", "/dev/shm/\($0).shared"] }
        .filter { FileManager.default.fileExists(atPath: $0) }
    for process in try qemuProcesses(of: identifiers) { found.append("process \(process)") }
    return found
}

/// The QEMUs that run guests of these runs.
func qemuProcesses(of identifiers: [String]) throws -> [Int32] {
    try FileManager.default.contentsOfDirectory(atPath: "/proc").compactMap { Int32($0) }.filter { process in
        guard let commandLine = FileManager.default.contents(atPath: "/proc/\(process)/cmdline") else { return false }
        let text = String(decoding: commandLine, as: UTF8.self)
        return text.hasPrefix("/usr/bin/qemu-system-ppc64") && identifiers.contains { text.contains("guest=qh-\($0)") }
    }
}
