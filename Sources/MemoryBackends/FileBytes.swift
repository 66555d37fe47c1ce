// SPDX-License-Identifier: Apache-2.0

public import SystemPackage

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
}
