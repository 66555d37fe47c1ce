// SPDX-License-Identifier: Apache-2.0

/// What a report can be written as. A format is a case here, and a folder of its own.
public enum ReportFormat: String, CaseIterable, Sendable {
    /// One self-contained page for a browser.
    case html
    /// The table that `run` prints.
    case text

    /// The whole report.
    public func document(of run: RecordedRun) -> String {
        switch self {
        case .html: HTMLReport(run).document
        case .text: TextReport(run).document
        }
    }
}
