// SPDX-License-Identifier: Apache-2.0

import Foundation
import HarnessBasics
import OfflineCommands
import Plans
import Reports
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
        let cells = try Self.read(folder).cells.filter { cell in
            cell.ending == nil || retryInfrastructure > 0 && cell.ending?.outcome == .error
        }
        try Self.checkPlans(cells.map(\.cell), environment)
        let work = MatrixWork(
            information: information,
            cells: try cells.map { cell in
                var work = try MatrixWork.Cell(cell.cell, runOptions: information.runOptions, environment)
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
                    ending.take(summary)
                    try? MatrixReport.writePage(ofRecord: summary.name, in: record.url)
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

    /// Refuses plans that are others than those that the matrix was begun with.
    private static func checkPlans(_ cells: [MatrixCell], _ environment: [String: String]) throws {
        for cell in cells {
            let plan = try ReadyPlans.plan(named: cell.plan, environment: environment, executable: Program.executable)
            guard try MatrixCell.digest(of: plan) == cell.planDigest else {
                throw HarnessError.usage("the plan \(cell.plan) has changed since the matrix began")
            }
        }
    }
}
