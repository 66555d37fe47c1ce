// SPDX-License-Identifier: Apache-2.0

public import ArgumentParser
package import Foundation
import HarnessBasics
public import Reports

/// A report that is to be written: its format, and its file.
package struct ReportTarget: ExpressibleByArgument, Equatable, Sendable {
    /// What it is written as.
    package let format: ReportFormat
    /// Where it goes, as it was named.
    package let path: String

    /// A report for a file.
    package init(format: ReportFormat, path: String) {
        (self.format, self.path) = (format, path)
    }

    /// Reads `FORMAT=PATH`; nil where there is no such format, or no path.
    package init?(argument: String) {
        let parts = argument.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
        guard parts.count == 2, let format = ReportFormat(rawValue: String(parts[0])), !parts[1].isEmpty else {
            return nil
        }
        self.init(format: format, path: String(parts[1]))
    }

    /// Refuses what cannot be written. An empty file is left where there was none.
    func check() throws {
        do {
            try RegularFile.checkWritable(file)
        } catch {
            throw HarnessError.usage("cannot write the report \(path): \(error.localizedDescription)")
        }
    }

    /// Writes the report of a record.
    ///
    /// - Throws: ``HarnessError`` where the file cannot be written; that says nothing of the run.
    func write(_ run: RecordedRun, _ options: ReportOptions = .standard) throws {
        try write(format.document(of: run, options))
    }

    /// Writes a report that is made.
    ///
    /// - Throws: ``HarnessError`` where the file cannot be written.
    func write(_ document: String) throws {
        do {
            try RegularFile.write(Data(document.utf8), to: file)
        } catch {
            throw HarnessError.infrastructure("cannot write the report \(path): \(error.localizedDescription)")
        }
    }

    private var file: URL { URL(filePath: path) }
}

extension ReportTarget {
    /// Checks all of a command's reports, before anything is done.
    package static func check(_ targets: [ReportTarget]) throws {
        let files = targets.map { $0.file.standardizedFileURL.path }
        guard Set(files).count == files.count else { throw HarnessError.usage("two reports have the same path") }
        for target in targets { try target.check() }
    }

    /// Writes all of a run's reports, from its record. One that cannot be written is told of, and keeps none of the others.
    package static func write(_ targets: [ReportTarget], of record: URL) {
        guard !targets.isEmpty else { return }
        let run = RecordedRun(directory: record)
        for target in targets {
            do {
                try target.write(run)
            } catch {
                Terminal.tell("\(error)")
            }
        }
    }
}

extension ReportFormat: ExpressibleByArgument {}
