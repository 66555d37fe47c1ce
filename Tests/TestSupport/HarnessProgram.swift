// SPDX-License-Identifier: Apache-2.0

import Foundation
public import Subprocess
import SystemPackage

/// `qemu-harness`, as it was built with the tests.
public enum HarnessProgram {
    /// How it ended, and what it said.
    public struct Ending: Sendable {
        /// Its exit status.
        public let status: TerminationStatus
        /// What it wrote to stdout.
        public let output: String
        /// What it wrote to stderr.
        public let errors: String
    }

    /// Runs it. What needs neither libvirt nor QEMU is run so: nothing of this user's surroundings is there.
    public static func run(_ arguments: [String]) async throws -> Ending {
        let program = URL(filePath: "/proc/self/exe").resolvingSymlinksInPath().deletingLastPathComponent()
            .appending(path: "qemu-harness")
        let result = try await Subprocess.run(
            .path(FilePath(program.path)), arguments: Arguments(arguments), environment: .custom([:]),
            input: .none, output: .string(limit: 1 << 24), error: .string(limit: 1 << 20))
        return Ending(
            status: result.terminationStatus, output: result.standardOutput, errors: result.standardError)
    }
}
