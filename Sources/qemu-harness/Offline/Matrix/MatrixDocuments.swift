// SPDX-License-Identifier: Apache-2.0

import Foundation
import HarnessBasics
import Reports
package import RunRecord

/// What stands in a matrix's folder beside its records, and what is printed of it.
package enum MatrixDocuments {
    /// A matrix as a program reads it: what it is, and what each cell came to.
    private struct Document: Encodable {
        struct Cell: Encodable {
            var cell: MatrixCell
            var attemptCount: Int
            var ending: MatrixEnding?

            private enum Key: String, CodingKey { case attemptCount }

            func encode(to encoder: any Encoder) throws {
                try cell.encode(to: encoder)
                var container = encoder.container(keyedBy: Key.self)
                try container.encode(attemptCount, forKey: .attemptCount)
                try ending?.encode(to: encoder)
            }
        }

        var matrix: String
        var folder: String
        var outcome: Outcome
        var startedAt: Date
        var harness: String
        var shard: Shard
        var cells: [Cell]

        init(_ record: MatrixRecord) {
            let information = record.information
            (matrix, folder, outcome) = (information.matrix, record.url.path, record.outcome)
            (startedAt, harness, shard) = (information.startedAt, information.harness, information.shard)
            cells = record.cells.map {
                Cell(cell: $0.cell, attemptCount: $0.attempts.count, ending: $0.ending)
            }
        }
    }

    /// Whether a folder is a matrix's.
    static func isMatrix(_ folder: URL) -> Bool {
        FileManager.default.fileExists(atPath: folder.appending(path: MatrixJournal.informationName).path)
    }

    /// Writes the page of each cell's run that has none yet, index.html, junit.xml and matrix.ktap. What cannot be written is
    /// told of.
    package static func write(_ record: MatrixRecord) {
        for name in record.cells.compactMap(\.ending?.record) {
            do {
                try MatrixReport.writePage(ofRecord: name, in: record.url)
            } catch {
                Terminal.tell("cannot write the report of \(name): \(error.localizedDescription)")
            }
        }
        let report = MatrixReport(record)
        for (format, name) in [(ReportFormat.html, "index.html"), (.junit, "junit.xml"), (.ktap, "matrix.ktap")] {
            do {
                try Data(report.document(format).utf8).write(to: record.url.appending(path: name), options: .atomic)
            } catch {
                Terminal.tell("cannot write \(name): \(error.localizedDescription)")
            }
        }
    }

    /// Prints a matrix: its table, or one JSON document.
    package static func show(_ record: MatrixRecord, isJSON: Bool) throws {
        let isColored = Terminal.isColored(STDOUT_FILENO, environment: ProcessInfo.processInfo.environment)
        let data =
            isJSON
            ? try RunDirectory.json(Document(record)) : Data(MatrixTable(record).text(isColored: isColored).utf8)
        // A reader that has gone is nobody's error.
        try? FileHandle.standardOutput.write(contentsOf: data)
    }
}
