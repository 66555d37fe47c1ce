// SPDX-License-Identifier: Apache-2.0

internal import Foundation
internal import SystemPackage

/// Makes one folder, for this user only; it must not be there yet.
func makeFolder(_ path: FilePath) throws(EmbeddedRootError) {
    // A C string that lives for the length of the call.
    guard unsafe mkdir(path.string, 0o700) == 0 else { throw .file(path, reason: "\(Errno(rawValue: errno))") }
}

/// Makes a symbolic link; nothing of its name may be there yet.
func makeLink(_ path: FilePath, to target: FilePath) throws(EmbeddedRootError) {
    // C strings that live for the length of the call.
    guard unsafe symlink(target.string, path.string) == 0 else {
        throw .file(path, reason: "\(Errno(rawValue: errno))")
    }
}

/// Makes a folder and those above it that are not there yet, for this user only.
func makePrivateFolders(_ path: FilePath) throws(EmbeddedRootError) {
    try reporting(path) {
        try FileManager.default.createDirectory(
            atPath: path.string,
            withIntermediateDirectories: true,
            attributes: [.posixPermissions: 0o700]
        )
    }
}

/// Writes a new text file.
func writeFile(_ path: FilePath, _ text: String) throws(EmbeddedRootError) {
    try reporting(path) { try Data(text.utf8).write(to: URL(filePath: path.string), options: .withoutOverwriting) }
}

/// Opens a file and locks it until the descriptor is closed; QEMU does not inherit it.
func lockFile(_ path: FilePath, options: FileDescriptor.OpenOptions) throws(EmbeddedRootError) -> FileDescriptor {
    var descriptor: FileDescriptor?
    try reporting(path) {
        descriptor = try FileDescriptor.open(
            path,
            .readWrite,
            options: options.union(.closeOnExec),
            permissions: .ownerReadWrite
        )
    }
    guard let descriptor else { throw .inUse(path) }
    guard flock(descriptor.rawValue, LOCK_EX | LOCK_NB) == 0 else {
        try? descriptor.close()
        throw .inUse(path)
    }
    return descriptor
}

/// Whether a path still leads to the file that is open.
func isSame(_ descriptor: FileDescriptor, _ path: FilePath) -> Bool {
    var (open, named) = (stat(), stat())
    // Both structures live for the length of the calls.
    guard unsafe fstat(descriptor.rawValue, &open) == 0, unsafe lstat(path.string, &named) == 0 else { return false }
    return open.st_dev == named.st_dev && open.st_ino == named.st_ino
}

/// The user that a file belongs to, nil if there is no such file.
func owner(of path: FilePath) -> UInt32? {
    let attributes = try? FileManager.default.attributesOfItem(atPath: path.string)
    return (attributes?[.ownerAccountID] as? NSNumber)?.uint32Value
}

/// The names in a folder, none if it cannot be read.
func names(in folder: FilePath) -> [String] {
    (try? FileManager.default.contentsOfDirectory(atPath: folder.string)) ?? []
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

/// Removes a file or folder with all that is in it, and returns what stood in the way.
@discardableResult
func removeTree(_ path: FilePath) -> EmbeddedRootError? {
    do {
        try FileManager.default.removeItem(atPath: path.string)
        return nil
    } catch CocoaError.fileNoSuchFile {
        return nil
    } catch {
        // Foundation names the file inside the folder that stood in the way.
        return .file((error as? CocoaError)?.filePath.map { FilePath($0) } ?? path, reason: reason(for: error))
    }
}

/// What the operating system said: Foundation wraps it into more than a person wants to read.
private func reason(for error: any Error) -> String {
    switch (error as? CocoaError)?.underlying {
    case let error as POSIXError: "\(Errno(rawValue: error.code.rawValue))"
    case _: error is CocoaError ? error.localizedDescription : "\(error)"
    }
}

/// Runs a body and throws its error as one about a path.
private func reporting(_ path: FilePath, _ body: () throws -> Void) throws(EmbeddedRootError) {
    do {
        try body()
    } catch {
        throw .file(path, reason: reason(for: error))
    }
}
