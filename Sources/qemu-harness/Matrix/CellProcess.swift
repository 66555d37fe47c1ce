// SPDX-License-Identifier: Apache-2.0

import Foundation
import HarnessBasics
import RunRecord
import Runs
import Subprocess
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

    /// A run that was asked to end has so long before it is asked again, and then to give up the guest.
    private static let patience = Duration.seconds(90)
    /// What is kept of what a run says on stderr.
    private static let wordsByteLimit = 1 << 16

    /// Takes the run; when the task is cancelled, the run is interrupted as by Ctrl-C.
    func run() async -> MatrixEnding {
        let start = ContinuousClock.now
        let status: TerminationStatus
        let words: String
        do {
            (status, words) = try await perform()
        } catch {
            return MatrixEnding(
                outcome: Task.isCancelled ? .interrupted : .error, seconds: start.duration(to: .now).inSeconds,
                error: "its process: \(error)")
        }
        var ending = MatrixEnding(outcome: .error, seconds: start.duration(to: .now).inSeconds)
        let lastWords = words.split(separator: "\n").last.map(String.init)
        if let record = RunsFolder.record(ofRun: attempt.run, in: folder) {
            ending.take(RecordSummary(of: record))
        }
        switch status {
        case .exited(let code):
            guard let outcome = Outcome(exitCode: Int32(code)) else {
                ending.error = ending.error ?? lastWords ?? "its process ended with \(code)"
                break
            }
            ending.outcome = outcome
            if outcome == .error { ending.error = ending.error ?? lastWords }
        case .signaled(let signal): ending.error = "its process was killed by signal \(signal)"
        }
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
