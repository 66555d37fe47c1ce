// SPDX-License-Identifier: Apache-2.0

import Foundation
import Subprocess
import SystemPackage
import TestSupport
import Testing

/// What shells complete, as scripts/install has it installed.
@Suite struct CompletionTests {
    private func script(_ shell: String, in folder: TemporaryFolder) async throws -> String {
        let ending = try await HarnessProgram.run(["--generate-completion-script", shell])
        #expect(ending.status == .exited(0))
        return try folder.write(Array(ending.output.utf8), to: "completion.\(shell)")
    }

    private func bash(
        _ script: String, _ arguments: [String]
    ) async throws -> (status: TerminationStatus, words: [String]) {
        let result = try await Subprocess.run(
            .path("/bin/bash"), arguments: Arguments(["-c", script] + arguments), input: .none,
            output: .string(limit: 1 << 16), error: .string(limit: 1 << 16))
        return (result.terminationStatus, result.standardOutput.split(separator: "\n").map(String.init))
    }

    @Test(
        arguments: [
            ("re", ["report"]), ("pl", ["plan"]), ("runs pr", ["prune"]), ("plan val", ["validate"]),
            ("report --form", ["--format"]), ("so", ["soak"]), ("nothing-like-it", []),
        ] as [(String, [String])])
    func bashCompletes(words: String, expected: [String]) async throws {
        let folder = try TemporaryFolder()
        let path = try await script("bash", in: folder)
        // What bash does when somebody presses the key: the line in pieces, and where the cursor is.
        let press = """
            source "$0" || exit 1
            words=(qemu-harness $1)
            COMP_WORDS=("${words[@]}") COMP_CWORD=$((${#words[@]} - 1)) COMP_LINE="qemu-harness $1" COMP_POINT=$((13 + ${#1}))
            last=${words[-1]} before=${words[-2]}
            [[ $(complete -p qemu-harness) =~ -F\\ ([^ ]+) ]] || exit 1
            "${BASH_REMATCH[1]}" qemu-harness "$last" "$before"
            for word in "${COMPREPLY[@]}"; do echo "$word"; done
            """
        let (status, completions) = try await bash(press, [path, words])
        #expect(status == .exited(0))
        #expect(completions.map { $0.trimmingCharacters(in: .whitespaces) } == expected)
    }

    /// Where those shells are there, they take their scripts.
    @Test(arguments: ["zsh", "fish"]) func otherShellsTakeTheirs(shell: String) async throws {
        let folder = try TemporaryFolder()
        let path = try await script(shell, in: folder)
        #expect(try String(contentsOfFile: path, encoding: .utf8).contains("qemu-harness"))
        let (status, _) = try await bash(#"! command -v "$1" >/dev/null || exec "$1" -n "$0""#, [path, shell])
        #expect(status == .exited(0))
    }
}
