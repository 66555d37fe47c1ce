// SPDX-License-Identifier: Apache-2.0

/// What the program writes to a person, and how text is made fit for it.
package enum Terminal {
    /// The width of a terminal that nobody has made wider.
    package static let width = 80

    /// A text in lines that fit, each one behind the first with an indent. What a guest says in it cannot steer a terminal.
    package static func paragraph(_ text: String, indent: String = "  ") -> [String] {
        let margin = String(text.prefix { $0 == " " })
        let lines = wrapped(printable(text), width: width - margin.count, indent: indent)
        return lines.enumerated().map { $0.offset == 0 ? margin + $0.element : $0.element }
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
