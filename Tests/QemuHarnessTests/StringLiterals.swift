// SPDX-License-Identifier: Apache-2.0

import Foundation

/// A text that stands in a source: pieces of it, with anything between them. Literals that `+` puts together are one.
struct StringLiteral {
    let pieces: [String]

    /// Whether a text begins as this one does.
    func begins(_ text: String) -> Bool {
        guard let first = pieces.first, text.hasPrefix(first) else { return false }
        var rest = text.dropFirst(first.count)
        for piece in pieces.dropFirst() where !piece.isEmpty {
            guard let range = rest.firstRange(of: piece) else { return false }
            rest = rest[range.upperBound...]
        }
        return true
    }

    /// The literals of a Swift source. Of those in several lines nothing is taken.
    static func all(in source: String) -> [StringLiteral] {
        var reader = Reader(bytes: Array(source.utf8))
        return reader.literals()
    }

    private struct Reader {
        let bytes: [UInt8]
        var index = 0

        private static let quote = UInt8(ascii: "\"")
        private static let backslash = UInt8(ascii: "\\")

        private func starts(with text: StaticString, at place: Int) -> Bool {
            let count = text.utf8CodeUnitCount
            return place + count <= bytes.count
                && zip(bytes[place..<place + count], "\(text)".utf8).allSatisfy { $0 == $1 }
        }

        mutating func literals() -> [StringLiteral] {
            var literals: [StringLiteral] = []
            while index < bytes.count {
                if starts(with: "//", at: index) {
                    while index < bytes.count, bytes[index] != UInt8(ascii: "\n") { index += 1 }
                } else if starts(with: "\"\"\"", at: index) {
                    index += 3
                    while index < bytes.count, !starts(with: "\"\"\"", at: index) { index += 1 }
                    index += 3
                } else if bytes[index] == Self.quote {
                    literals.append(StringLiteral(pieces: chain()))
                } else {
                    index += 1
                }
            }
            return literals
        }

        private mutating func chain() -> [String] {
            var pieces = literal()
            while let next = nextInChain() {
                index = next
                let more = literal()
                pieces[pieces.count - 1] += more[0]
                pieces += more.dropFirst()
            }
            return pieces
        }

        /// Where the next literal begins, if `+` joins it to this one.
        private func nextInChain() -> Int? {
            func behindBlanks(_ place: Int) -> Int {
                bytes[min(place, bytes.count)...].firstIndex { $0 != 0x20 && $0 != 0x0a } ?? bytes.count
            }
            let plus = behindBlanks(index)
            guard plus < bytes.count, bytes[plus] == UInt8(ascii: "+") else { return nil }
            let next = behindBlanks(plus + 1)
            return next < bytes.count && bytes[next] == Self.quote ? next : nil
        }

        private mutating func literal() -> [String] {
            index += 1
            var pieces: [[UInt8]] = [[]]
            while index < bytes.count, bytes[index] != Self.quote {
                if starts(with: "\\(", at: index) {
                    interpolation()
                    pieces.append([])
                } else {
                    if bytes[index] == Self.backslash { index += 1 }
                    if index < bytes.count { pieces[pieces.count - 1].append(bytes[index]) }
                    index += 1
                }
            }
            index += 1
            return pieces.map { String(decoding: $0, as: UTF8.self) }
        }

        private mutating func interpolation() {
            var depth = 0
            repeat {
                switch bytes[index] {
                case UInt8(ascii: "("): depth += 1
                case UInt8(ascii: ")"): depth -= 1
                case Self.quote:
                    _ = literal()
                    index -= 1
                default: break
                }
                index += 1
            } while index < bytes.count && (depth > 0 || bytes[index - 1] == Self.backslash)
        }
    }
}
