// SPDX-License-Identifier: Apache-2.0

import Foundation

/// What the program writes to a person: what a standard stream takes beside plain text, and how text is made fit for it.
package enum Terminal {
    /// The width of a terminal that nobody has made wider.
    static let width = 80

    /// A text in lines that fit, each one behind the first with an indent. What a guest says in it cannot steer a terminal.
    static func paragraph(_ text: String, indent: String = "  ") -> [String] {
        let margin = String(text.prefix { $0 == " " })
        let lines = wrapped(printable(text), width: width - margin.count, indent: indent)
        return lines.enumerated().map { $0.offset == 0 ? margin + $0.element : $0.element }
    }

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

    /// A text from anyone, made harmless: no control character gets to a terminal but a line's end.
    package static func printable(_ text: String) -> String {
        let scalars = text.unicodeScalars.map { scalar -> Unicode.Scalar in
            scalar.properties.generalCategory == .control && scalar != "\n" ? "?" : scalar
        }
        return String(String.UnicodeScalarView(scalars))
    }

    /// Breaks a text into lines of at most `width` characters, between words where there are any; the lines behind the
    /// first begin with `indent`.
    package static func wrapped(_ text: String, width: Int, indent: String) -> [String] {
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
