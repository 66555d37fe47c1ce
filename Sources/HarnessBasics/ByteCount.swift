// SPDX-License-Identifier: Apache-2.0

/// A size as a person writes it: a whole number and `KiB`, `MiB`, `GiB` or `TiB`.
public struct ByteCount: Equatable, Hashable, Sendable {
    /// In bytes.
    public let value: UInt64

    /// So many bytes.
    public init(_ value: UInt64) {
        self.value = value
    }

    /// Reads a size; nil when it is not one, or does not fit 64 bits.
    public init?(argument: String) {
        let digits = argument.prefix { $0.isASCII && $0.isNumber }
        let unit = argument.dropFirst(digits.count)
        guard let number = UInt64(digits), let shift = Self.units.first(where: { $0.name == unit })?.shift else {
            return nil
        }
        guard number <= UInt64.max >> shift else { return nil }
        value = number << shift
    }

    private static let units: [(name: String, shift: UInt64)] = [("TiB", 40), ("GiB", 30), ("MiB", 20), ("KiB", 10)]

    /// In the largest unit that leaves a whole number.
    public var text: String {
        for (name, shift) in Self.units where value != 0 && value % (1 << shift) == 0 {
            return "\(value >> shift) \(name)"
        }
        return "\(value) bytes"
    }

    /// In GiB with one decimal, as sizes are read that are held against each other: what is needed rounded up, what there
    /// is rounded down.
    public func gibibytes(rounded rule: FloatingPointRoundingRule) -> String {
        "\((Double(value) / Double(1 << 30) * 10).rounded(rule) / 10) GiB"
    }

    /// As it is written: ``init(argument:)`` reads it again where it is a whole number of KiB.
    public var written: String { value == 0 ? "0KiB" : text.filter { $0 != " " } }
}
