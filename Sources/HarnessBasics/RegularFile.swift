// SPDX-License-Identifier: Apache-2.0

public import Foundation

/// Files that people name. Only regular ones are opened: a FIFO or a device could make this program, or QEMU, wait for
/// ever.
public enum RegularFile {
    /// Why a file is not opened.
    public struct Problem: LocalizedError {
        /// What a person reads.
        public let errorDescription: String?

        fileprivate static var ofSystem: Problem { Problem(errorDescription: String(cString: strerror(errno))) }
    }

    /// The beginning of a file, so many bytes at most.
    public static func beginning(of file: URL, byteCount: Int) throws -> Data {
        try opened(file, O_RDONLY).read(upToCount: byteCount) ?? Data()
    }

    /// All of a file.
    public static func content(of file: URL) throws -> Data {
        try opened(file, O_RDONLY).readToEnd() ?? Data()
    }

    /// Refuses what is no regular file, or cannot be read.
    public static func check(_ file: URL) throws {
        _ = try opened(file, O_RDONLY)
    }

    /// Refuses what cannot be written: an empty file is left where there was none, and one that is there keeps its content.
    public static func checkWritable(_ file: URL) throws {
        _ = try opened(file, O_WRONLY | O_CREAT)
    }

    /// Makes a file, or gives one that is there other content.
    public static func write(_ data: Data, to file: URL) throws {
        let handle = try opened(file, O_WRONLY | O_CREAT)
        try handle.truncate(atOffset: 0)
        try handle.write(contentsOf: data)
        try handle.close()
    }

    /// Opened without waiting, which is without effect on regular files.
    private static func opened(_ file: URL, _ flags: Int32) throws -> FileHandle {
        let descriptor = open(file.path, flags | O_NONBLOCK | O_CLOEXEC, 0o666)
        guard descriptor >= 0 else {
            // What a FIFO without a reader answers to who would write.
            throw errno == ENXIO ? Problem(errorDescription: "it is no regular file") : Problem.ofSystem
        }
        let handle = FileHandle(fileDescriptor: descriptor, closeOnDealloc: true)
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw Problem.ofSystem }
        guard status.st_mode & S_IFMT == S_IFREG else { throw Problem(errorDescription: "it is no regular file") }
        return handle
    }
}
