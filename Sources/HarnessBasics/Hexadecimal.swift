// SPDX-License-Identifier: Apache-2.0

/// A 64-bit word that is written as a string of hexadecimal digits, because JSON readers lose bits above 2^53.
@propertyWrapper
public struct Hex: Codable, Equatable, Hashable, Sendable {
    /// The word.
    public var wrappedValue: UInt64

    /// Wraps a word.
    public init(wrappedValue: UInt64) {
        self.wrappedValue = wrappedValue
    }

    /// Reads `0x…`.
    public init(from decoder: any Decoder) throws {
        let text = try decoder.singleValueContainer().decode(String.self)
        guard let value = UInt64(hexadecimal: text) else {
            throw DecodingError.dataCorrupted(
                .init(codingPath: decoder.codingPath, debugDescription: "'\(text.prefix(40))' is no hexadecimal word"))
        }
        wrappedValue = value
    }

    /// Writes `0x…`.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(wrappedValue.hexadecimal)
    }
}

extension UInt64 {
    /// `0x` and lower-case hexadecimal digits.
    public var hexadecimal: String { "0x" + String(self, radix: 16) }

    /// The word that `0x` and hexadecimal digits stand for; nil when `text` is anything else, a sign included.
    public init?(hexadecimal text: some StringProtocol) {
        let digits = text.dropFirst(2)
        guard text.hasPrefix("0x"), digits.first?.isHexDigit == true else { return nil }
        self.init(digits, radix: 16)
    }
}
