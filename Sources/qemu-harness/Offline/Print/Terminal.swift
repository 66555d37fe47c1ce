// SPDX-License-Identifier: Apache-2.0

import Foundation
import HarnessBasics

/// What a standard stream takes beside plain text.
extension Terminal {
    /// Whether a stream is a terminal that can move its cursor.
    package static func isCapable(_ descriptor: Int32, environment: [String: String]) -> Bool {
        isatty(descriptor) == 1 && environment["TERM"] != "dumb"
    }

    /// Whether a stream takes colours: NO_COLOR, set to anything, says no (no-color.org).
    package static func isColored(_ descriptor: Int32, environment: [String: String]) -> Bool {
        isCapable(descriptor, environment: environment) && environment["NO_COLOR", default: ""].isEmpty
    }

    /// Says something to the person on stderr; words in it may come from anyone. A closed stderr is nobody's loss.
    package static func tell(_ text: String) {
        let line = printable("qemu-harness: \(text)\n")
        try? FileHandle.standardError.write(contentsOf: Data(line.utf8))
    }
}
