// SPDX-License-Identifier: Apache-2.0

import Glibc
import SystemPackage

/// A socket at which one stream is taken. It is gone with this object.
final class StreamListener: Sendable {
    private let path: FilePath
    private let listener: FileDescriptor

    /// Makes the socket.
    ///
    /// - Throws: `Errno`.
    init(at path: FilePath) throws {
        self.path = path
        // What an earlier one left that did not come to its end.
        unsafe unlink(path.string)
        listener = try UnixSocket.listening(at: path)
    }

    deinit {
        try? listener.close()
        unsafe unlink(path.string)
    }

    /// Waits for the peer, and reads until it has closed the stream. The call blocks.
    ///
    /// - Parameters:
    ///   - byteLimit: the most bytes that are read.
    ///   - isCancelled: whether nobody waits for them any more.
    /// - Returns: the whole stream.
    /// - Throws: `Errno`; `Errno.fileTooLarge` for a longer stream, `CancellationError` where it is cancelled.
    func stream(byteLimit: Int, isCancelled: () -> Bool) throws -> [UInt8] {
        try wait(for: listener, isCancelled)
        let number = accept(listener.rawValue, nil, nil)
        guard number >= 0 else { throw Errno(rawValue: errno) }
        let descriptor = FileDescriptor(rawValue: number)
        return try descriptor.closeAfter {
            var stream: [UInt8] = []
            var buffer = [UInt8](repeating: 0, count: 1 << 20)
            while true {
                try wait(for: descriptor, isCancelled)
                // SAFETY: what is read goes into the array's own buffer, and no further than that reaches.
                let count = try unsafe buffer.withUnsafeMutableBytes { unsafe try descriptor.read(into: $0) }
                if count == 0 { return stream }
                guard stream.count + count <= byteLimit else { throw Errno.fileTooLarge }
                stream += buffer[..<count]
            }
        }
    }

    private func wait(for descriptor: FileDescriptor, _ isCancelled: () -> Bool) throws {
        while true {
            if isCancelled() { throw CancellationError() }
            var ready = pollfd(fd: descriptor.rawValue, events: Int16(POLLIN), revents: 0)
            // SAFETY: one descriptor, which lives for the length of the call.
            let count = unsafe poll(&ready, 1, 50)
            if count > 0 { return }
            guard count == 0 || errno == EINTR else { throw Errno(rawValue: errno) }
        }
    }
}
