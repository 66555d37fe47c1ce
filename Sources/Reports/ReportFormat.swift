// SPDX-License-Identifier: Apache-2.0

/// What a report can be written as. A format is a case here, and a folder of its own.
public enum ReportFormat: String, CaseIterable, Sendable {
    /// One self-contained page for a browser.
    case html
    /// JUnit XML: a test suite, with a test case for each step.
    case junit
    /// KTAP, version 1: the run, its steps, and a verification's witnesses, as nested tests.
    case ktap
    /// KCIDB 5.3: a submission to KernelCI's database.
    case kcidb
    /// The table that `run` prints.
    case text

    /// The whole report.
    public func document(of run: RecordedRun, _ options: ReportOptions = .standard) -> String {
        switch self {
        case .html: HTMLReport(run).document
        case .junit: JUnitReport(run).document
        case .ktap: KTAPReport(run).document
        case .kcidb: KCIDBReport(run, options).document
        case .text: TextReport(run).document
        }
    }
}
