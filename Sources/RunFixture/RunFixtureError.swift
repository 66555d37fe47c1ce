// SPDX-License-Identifier: Apache-2.0

package import SystemPackage

/// What a run has outside of its record cannot be made, or cannot be removed.
package enum RunFixtureError: Error, Equatable, Sendable, CustomStringConvertible {
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
    /// No QEMU with that UUID runs on this machine.
    case noEmulator(uuid: String)
    /// A guest was to start before the connection was there, or behind the cleanup.
    case notConnected
    /// The operating system refused.
    case file(FilePath, reason: String)

    /// What is wrong, and where.
    package var description: String {
        switch self {
        case .badRunID(let text):
            "run id '\(text)' is not made of letters, digits and hyphens"
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
        case .noEmulator(let uuid):
            "no qemu process with the uuid \(uuid) runs on this machine"
        case .notConnected:
            "the run has no connection to libvirt"
        case .file(let path, let reason):
            "'\(path)': \(reason)"
        }
    }
}
