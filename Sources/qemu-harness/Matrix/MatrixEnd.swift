// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Foundation
import HarnessBasics
import OfflineCommands
import Reports
import RunRecord
import Runs

/// The end of a matrix: its reports, its result on stdout, its exit code.
struct MatrixEnd {
    let journal: MatrixJournal
    let isJSON: Bool

    /// All of it comes from what stands in the folder.
    func finish(signalCode: Int32?, hasFailed: Bool) throws {
        var record = try MatrixCommand.read(journal.url.path)
        do {
            try journal.note(.ended(record.outcome))
            record = try MatrixCommand.read(journal.url.path)
        } catch {
            Terminal.tell("\(error)")
        }
        MatrixDocuments.write(record)
        try MatrixDocuments.show(record, isJSON: isJSON)
        var status = record.outcome.exitCode()
        if record.outcome == .interrupted { status = signalCode ?? ExitStatus.infrastructure }
        if hasFailed, record.outcome != .failed { status = ExitStatus.infrastructure }
        if status != ExitStatus.passed { throw ExitCode(status) }
    }
}
