// SPDX-License-Identifier: Apache-2.0

import Foundation
import GuestMemory
public import SystemPackage

/// A dump in the form that makedumpfile writes to a stream (`-F`): pieces of a file, each with its place.
///
/// makedumpfile.h: `struct makedumpfile_header` in a block of its own, then `struct makedumpfile_data_header` and that many
/// bytes, again and again, to one with -1 for both. All numbers are big-endian. The file is a compressed dump, which begins
/// with `KDUMP_SIGNATURE` (diskdump_mod.h), or an ELF core dump.
public enum FlattenedDump {
    static let signature = Array("makedumpfile\0\0\0\0".utf8)
    private static let fileSignature = Array("KDUMP   ".utf8)
    private static let elfSignature: [UInt8] = [0x7f, 0x45, 0x4c, 0x46]
    private static let headerByteCount: UInt64 = 4096
    private static let pieceHeaderByteCount: UInt64 = 16

    /// Puts the pieces into a file, where there is one, each at its place.
    ///
    /// - Parameters:
    ///   - source: where the stream was written to; read once, copied and then parsed.
    ///   - range: the stream's bytes.
    ///   - target: the file, empty before; nil to look at the stream alone.
    ///   - limit: how large the file may become, in bytes.
    ///   - takesELF: whether it may be an ELF core dump (`-E`), too.
    ///   - isCancelled: asked again and again whether nobody waits for it any more.
    /// - Returns: the file's size in bytes.
    /// - Throws: ``FlattenedDumpProblem``, `Errno` of the file system, or `CancellationError`.
    public static func rearrange(
        _ source: FileDescriptor, _ range: Range<UInt64>, into target: FileDescriptor?, limit: UInt64,
        takesELF: Bool = false, isCancelled: @escaping () -> Bool = { false }
    ) throws -> UInt64 {
        var stream = Stream(source: source, range: range, isCancelled: isCancelled)
        let header = try stream.take(headerByteCount)
        guard header.starts(with: signature), number(header, 16) == 1, number(header, 24) == 1 else {
            throw FlattenedDumpProblem.header
        }
        var size: UInt64 = 0
        var isDump = false
        while true {
            let at = stream.offset
            let piece = try stream.take(pieceHeaderByteCount)
            let (place, byteCount) = (number(piece, 0), number(piece, 8))
            if place == .max, byteCount == .max {
                guard isDump else { throw FlattenedDumpProblem.file }
                return size
            }
            let (end, overflows) = place.addingReportingOverflow(byteCount)
            guard !overflows, end <= limit else {
                throw FlattenedDumpProblem.place(at: at, place, byteCount, limit: limit)
            }
            size = max(size, end)
            var copied: UInt64 = 0
            while copied < byteCount {
                let bytes = try stream.take(min(Stream.bufferByteCount, byteCount - copied))
                if place + copied == 0 {
                    isDump =
                        bytes.starts(with: fileSignature) || takesELF && bytes.starts(with: elfSignature)
                }
                if let target { _ = try target.writeAll(toAbsoluteOffset: Int64(place + copied), bytes) }
                copied += UInt64(bytes.count)
            }
        }
    }

    /// The largest file that is made of pieces: as much as ext4 lets a file have. What has no piece takes no room.
    private static let fileByteLimit: UInt64 = (16 << 40) - (1 << 20)

    /// Puts the pieces of a file into another one, which nobody else sees, and which is gone when it is closed.
    ///
    /// - Parameters:
    ///   - source: a file in the flattened format.
    ///   - byteCount: its size.
    /// - Returns: the other file.
    /// - Throws: as ``rearrange(_:_:into:limit:takesELF:isCancelled:)``.
    static func file(of source: FileDescriptor, byteCount: UInt64) throws -> FileDescriptor {
        let path = FileManager.default.temporaryDirectory.appending(path: "qemu-harness-\(UUID().uuidString)").path
        let file = try FileDescriptor.open(
            FilePath(path), .readWrite, options: [.create, .exclusiveCreate, .closeOnExec],
            permissions: [.ownerReadWrite])
        do {
            try FileManager.default.removeItem(atPath: path)
            _ = try rearrange(source, 0..<byteCount, into: file, limit: fileByteLimit, takesELF: true)
            return file
        } catch {
            try? file.close()
            throw error
        }
    }

    private static func number(_ bytes: ArraySlice<UInt8>, _ offset: Int) -> UInt64 {
        bytes.dropFirst(offset).prefix(8).reduce(0) { $0 << 8 | UInt64($1) }
    }
}

/// Reads a stream through a buffer: its pieces may be tiny.
private struct Stream {
    static let bufferByteCount: UInt64 = 1 << 20

    let source: FileDescriptor
    let range: Range<UInt64>
    let isCancelled: () -> Bool
    /// What was read and not taken.
    private var buffer: ArraySlice<UInt8> = []
    /// How many bytes were taken.
    private(set) var offset: UInt64 = 0

    init(source: FileDescriptor, range: Range<UInt64>, isCancelled: @escaping () -> Bool) {
        (self.source, self.range, self.isCancelled) = (source, range, isCancelled)
    }

    /// The next bytes, no more than ``bufferByteCount``.
    mutating func take(_ byteCount: UInt64) throws -> ArraySlice<UInt8> {
        if buffer.count < byteCount {
            if isCancelled() { throw CancellationError() }
            let rest = UInt64(range.count) - offset
            buffer = try source.bytes(
                at: range.lowerBound + offset, byteCount: Int(min(Self.bufferByteCount, rest)))[...]
            guard buffer.count >= byteCount else { throw FlattenedDumpProblem.ends(at: offset) }
        }
        offset += byteCount
        defer { buffer = buffer.dropFirst(Int(byteCount)) }
        return buffer.prefix(Int(byteCount))
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
    /// What its pieces make does not begin as a dump.
    case file

    /// What a person reads.
    public var description: String {
        switch self {
        case .header: "it does not begin as makedumpfile's flattened format does"
        case .ends(let offset): "it ends at byte \(offset), before its end mark"
        case .place(let offset, let place, let byteCount, let limit):
            "its piece at byte \(offset) goes to \(place) with \(byteCount) bytes, where a dump of this guest has no more than "
                + "\(limit)"
        case .file: "the file that its pieces make does not begin as a dump"
        }
    }
}
