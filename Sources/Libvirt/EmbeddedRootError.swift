// SPDX-License-Identifier: Apache-2.0

public import SystemPackage

/// Why a private root for libvirt's embedded driver cannot be had.
public enum EmbeddedRootError: Error, Equatable, Sendable, CustomStringConvertible {
    /// A run ID is not letters, digits and hyphens.
    case badRunID(String)
    /// A path holds a character that libvirt's settings cannot carry.
    case badPath(FilePath)
    /// A UNIX socket below the root could have a path longer than the kernel takes; lengths in bytes.
    case socketPathTooLong(root: FilePath, byteCount: Int, limit: Int)
    /// The root belongs to a live process.
    case inUse(FilePath)
    /// The carried-over capabilities belong to another user, who could put anything into them.
    case foreignCache(FilePath)
    /// A guest's QEMU cannot be ended.
    case guest(processID: Int32, reason: String)
    /// The operating system refused.
    case file(FilePath, reason: String)

    /// What is wrong, and where.
    public var description: String {
        switch self {
        case .badRunID(let runID):
            "run id '\(runID)' is not made of letters, digits and hyphens"
        case .badPath(let path):
            "'\(path)' holds a quote or a control character, which libvirt's settings cannot carry"
        case .socketPathTooLong(let root, let byteCount, let limit):
            "a socket below '\(root)' would have a path of \(byteCount) bytes, and at most \(limit) fit: "
                + "choose a shorter folder"
        case .inUse(let path):
            "'\(path)' is in use by another process"
        case .foreignCache(let path):
            "'\(path)' belongs to another user"
        case .guest(let processID, let reason):
            "its qemu, process \(processID), cannot be ended: \(reason)"
        case .file(let path, let reason):
            "'\(path)': \(reason)"
        }
    }
}
