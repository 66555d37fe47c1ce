// SPDX-License-Identifier: Apache-2.0

internal import Foundation
internal import SystemPackage

/// Removes a file or folder with all that is in it; what is not there is no error.
///
/// - Throws: `RunFixtureError.file` with what stood in the way.
func removeTree(_ path: FilePath) throws(RunFixtureError) {
    do {
        try FileManager.default.removeItem(atPath: path.string)
    } catch CocoaError.fileNoSuchFile {
        return
    } catch {
        // Foundation names the file inside the folder that stood in the way.
        throw .file((error as? CocoaError)?.filePath.map { FilePath($0) } ?? path, reason: reason(for: error))
    }
}

/// Removes a run's QEMUs and files in the order in which a pruner can try again: QEMU first, the root's lock last and only
/// when nothing else is left, because both are found by the root.
///
/// - Parameters:
///   - id: The run's.
///   - root: The private root, or the draft of one.
///   - files: What else the run has.
///   - includingLock: Whether nothing else is left that a pruner has to find.
/// - Throws: `RunFixtureError` for the first that cannot be removed, after the rest is gone.
func removeRun(
    _ id: RunID, root: FilePath, files: [FilePath], includingLock: Bool = true
) throws(RunFixtureError) {
    try RunEmulators(id: id, root: root).end()
    let inside = names(in: root).filter { $0 != RootLock.name }.map { root.appending($0) }
    var failure: RunFixtureError?
    for path in files + inside {
        do throws(RunFixtureError) { try removeTree(path) } catch { failure = failure ?? error }
    }
    if let failure { throw failure }
    if includingLock { try removeTree(root) }
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

/// What the operating system said: Foundation wraps it into more than a person reads.
func reason(for error: any Error) -> String {
    switch (error as? CocoaError)?.underlying {
    case let error as POSIXError: "\(Errno(rawValue: error.code.rawValue))"
    case _: error is CocoaError ? error.localizedDescription : "\(error)"
    }
}
