// SPDX-License-Identifier: Apache-2.0

public import GuestMemory
public import SystemPackage

#if canImport(Glibc)
import Glibc
#endif

/// A file that another process may write at any moment, mapped shared: a guest's RAM, a DIMM, the shared region.
public final class MappedFile: Sendable {
    /// Where it was found. libvirt may put another file there later, so identity is the mapping and not the path.
    public let path: FilePath
    /// Its content, which stays mapped as long as somebody holds it.
    public let words: MappedWords

    /// Maps the whole of a file.
    ///
    /// `isWritable` is for ``PageStamps``, and for tests that damage a guest on purpose; without it a store would end the
    /// process. Throws ``MappedFileError`` with errno, or when the file is shorter than `byteCount`: reading behind a
    /// file's end would be a SIGBUS.
    public init(_ path: FilePath, byteCount: UInt64, isWritable: Bool = false) throws {
        self.path = path
        let descriptor: FileDescriptor
        do {
            descriptor = try FileDescriptor.open(path, isWritable ? .readWrite : .readOnly, options: [.noFollow])
        } catch let error as Errno {
            throw MappedFileError.cannotOpen(path, error)
        }
        words = try descriptor.closeAfter {
            let length = try descriptor.seek(offset: 0, from: .end)
            guard UInt64(length) >= byteCount, byteCount > 0, byteCount <= UInt64(Int.max) else {
                throw MappedFileError.tooShort(path, byteCount: UInt64(length), expected: byteCount)
            }
            // SAFETY: a fresh mapping of a file that is at least as long, which nobody else knows.
            let base = unsafe mmap(
                nil, Int(byteCount), isWritable ? PROT_READ | PROT_WRITE : PROT_READ, MAP_SHARED,
                descriptor.rawValue, 0)
            guard let base = unsafe base, unsafe base != MAP_FAILED else {
                throw MappedFileError.cannotMap(path, Errno(rawValue: errno))
            }
            // SAFETY: what is unmapped is what was mapped, once, when nobody holds the words any more.
            return MappedWords(
                unsafe Mapping(unsafeBase: base, byteCount: byteCount) { unsafe _ = munmap($0, Int(byteCount)) })
        }
    }

    /// The parts of the file that hold data, in ascending order (SEEK_DATA): a hole was never written by the guest, and
    /// reading it through the mapping would make the file grow.
    public func dataExtents() throws -> [Range<UInt64>] {
        let descriptor = try FileDescriptor.open(path, .readOnly, options: [.noFollow])
        return try descriptor.closeAfter { try descriptor.dataExtents(of: 0..<words.byteCount) }
    }
}

/// Why a file of guest memory cannot be used.
public enum MappedFileError: Error, Equatable, Sendable, CustomStringConvertible {
    /// It cannot be opened.
    case cannotOpen(FilePath, Errno)
    /// It is shorter than the memory that it should hold.
    case tooShort(FilePath, byteCount: UInt64, expected: UInt64)
    /// It cannot be mapped.
    case cannotMap(FilePath, Errno)

    /// What a person reads.
    public var description: String {
        switch self {
        case .cannotOpen(let path, let error): "cannot open guest memory \(path): \(error)"
        case .tooShort(let path, let byteCount, let expected):
            "guest memory \(path) has \(byteCount) bytes where \(expected) are expected"
        case .cannotMap(let path, let error): "cannot map guest memory \(path): \(error)"
        }
    }
}
