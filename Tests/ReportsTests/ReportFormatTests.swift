// SPDX-License-Identifier: Apache-2.0

import Foundation
import Testing

@testable import Reports

@Suite struct ReportFormatTests {
    /// A folder that is no record has a report all the same, which says so.
    @Test(arguments: ReportFormat.allCases)
    func whatIsNoRecordIsSaid(format: ReportFormat) {
        let run = RecordedRun(directory: URL(filePath: "/nonexistent/run"))
        #expect(!run.problems.isEmpty)
        #expect(format.document(of: run).contains("cannot be listed"))
    }
}
