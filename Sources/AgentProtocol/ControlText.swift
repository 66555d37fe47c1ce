// SPDX-License-Identifier: Apache-2.0

import GuestMemory

/// Any bytes in a line: those that a value cannot hold stand there as `%` and two hexadecimal digits.
extension ControlLine {
    /// The line with bytes added; ``bytes(_:)`` gives the same ones back.
    public func with(_ key: StaticString, encoding bytes: [UInt8]) -> ControlLine {
        var text: [UInt8] = []
        for byte in bytes {
            guard !(0x21...0x7e ~= byte) || byte == Self.escape else {
                text.append(byte)
                continue
            }
            text.append(Self.escape)
            text.append(Self.digit(byte >> 4))
            text.append(Self.digit(byte & 15))
        }
        return with(key, text: text)
    }

    /// The bytes behind a key; nil when there is no such key, or an escape in its value is not valid.
    public func bytes(_ key: StaticString) -> [UInt8]? {
        guard var rest = text(key) else { return nil }
        var bytes: [UInt8] = []
        while let byte = rest.popFirst() {
            guard byte == Self.escape else {
                bytes.append(byte)
                continue
            }
            var digits = rest.prefix(2)
            guard digits.count == 2, let value = digits.takeNumber(radix: 16), digits.isEmpty else { return nil }
            bytes.append(UInt8(truncatingIfNeeded: value))
            rest = rest.dropFirst(2)
        }
        return bytes
    }

    private static var escape: UInt8 { 0x25 }

    private static func digit(_ value: UInt8) -> UInt8 { value < 10 ? 0x30 + value : 0x61 + value - 10 }
}
