// SPDX-License-Identifier: Apache-2.0

import GuestMemory
public import SystemPackage

/// A dump in the form that makedumpfile writes to a stream (`-F`): pieces of a file, each with its place.
///
/// makedumpfile.h: `struct makedumpfile_header` in a block of its own, then `struct makedumpfile_data_header` and that many
/// bytes, again and again, to one with -1 for both. All numbers are big-endian.
public enum FlattenedDump {
    private static let signature = Array("makedumpfile\0\0\0\0".utf8)
    private static let headerByteCount: UInt64 = 4096
    private static let pieceHeaderByteCount: UInt64 = 16
    private static let copyByteCount: UInt64 = 1 << 20

    /// Puts the pieces into a file, where there is one, each at its place.
    ///
    /// - Parameters:
    ///   - source: where the stream was written to; read once, copied and then parsed.
    ///   - range: the stream's bytes.
    ///   - target: the file, empty before; nil to look at the stream alone.
    ///   - limit: how large the file may become, in bytes.
    /// - Returns: the file's size in bytes.
    /// - Throws: ``FlattenedDumpProblem``, or `Errno` of the file system.
    public static func rearrange(
        _ source: FileDescriptor, _ range: Range<UInt64>, into target: FileDescriptor?, limit: UInt64
    ) throws -> UInt64 {
        var position = range.lowerBound
        func take(_ byteCount: UInt64) throws -> [UInt8] {
            guard byteCount <= range.upperBound - position else {
                throw FlattenedDumpProblem.ends(at: position - range.lowerBound)
            }
            let bytes = try source.bytes(at: position, byteCount: Int(byteCount))
            guard bytes.count == Int(byteCount) else {
                throw FlattenedDumpProblem.ends(at: position - range.lowerBound)
            }
            position += byteCount
            return bytes
        }
        let header = try take(headerByteCount)
        guard header.starts(with: signature), number(header, 16) == 1, number(header, 24) == 1 else {
            throw FlattenedDumpProblem.header
        }
        var size: UInt64 = 0
        while true {
            let at = position - range.lowerBound
            let piece = try take(pieceHeaderByteCount)
            let (place, byteCount) = (number(piece, 0), number(piece, 8))
            if place == .max, byteCount == .max { return size }
            let (end, overflows) = place.addingReportingOverflow(byteCount)
            guard !overflows, end <= limit else {
                throw FlattenedDumpProblem.place(at: at, place, byteCount, limit: limit)
            }
            size = max(size, end)
            var copied: UInt64 = 0
            while copied < byteCount {
                let bytes = try take(min(copyByteCount, byteCount - copied))
                if let target { _ = try target.writeAll(toAbsoluteOffset: Int64(place + copied), bytes) }
                copied += UInt64(bytes.count)
            }
        }
    }

    private static func number(_ bytes: [UInt8], _ offset: Int) -> UInt64 {
        ByteOrder.big.number(in: bytes, at: offset, byteCount: 8)
    }
}

/// What is wrong with a flattened dump. Offsets are in bytes, from its beginning.
public enum FlattenedDumpProblem: Error, Equatable, Sendable, CustomStringConvertible {
    /// It does not begin as one.
    case header
    /// It ends before its end mark.
    case ends(at: UInt64)
    /// A piece goes where no dump of this guest can.
    case place(at: UInt64, UInt64, UInt64, limit: UInt64)

    /// What a person reads.
    public var description: String {
        switch self {
        case .header: "it does not begin as makedumpfile's flattened format does"
        case .ends(let offset): "it ends at byte \(offset), before its end mark"
        case .place(let offset, let place, let byteCount, let limit):
            "its piece at byte \(offset) goes to \(place) with \(byteCount) bytes, where a dump of this guest has no more than "
                + "\(limit)"
        }
    }
}
