// SPDX-License-Identifier: Apache-2.0

internal import Foundation
package import SystemPackage

/// What is asked of the file systems that runs write to.
package enum FileSystem {
    /// How much can still be written to a folder's file system, in bytes; nil when that cannot be told.
    package static func freeByteCount(of folder: FilePath) -> UInt64? {
        let attributes = try? FileManager.default.attributesOfFileSystem(forPath: existing(folder).string)
        return (attributes?[.systemFreeSize] as? NSNumber)?.uint64Value
    }

    /// Whether two folders are in the same one; not if that cannot be told.
    static func isSame(_ one: FilePath, _ other: FilePath) -> Bool {
        guard let device = device(of: one) else { return false }
        return device == Self.device(of: other)
    }

    private static func device(of folder: FilePath) -> NSNumber? {
        (try? FileManager.default.attributesOfItem(atPath: existing(folder).string))?[.systemNumber] as? NSNumber
    }

    /// A folder, or the nearest one above it that there is: libvirt makes what is missing.
    static func existing(_ folder: FilePath) -> FilePath {
        var folder = folder
        while !FileManager.default.fileExists(atPath: folder.string), !folder.components.isEmpty {
            folder.removeLastComponent()
        }
        return folder
    }
}
