// SPDX-License-Identifier: Apache-2.0

public import Foundation
import Subprocess
import SystemPackage

/// A script of this project, as a process.
public enum ScriptProcess {
    /// The project's folder.
    public static let project = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../..")
        .standardizedFileURL

    /// Runs a script, by its path in the project, with more in its environment than this process has.
    public static func run(
        _ script: String, _ arguments: [String], environment: [String: String] = [:]
    ) async throws -> HarnessProgram.Ending {
        let variables = environment.map { (Environment.Key(stringLiteral: $0.key), $0.value as String?) }
        let result = try await Subprocess.run(
            .path(FilePath(project.appending(path: script).path)), arguments: Arguments(arguments),
            environment: .inherit.updating(Dictionary(uniqueKeysWithValues: variables)), input: .none,
            output: .string(limit: 1 << 20), error: .string(limit: 1 << 20))
        return HarnessProgram.Ending(
            status: result.terminationStatus, output: result.standardOutput, errors: result.standardError)
    }
}
