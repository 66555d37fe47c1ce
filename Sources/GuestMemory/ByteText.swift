// SPDX-License-Identifier: Apache-2.0

/// Reading and writing numbers and words in ASCII bytes. The guest program has no Foundation, and what a guest says is
/// bytes until it has been checked, so both sides work on bytes.
extension [UInt8] {
    /// Appends a literal.
    public mutating func append(text: StaticString) {
        text.withUTF8Buffer { buffer in
            for index in 0..<buffer.count {
                // SAFETY: index is inside the literal's buffer.
                unsafe append(buffer[index])
            }
        }
    }

    /// Appends a number as `0x` and lower-case hexadecimal digits without leading zeros.
    public mutating func append(hex number: UInt64) {
        append(text: "0x")
        append(hexDigits: number)
    }

    /// Appends a number as lower-case hexadecimal digits without leading zeros.
    public mutating func append(hexDigits number: UInt64) {
        appendDigits(of: number, radix: 16)
    }

    /// Appends a number in decimal.
    public mutating func append(decimal number: UInt64) {
        appendDigits(of: number, radix: 10)
    }

    private mutating func appendDigits(of number: UInt64, radix: UInt64) {
        var divisor: UInt64 = 1
        while number / divisor >= radix { divisor *= radix }
        while divisor > 0 {
            let digit = UInt8(truncatingIfNeeded: number / divisor % radix)
            append(digit < 10 ? 0x30 + digit : 0x61 + digit - 10)
            divisor /= radix
        }
    }
}

extension ArraySlice<UInt8> {
    /// Whether these bytes are exactly the literal.
    public func equals(_ text: StaticString) -> Bool {
        count == text.utf8CodeUnitCount && starts(with: text)
    }

    /// Whether these bytes begin with the literal.
    public func starts(with text: StaticString) -> Bool {
        guard count >= text.utf8CodeUnitCount else { return false }
        return text.withUTF8Buffer { buffer in
            for index in 0..<buffer.count {
                // SAFETY: index is inside the literal's buffer.
                guard unsafe self[startIndex + index] == buffer[index] else { return false }
            }
            return true
        }
    }

    /// Whether the literal stands somewhere in these bytes.
    public func contains(_ text: StaticString) -> Bool {
        var rest = self
        while rest.count >= text.utf8CodeUnitCount {
            if rest.starts(with: text) { return true }
            guard !rest.isEmpty else { return false }
            rest.removeFirst()
        }
        return false
    }

    /// Removes the literal from the front; false, and nothing removed, when it is not there.
    public mutating func skip(_ text: StaticString) -> Bool {
        guard starts(with: text) else { return false }
        removeFirst(text.utf8CodeUnitCount)
        return true
    }

    /// Removes bytes up to and including the first `separator`, or all of them when there is none, and returns them
    /// without the separator.
    public mutating func takeField(until separator: UInt8) -> ArraySlice<UInt8> {
        guard let end = firstIndex(of: separator) else {
            defer { removeAll() }
            return self
        }
        defer { self = self[(end + 1)...] }
        return self[..<end]
    }

    /// Removes a run of digits from the front and returns its value; nil, with nothing removed, when there is no digit
    /// or the number does not fit 64 bits.
    public mutating func takeNumber(radix: UInt64) -> UInt64? {
        var value: UInt64 = 0
        var index = startIndex
        while index < endIndex, let digit = Self.digit(self[index]), digit < radix {
            let (product, productOverflows) = value.multipliedReportingOverflow(by: radix)
            let (sum, sumOverflows) = product.addingReportingOverflow(digit)
            guard !productOverflows, !sumOverflows else { return nil }
            value = sum
            index += 1
        }
        guard index > startIndex else { return nil }
        self = self[index...]
        return value
    }

    /// The value of the whole slice as decimal digits, or as hexadecimal digits after `0x`; nil when it is neither.
    public var number: UInt64? {
        var rest = self
        let radix: UInt64 = rest.skip("0x") ? 16 : 10
        guard let value = rest.takeNumber(radix: radix), rest.isEmpty else { return nil }
        return value
    }

    private static func digit(_ byte: UInt8) -> UInt64? {
        switch byte {
        case 0x30...0x39: UInt64(byte - 0x30)
        case 0x41...0x46: UInt64(byte - 0x41 + 10)
        case 0x61...0x66: UInt64(byte - 0x61 + 10)
        default: nil
        }
    }
}
