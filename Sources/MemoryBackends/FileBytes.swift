// SPDX-License-Identifier: Apache-2.0

public import SystemPackage

#if canImport(Glibc)
import Glibc
#endif

extension FileDescriptor {
    /// A copy of so many bytes at an offset, or of as many as there are.
    public func bytes(at offset: UInt64, byteCount: Int) throws -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: byteCount)
        // SAFETY: the file is read into the array's own buffer, and no further than that reaches.
        let readCount = try unsafe bytes.withUnsafeMutableBytes { buffer in
            var done = 0
            while done < byteCount {
                let piece = try unsafe read(
                    fromAbsoluteOffset: Int64(clamping: offset) + Int64(done),
                    into: UnsafeMutableRawBufferPointer(rebasing: buffer[done...]))
                if piece == 0 { break }
                done += piece
            }
            return done
        }
        return readCount == byteCount ? bytes : Array(bytes.prefix(readCount))
    }

    // include/uapi/linux/fs.h; glibc shows them with _GNU_SOURCE only.
    private static let seekData: Int32 = 3
    private static let seekHole: Int32 = 4

    /// The parts of a range of the file that hold data, ascending (SEEK_DATA): what was never written reads as zeros.
    func dataExtents(of range: Range<UInt64>) throws -> [Range<UInt64>] {
        var extents: [Range<UInt64>] = []
        var position = off_t(clamping: range.lowerBound)
        let limit = off_t(clamping: range.upperBound)
        while position < limit {
            let start = Glibc.lseek(rawValue, position, Self.seekData)
            guard start >= 0 else {
                // ENXIO: only a hole is left.
                guard errno == ENXIO else { throw Errno(rawValue: errno) }
                break
            }
            guard start < limit else { break }
            let end = Glibc.lseek(rawValue, start, Self.seekHole)
            guard end > start else { throw Errno(rawValue: errno) }
            extents.append(UInt64(start)..<UInt64(min(end, limit)))
            position = end
        }
        return extents
    }
}
