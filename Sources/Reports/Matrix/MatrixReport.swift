// SPDX-License-Identifier: Apache-2.0

public import Foundation
public import HarnessBasics
public import RunRecord

/// A matrix as a document: what `report` makes of its folder, and the matrix itself when it has ended.
public struct MatrixReport {
    /// The folder in a matrix's that has the page of each run.
    public static let pagesFolder = "reports"

    let matrix: MatrixRecord

    /// The report of a matrix.
    public init(_ matrix: MatrixRecord) { self.matrix = matrix }

    /// The whole document. The links of `html` lead from the matrix's folder.
    ///
    /// - Throws: ``HarnessError`` for a format in which a matrix cannot be told.
    public func document(_ format: ReportFormat) throws(HarnessError) -> String {
        switch format {
        case .html: MatrixPage(matrix).document
        case .junit: JUnitReport(runs.map { ([$0.planName, $0.kernelName, $0.cpu], $1) }).document
        case .ktap: KTAPReport(runs.map { ($0.name, $1) }).document
        case .text: MatrixTable(matrix).text()
        case .kcidb: throw HarnessError.usage("kcidb is of a run, not of a matrix: report each of its records")
        }
    }

    /// Writes the page of a run, from its record, which is in the matrix's folder; one that is there stays.
    ///
    /// - Throws: `CocoaError` where it cannot be written.
    public static func writePage(ofRecord name: String, in matrix: URL) throws {
        let pages = matrix.appending(path: pagesFolder, directoryHint: .isDirectory)
        try FileManager.default.createDirectory(at: pages, withIntermediateDirectories: true)
        let file = pages.appending(path: name + ".html")
        guard !FileManager.default.fileExists(atPath: file.path) else { return }
        let page = ReportFormat.html.document(of: RecordedRun(directory: matrix.appending(path: name)))
        try Data(page.utf8).write(to: file, options: .atomic)
    }

    /// Each cell as a run that frameworks of tests know: its record judged anew, one at a time.
    private var runs: [(cell: MatrixCell, run: TestRun)] {
        matrix.cells.map { cell in
            guard let ending = cell.ending else {
                return (cell.cell, Self.missing(cell, "the matrix ended before it"))
            }
            guard let name = ending.record else {
                return (cell.cell, Self.missing(cell, ending.error ?? "it has no record"))
            }
            let run = TestRun(RecordedRun(directory: matrix.url.appending(path: name)))
            // What the record does not tell: the process that made it was killed, or it is another run's.
            guard ending.outcome == .error, !run.tests.contains(where: { $0.status == .error }) else {
                return (cell.cell, run)
            }
            return (cell.cell, run.adding(error: ending.error ?? "the run failed"))
        }
    }

    private static func missing(_ cell: MatrixRecord.Cell, _ error: String) -> TestRun {
        TestRun(
            error: error, properties: [("kernel", cell.cell.kernel), ("cpu", cell.cell.cpu), ("plan", cell.cell.plan)])
    }
}
