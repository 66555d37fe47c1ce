// SPDX-License-Identifier: Apache-2.0

package import ArgumentParser
package import Foundation
import HarnessBasics
package import RunRecord

/// The folder of records that a command looks into.
package struct RunsFolderOptions: ParsableArguments {
    @Option(help: ArgumentHelp("The folder that holds the records.", valueName: "folder"))
    package var runsDir = "runs"

    /// Options that are not parsed yet.
    package init() {}

    /// The folder's place.
    package var url: URL { URL(filePath: runsDir) }

    /// What is in the folder.
    ///
    /// - Throws: ``HarnessError`` where it is none.
    package func folder() throws -> RunsFolder {
        do {
            return try RunsFolder(url)
        } catch {
            throw HarnessError.usage("no runs in \(runsDir): \(error.localizedDescription)")
        }
    }

    /// The record that somebody names.
    ///
    /// - Throws: ``HarnessError`` where there is none, or more than one.
    package func record(_ text: String) throws -> URL {
        let (record, candidates) = RunsFolder.find(text, in: url)
        if let record { return record }
        throw HarnessError.usage(
            candidates.isEmpty
                ? "no run '\(text.prefix(120))': there is neither such a folder nor a record in \(runsDir) whose name begins or ends so"
                : "'\(text.prefix(120))' can be any of \(candidates.joined(separator: ", "))")
    }

    /// The help of an argument that names a record.
    package static var recordHelp: ArgumentHelp {
        ArgumentHelp(
            "A run's directory, its name in the runs directory or a beginning or end of that, or 'latest'.",
            valueName: "run")
    }
}

/// Writes what somebody may have stopped reading, which is nobody's error.
func show(_ text: String) {
    try? FileHandle.standardOutput.write(contentsOf: Data(text.utf8))
}

/// Writes a value as JSON.
func show(json value: some Encodable) throws {
    try? FileHandle.standardOutput.write(contentsOf: RunDirectory.json(value))
}
