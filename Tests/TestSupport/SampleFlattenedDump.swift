// SPDX-License-Identifier: Apache-2.0

/// A small dump in makedumpfile's flattened format, and the pieces of any.
package enum SampleFlattenedDump {
    package static func header(_ type: UInt64 = 1, _ version: UInt64 = 1, name: String = "makedumpfile") -> [UInt8] {
        var block = Array(name.utf8)
        block += [UInt8](repeating: 0, count: 16 - block.count) + bigEndian(type, version, byteCount: 8)
        return block + [UInt8](repeating: 0, count: 4096 - block.count)
    }

    package static func piece(_ place: UInt64, _ bytes: [UInt8]) -> [UInt8] {
        bigEndian(place, UInt64(bytes.count), byteCount: 8) + bytes
    }

    package static let end = bigEndian(.max, .max, byteCount: 8)

    /// The stream, and the file that it is.
    package static let stream = header() + piece(9, [4, 5]) + start + end
    package static let file: [UInt8] = signature + [0, 4, 5]

    /// The piece by which a file begins as a dump, and its bytes.
    package static let start = piece(0, signature)
    package static let signature = Array("KDUMP   ".utf8)
}
