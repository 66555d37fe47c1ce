// SPDX-License-Identifier: Apache-2.0

import Foundation
import Guests

/// What the program may write to a standard stream beside plain text.
enum Terminal {
    /// Whether a stream is a terminal that can move its cursor.
    static func isCapable(_ descriptor: Int32, environment: [String: String]) -> Bool {
        isatty(descriptor) == 1 && environment["TERM"] != "dumb"
    }

    /// Whether a stream takes colours: NO_COLOR, set to anything, says no (no-color.org).
    static func isColored(_ descriptor: Int32, environment: [String: String]) -> Bool {
        isCapable(descriptor, environment: environment) && environment["NO_COLOR", default: ""].isEmpty
    }

    /// A text from anyone, made harmless: no control character gets to a terminal but a line's end.
    static func printable(_ text: String) -> String {
        let scalars = text.unicodeScalars.map { scalar -> Unicode.Scalar in
            scalar.properties.generalCategory == .control && scalar != "\n" ? "?" : scalar
        }
        return String(String.UnicodeScalarView(scalars))
    }

    /// Breaks a text into lines of at most `width` characters, between words where there are any; the lines behind the
    /// first begin with `indent`.
    static func wrapped(_ text: String, width: Int, indent: String) -> [String] {
        var lines: [String] = []
        var line = ""
        for word in text.split(whereSeparator: \.isWhitespace) {
            if !line.allSatisfy(\.isWhitespace), line.count + 1 + word.count > width {
                lines.append(line)
                line = indent + word
            } else {
                line += (line.allSatisfy(\.isWhitespace) ? "" : " ") + word
            }
            // A word that is longer than a line has no better place to break.
            while line.count > width {
                lines.append(String(line.prefix(width)))
                line = indent + line.dropFirst(width)
            }
        }
        return line.isEmpty ? lines : lines + [line]
    }
}
