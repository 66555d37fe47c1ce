// SPDX-License-Identifier: Apache-2.0

import CLibFuzzer
import Foundation

/// Feeds inputs to one harness, as libFuzzer's own options say.
///
/// The harness is named in the environment: all arguments are libFuzzer's, which starts this program again with the same
/// ones where it minimizes or merges.
@main enum Fuzz {
    /// The variable that names the harness.
    private static let variable = "FUZZ_HARNESS"

    /// The harness that was chosen; nil where there is none of the name.
    private static let harness = Harness.all.first { $0.name == ProcessInfo.processInfo.environment[variable] }

    static func main() {
        guard harness != nil else {
            // Name, and the most bytes of an input.
            for harness in Harness.all { print(harness.name, harness.byteLimit) }
            exit(ProcessInfo.processInfo.environment[variable] == nil ? 0 : 64)
        }
        var count = CommandLine.argc
        var arguments: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>? = CommandLine.unsafeArgv
        exit(
            LLVMFuzzerRunDriver(&count, &arguments) { bytes, count in
                Fuzz.harness?.run(Array(UnsafeBufferPointer(start: bytes, count: count)))
                return 0
            })
    }
}
