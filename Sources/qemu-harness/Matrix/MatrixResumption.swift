// SPDX-License-Identifier: Apache-2.0

import Foundation
import HarnessBasics
import OfflineCommands
import RunRecord
import Runs

extension MatrixCommand {
    /// A run whose matrix has gone ends by itself; it is waited for so long.
    private static let patience = 300

    /// A matrix that was ended: its cells that came to nothing, and those that an error kept from a verdict where those are to
    /// be taken again. What a run has come to that had its end when its matrix had gone is noted, and not taken again.
    func resumed(_ folder: String, _ environment: [String: String]) throws -> MatrixWork {
        let url = URL(filePath: folder).standardizedFileURL
        _ = try Self.read(folder)
        let journal: MatrixJournal
        do throws(RecordProblem) {
            journal = try MatrixJournal(continuing: url)
        } catch {
            throw HarnessError.infrastructure("cannot go on with \(folder): \(error)")
        }
        let information = try Self.read(folder).information
        guard information.harness == Program.version else {
            throw HarnessError.usage(
                "the matrix was begun by qemu-harness \(information.harness), and this is \(Program.version)")
        }
        try Self.settle(try Self.read(folder), journal)
        try Self.check(runOptions: information.runOptions)
        let cells = try Self.read(folder).cells.filter { cell in
            guard let ending = cell.ending else { return true }
            return retryInfrastructure > 0 && ending.outcome == .error && ending.findings.isEmpty
        }
        let kernels = KernelDigests()
        let work = MatrixWork(
            information: information,
            cells: try cells.map { cell in
                var work = try MatrixWork.Cell(
                    cell.cell, runOptions: information.runOptions, kernels: kernels, environment)
                try Self.check(work.cell, isAsItWas: cell.cell)
                work.attemptCount = cell.attempts.count
                return work
            }
        ) { journal }
        try journal.note(.resumed(commandLine: CommandLine.arguments, at: Date()))
        Terminal.tell("\(information.part.count - cells.count) of \(information.part.count) cells are through")
        return work
    }

    /// Notes what became of runs that were under way when their matrix had gone.
    private static func settle(_ record: MatrixRecord, _ journal: MatrixJournal) throws {
        for cell in record.cells {
            guard let last = cell.attempts.last, last.ending == nil else { continue }
            var ending = MatrixEnding(outcome: .interrupted, seconds: 0)
            if let folder = RunsFolder.record(ofRun: last.attempt.run, in: record.url) {
                let summary = try ended(folder, cell.cell)
                if let information = summary.information, let outcome = summary.outcome {
                    let seconds = information.finishedAt.map { $0.timeIntervalSince(information.startedAt) } ?? 0
                    ending = MatrixEnding(outcome: outcome, seconds: seconds, error: information.error)
                    ending.hold(against: summary, of: cell.cell)
                } else {
                    // Of a run that was killed there may be findings, which are not to go by taking the cell again.
                    ending.take(summary)
                    if !ending.findings.isEmpty { (ending.outcome, ending.error) = (.error, "its run was killed") }
                }
            }
            try journal.note(.cellEnded(last.attempt, ending))
        }
    }

    /// What a record says once its run does not go on any more.
    private static func ended(_ record: URL, _ cell: MatrixCell) throws -> RecordSummary {
        for second in 0..<patience {
            let summary = RecordSummary(of: record)
            guard summary.state == .running else { return summary }
            if second == 1 { Terminal.tell("cell \(cell.number) (\(cell.name)) is ending; waiting for it") }
            sleep(1)
        }
        throw HarnessError.infrastructure("the run of cell \(cell.number) (\(cell.name)) goes on: \(record.path)")
    }

    /// Refuses a plan or a kernel that is another one than that with which the matrix was begun.
    private static func check(_ cell: MatrixCell, isAsItWas old: MatrixCell) throws {
        for (what, isAsItWas) in [
            ("plan \(cell.plan)", cell.planDigest == old.planDigest),
            ("kernel \(cell.kernel)", cell.kernelDigest == old.kernelDigest),
        ] where !isAsItWas {
            throw HarnessError.usage("the \(what) has changed since the matrix began")
        }
    }

    /// Refuses options that no matrix writes: its folder may be anyone's.
    private static func check(runOptions options: [String]) throws {
        for place in stride(from: 0, to: options.count, by: 2) {
            guard place + 1 < options.count, !options[place + 1].hasPrefix("-"),
                ["--connect", "--qemu", "--allow-unsaid", "--slowdown"].contains(options[place])
            else { throw HarnessError.usage("the matrix has the option '\(options[place])', which none is begun with") }
        }
    }
}
