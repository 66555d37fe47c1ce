// SPDX-License-Identifier: Apache-2.0

import Foundation
import HarnessBasics
import RunRecord
import Runs
import Subprocess
import Synchronization
import SystemPackage

/// A cell's run, in a process of its own: what happens to it happens to no other.
struct CellProcess {
    let cell: MatrixCell
    let attempt: MatrixAttempt
    /// The matrix's folder, in which the run's record comes to lie.
    let folder: URL
    /// `run`'s options beside the cell's own.
    let options: [String]
    /// What the run's process has as its standard input: it ends when nobody holds the other end any more.
    let input: FileDescriptor
    /// The processes that run.
    let running: RunningProcesses

    /// A run that was asked to end has so long before it is asked again, and then to give up the guest.
    private static let patience = Duration.seconds(90)
    /// What is kept of what a run says on stderr.
    private static let wordsByteLimit = 1 << 16

    /// Takes the run; when the task is cancelled, the run is interrupted as by Ctrl-C. It has come to what its exit code says
    /// where its record bears that out.
    func run() async -> MatrixEnding {
        let start = ContinuousClock.now
        let (status, words): (TerminationStatus, String)
        do {
            (status, words) = try await perform()
        } catch {
            return MatrixEnding(
                outcome: Task.isCancelled ? .interrupted : .error, seconds: start.duration(to: .now).inSeconds,
                error: "its process: \(error)")
        }
        let (outcome, fault): (Outcome, String?) =
            switch status {
            case .exited(let code):
                Outcome(exitCode: Int32(code)).map { ($0, nil) } ?? (.error, "its process ended with \(code)")
            case .signaled(let signal):
                (Task.isCancelled ? .interrupted : .error, "its process was killed by signal \(signal)")
            }
        let lastWords = outcome == .error ? words.split(separator: "\n").last.map(String.init) : nil
        var ending = MatrixEnding(
            outcome: outcome, seconds: start.duration(to: .now).inSeconds, error: fault ?? lastWords)
        let record = RunsFolder.record(ofRun: attempt.run, in: folder).map { RecordSummary(of: $0) }
        ending.hold(against: record, of: cell)
        return ending
    }

    private func perform() async throws -> (TerminationStatus, words: String) {
        var platform = PlatformOptions()
        // Ctrl-C is for the matrix, which passes it on.
        platform.processGroupID = 0
        platform.teardownSequence = [
            .send(signal: .interrupt, allowedDurationToNextStep: Self.patience),
            .send(signal: .interrupt, allowedDurationToNextStep: Self.patience),
        ]
        let result = try await Subprocess.run(
            .path(FilePath(Program.executable.path)), arguments: Arguments(arguments), platformOptions: platform,
            input: .fileDescriptor(input, closeAfterSpawningProcess: false), output: .discarded, error: .sequence
        ) { execution in
            running.insert(execution.processIdentifier.value)
            defer { running.remove(execution.processIdentifier.value) }
            var words: [UInt8] = []
            for try await piece in execution.standardError {
                // SAFETY: the bytes are copied at once.
                unsafe piece.withUnsafeBytes { unsafe words.append(contentsOf: $0) }
                words = words.suffix(Self.wordsByteLimit)
            }
            return String(decoding: words, as: UTF8.self)
        }
        return (result.terminationStatus, result.closureResult)
    }

    private var arguments: [String] {
        ["run"] + options + ["--cell", attempt.run, "--runs-dir", folder.path, "--progress", "none", "--json"]
    }
}

/// The processes of runs, for somebody who does not want to wait.
final class RunningProcesses: Sendable {
    private let identifiers = Mutex<Set<pid_t>>([])

    func insert(_ identifier: pid_t) { identifiers.withLock { _ = $0.insert(identifier) } }
    func remove(_ identifier: pid_t) { identifiers.withLock { _ = $0.remove(identifier) } }

    /// Interrupts all of them: one that was interrupted before gives its guest up.
    func interrupt() {
        identifiers.withLock { for identifier in $0 { kill(identifier, SIGINT) } }
    }
}
