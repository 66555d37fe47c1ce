// SPDX-License-Identifier: Apache-2.0

import Foundation
import SystemPackage

/// A file among the temporary ones whose content is an input, for readers that take files.
final class ScratchFile: Sendable {
    static let input = ScratchFile("input")
    static let target = ScratchFile("target")

    let descriptor: FileDescriptor
    let path: FilePath

    private init(_ name: String) {
        let folder = FileManager.default.temporaryDirectory
        let file = folder.appending(path: "fuzz-\(ProcessInfo.processInfo.processIdentifier)-\(name)")
        path = FilePath(file.path)
        guard
            let descriptor = try? FileDescriptor.open(
                path, .readWrite, options: [.create, .truncate], permissions: .ownerReadWrite)
        else {
            print("fuzz: there is no room for \(path)")
            exit(2)
        }
        self.descriptor = descriptor
    }

    /// Empties it.
    func clear() {
        require(ftruncate(descriptor.rawValue, 0) == 0, "the file can be emptied")
    }

    /// Fills it, and makes it as long as is said.
    func fill(_ bytes: [UInt8], byteCount: Int? = nil) {
        clear()
        require(try descriptor.writeAll(toAbsoluteOffset: 0, bytes) == bytes.count, "the file can be written")
        guard let byteCount else { return }
        require(ftruncate(descriptor.rawValue, off_t(byteCount)) == 0, "the file can grow")
    }
}
