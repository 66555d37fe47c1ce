// SPDX-License-Identifier: Apache-2.0

/// XML for libvirt that cannot be written, or from libvirt that cannot be read.
public enum DomainXMLError: Error, Equatable, Sendable, CustomStringConvertible {
    /// A value holds a character that has no place in XML, such as a line feed or an escape.
    case forbiddenCharacter(place: String, codePoint: UInt32)
    /// A device's alias is not `ua-` and then letters, digits, `_` and `-`; libvirt would ignore it.
    case badAlias(String)
    /// The text is longer than this code reads.
    case tooLong(byteCount: Int, limit: Int)
    /// The text is not XML, or not XML as libvirt writes it.
    case malformed(String)
    /// An element or attribute is not there.
    case missing(String)
    /// An element or attribute holds a value that makes no sense.
    case badValue(place: String, value: String)

    /// What is wrong, and where.
    public var description: String {
        switch self {
        case .forbiddenCharacter(let place, let codePoint):
            "\(place) holds the character U+\(hex(codePoint)), which XML for libvirt cannot carry"
        case .badAlias(let alias):
            "device alias '\(alias)' is not 'ua-' followed by letters, digits, '_' or '-'"
        case .tooLong(let byteCount, let limit):
            "domain XML is \(byteCount) bytes long; at most \(limit) are read"
        case .malformed(let reason):
            "domain XML is malformed: \(reason)"
        case .missing(let place):
            "domain XML has no \(place)"
        case .badValue(let place, let value):
            "domain XML has '\(value)' as \(place)"
        }
    }

    private func hex(_ codePoint: UInt32) -> String {
        let digits = String(codePoint, radix: 16, uppercase: true)
        return String(repeating: "0", count: max(0, 4 - digits.count)) + digits
    }
}
