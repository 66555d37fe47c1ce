// SPDX-License-Identifier: Apache-2.0

import Foundation
import Guests
import RunRecord
import Runs

/// What `run --json` prints: results.json, where the record is, and what was run with what.
struct RunSummary: Encodable {
    private let results: RunResults
    /// The record's directory.
    private let record: String
    /// `run.json`, which names the kernel and the versions.
    private let information: RunInformation

    private enum CodingKeys: String, CodingKey {
        case record, information
    }

    init(_ report: Runner.Report) {
        results = report.results
        record = report.directory.path
        information = report.information
    }

    /// Writes the fields of results.json, and the others beside them.
    func encode(to encoder: any Encoder) throws {
        try results.encode(to: encoder)
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(record, forKey: .record)
        try container.encode(information, forKey: .information)
    }
}
