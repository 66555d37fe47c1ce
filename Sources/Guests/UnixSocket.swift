// SPDX-License-Identifier: Apache-2.0

import Glibc
import SystemPackage

/// A stream socket with a path (unix(7)).
enum UnixSocket {
    /// Connects to one.
    ///
    /// - Throws: `Errno`.
    static func connected(to path: FilePath) throws -> FileDescriptor {
        try made { descriptor in
            unsafe try withAddress(path) { unsafe connect(descriptor.rawValue, $0, $1) }
        }
    }

    /// Makes one at a path where no file is, for one peer to connect to.
    ///
    /// - Throws: `Errno`.
    static func listening(at path: FilePath) throws -> FileDescriptor {
        try made { descriptor in
            unsafe try withAddress(path) { unsafe bind(descriptor.rawValue, $0, $1) }
            guard listen(descriptor.rawValue, 1) == 0 else { throw Errno(rawValue: errno) }
        }
    }

    private static func made(_ setUp: (FileDescriptor) throws -> Void) throws -> FileDescriptor {
        let number = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard number >= 0 else { throw Errno(rawValue: errno) }
        let descriptor = FileDescriptor(rawValue: number)
        do {
            try setUp(descriptor)
        } catch {
            try? descriptor.close()
            throw error
        }
        return descriptor
    }

    private static func withAddress(
        _ path: FilePath, _ call: (UnsafePointer<sockaddr>, socklen_t) -> Int32
    ) throws {
        var address = sockaddr_un()
        let bytes = Array(path.string.utf8)
        // The root's length was checked against this limit.
        guard bytes.count < MemoryLayout.size(ofValue: address.sun_path) else { throw Errno.fileNameTooLong }
        address.sun_family = sa_family_t(AF_UNIX)
        // SAFETY: no more bytes than the field has; the rest of it is zero.
        unsafe withUnsafeMutableBytes(of: &address.sun_path) { unsafe $0.copyBytes(from: bytes) }
        // SAFETY: sockaddr_un begins as every sockaddr does, and its size is handed over with it.
        let result = unsafe withUnsafePointer(to: &address) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                unsafe call($0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        guard result == 0 else { throw Errno(rawValue: errno) }
    }
}
