// SPDX-License-Identifier: Apache-2.0

internal import Foundation
internal import SystemPackage

/// Makes one folder, for this user only; it must not be there yet.
func makeFolder(_ path: FilePath) throws(RunFixtureError) {
    // A C string that lives for the length of the call.
    guard unsafe mkdir(path.string, 0o700) == 0 else { throw .file(path, reason: "\(Errno(rawValue: errno))") }
}

/// Makes a symbolic link; nothing of its name may be there yet.
func makeLink(_ path: FilePath, to target: FilePath) throws(RunFixtureError) {
    // C strings that live for the length of the call.
    guard unsafe symlink(target.string, path.string) == 0 else {
        throw .file(path, reason: "\(Errno(rawValue: errno))")
    }
}

/// Makes a folder and those above it that are not there yet, for this user only.
func makePrivateFolders(_ path: FilePath) throws(RunFixtureError) {
    do {
        try FileManager.default.createDirectory(
            atPath: path.string, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
    } catch {
        throw .file(path, reason: reason(for: error))
    }
}

/// Writes a new text file.
func writeFile(_ path: FilePath, _ text: String) throws(RunFixtureError) {
    do {
        try Data(text.utf8).write(to: URL(filePath: path.string), options: .withoutOverwriting)
    } catch {
        throw .file(path, reason: reason(for: error))
    }
}

/// Copies a folder's files into another folder, each in one step, so that other processes never read half a file.
///
/// What cannot be copied is left out: these files save time and nothing else.
func copyFiles(from source: FilePath, to target: FilePath) {
    for name in names(in: source) {
        guard let data = FileManager.default.contents(atPath: source.appending(name).string) else { continue }
        // Written beside its place and renamed.
        try? data.write(to: URL(filePath: target.appending(name).string), options: .atomic)
    }
}
