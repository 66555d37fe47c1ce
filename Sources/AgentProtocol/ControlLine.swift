// SPDX-License-Identifier: Apache-2.0

import GuestMemory

/// A line on the control channel (hvc1): `ID VERB [KEY=VALUE …]` in printable ASCII, ended by a newline.
///
/// The harness asks with an identifier of its own, counting from 1; the agent answers with the same identifier and `ok`
/// or `error`. Lines with identifier 0 are the agent's own: `hello` once it is ready, `trouble` for what it lacks.
public struct ControlLine: Equatable, Sendable {
    /// The longest line, its newline included. A longer one is nonsense.
    public static let maximumByteCount = 2048

    /// The request that this belongs to, 0 for the agent's own lines.
    public var identifier: UInt64
    /// The verb of a request, or `ok`, `error`, `hello`, `trouble`.
    public var verb: [UInt8]
    /// What follows the verb.
    public var fields: [Field]

    /// One `KEY=VALUE`.
    public struct Field: Equatable, Sendable {
        /// The key.
        public let key: [UInt8]
        /// The value, which has no space in it.
        public let value: [UInt8]
    }

    /// Makes a line without fields.
    public init(identifier: UInt64, verb: StaticString) {
        self.identifier = identifier
        self.verb = []
        self.verb.append(text: verb)
        fields = []
    }

    /// Reads a line, without its newline; nil when it is not valid: too long, not printable ASCII, or not of the form.
    public init?(parsing bytes: ArraySlice<UInt8>) {
        guard bytes.count < Self.maximumByteCount, bytes.allSatisfy({ 0x20...0x7e ~= $0 }) else { return nil }
        var rest = bytes
        guard let identifier = rest.takeNumber(radix: 10), rest.first == 0x20 else { return nil }
        rest.removeFirst()
        self.identifier = identifier
        verb = Array(rest.takeField(until: 0x20))
        guard !verb.isEmpty else { return nil }
        fields = []
        while !rest.isEmpty {
            var field = rest.takeField(until: 0x20)
            guard field.contains(0x3d) else { return nil }
            let key = Array(field.takeField(until: 0x3d))
            guard !key.isEmpty else { return nil }
            fields.append(Field(key: key, value: Array(field)))
        }
    }

    /// The line in bytes, newline included.
    public var encoded: [UInt8] {
        var bytes: [UInt8] = []
        bytes.append(decimal: identifier)
        bytes.append(0x20)
        bytes += verb
        for field in fields {
            bytes.append(0x20)
            bytes += field.key
            bytes.append(0x3d)
            bytes += field.value
        }
        bytes.append(0x0a)
        return bytes
    }

    /// The line with a number added, in hexadecimal.
    public func with(_ key: StaticString, _ number: UInt64) -> ControlLine {
        var value: [UInt8] = []
        value.append(hex: number)
        return with(key, text: value)
    }

    /// The line with a text added; bytes that a line cannot hold become `?`.
    public func with(_ key: StaticString, text: [UInt8]) -> ControlLine {
        var line = self
        var keyBytes: [UInt8] = []
        keyBytes.append(text: key)
        line.fields.append(Field(key: keyBytes, value: text.map { 0x21...0x7e ~= $0 ? $0 : 0x3f }))
        return line
    }

    /// The value of a key, or nil.
    public func text(_ key: StaticString) -> ArraySlice<UInt8>? {
        for field in fields where field.key[...].equals(key) {
            return field.value[...]
        }
        return nil
    }

    /// The number behind a key, or nil when there is none.
    public func number(_ key: StaticString) -> UInt64? {
        text(key)?.number
    }

    /// Whether the verb is the literal.
    public func has(verb: StaticString) -> Bool {
        self.verb[...].equals(verb)
    }
}
