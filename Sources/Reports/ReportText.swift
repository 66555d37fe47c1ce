// SPDX-License-Identifier: Apache-2.0

/// Texts from anyone, made fit for a document that programs read.
enum ReportText {
    /// What is kept of a line, in Unicode scalars.
    static let lineLimit = 1 << 10

    /// A text in one line: ends of lines and tabs become spaces, what no document takes becomes U+FFFD, and what is longer
    /// than `limit` scalars is cut.
    static func line(_ text: some StringProtocol, limit: Int = lineLimit) -> String {
        let scalars = text.unicodeScalars
        var line = String.UnicodeScalarView()
        for scalar in scalars.prefix(limit) {
            switch scalar.value {
            case 0x09, 0x0a, 0x0d, 0x85, 0x2028, 0x2029: line.append(" ")
            default: line.append(isRefused(scalar) ? "\u{fffd}" : scalar)
            }
        }
        if scalars.dropFirst(limit).first != nil { line.append("…") }
        return String(line)
    }

    /// What XML 1.0 does not have, what steers a terminal, and what turns the direction of a text around.
    private static func isRefused(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.value {
        case 0x00...0x1f, 0x7f...0x9f, 0x200e, 0x200f, 0x061c, 0x202a...0x202e, 0x2066...0x2069, 0xfffe, 0xffff: true
        default: false
        }
    }

    /// A number of seconds that a document may say: what is none, or less than none, is 0.
    static func seconds(_ seconds: Double) -> Double {
        seconds.isFinite && seconds > 0 ? min(seconds, 1e9) : 0
    }
}
