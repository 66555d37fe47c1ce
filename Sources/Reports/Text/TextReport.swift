// SPDX-License-Identifier: Apache-2.0

import HarnessBasics

/// A report as a person reads it in a terminal or a mail: the table that `run` prints, and what is wrong with the record.
struct TextReport {
    let document: String

    init(_ run: RecordedRun) {
        let table = ResultTable(results: run.results, information: run.information, record: run.directory)
        let problems = run.problems.flatMap { Terminal.paragraph("damaged: \($0)") }
        document = table.text() + problems.map { $0 + "\n" }.joined()
    }
}
