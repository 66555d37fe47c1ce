// SPDX-License-Identifier: Apache-2.0

internal import Foundation
internal import SystemPackage

/// The lock of a private root, held: as long as it is, the root's process lives. QEMU does not inherit it.
struct RootLock: ~Copyable {
    /// A name that nobody else gives a file, because folders that hold it are removed.
    static let name = "qemu-harness.lock"

    private let descriptor: FileDescriptor

    /// Takes the lock of a root that is there.
    ///
    /// - Throws: `RunFixtureError.inUse` if a live process holds it, `.file` if there is none.
    init(of root: FilePath) throws(RunFixtureError) {
        try self.init(of: root, options: .noFollow)
    }

    private init(of root: FilePath, options: FileDescriptor.OpenOptions) throws(RunFixtureError) {
        let path = root.appending(Self.name)
        let opened: FileDescriptor
        do {
            opened = try FileDescriptor.open(
                path, .readWrite, options: options.union(.closeOnExec), permissions: .ownerReadWrite)
        } catch {
            throw .file(path, reason: "\(error)")
        }
        guard flock(opened.rawValue, LOCK_EX | LOCK_NB) == 0 else {
            try? opened.close()
            throw .inUse(path)
        }
        descriptor = opened
    }

    deinit {
        // Gives up the lock as well; there is nobody to tell if it fails.
        try? descriptor.close()
    }

    /// Gives the lock up.
    consuming func release() {}

    /// Makes a root that is locked from the first moment at which it can be seen under its name.
    ///
    /// It is made as a draft and renamed once its lock is held. A pruner takes a draft without a held lock for a dead
    /// process's; should it be this process's, the draft is made again.
    static func claim(_ root: FilePath, draft: FilePath) throws(RunFixtureError) -> RootLock {
        for _ in 0..<claimAttemptLimit {
            guard let lock = try? locked(draft) else { continue }
            // Onto a folder with files in it a folder cannot be renamed.
            // C strings that live for the length of the call.
            guard unsafe rename(draft.string, root.string) == 0 else {
                lock.release()
                try? removeTree(draft)
                throw .inUse(root)
            }
            if lock.isHeld(in: root) { return lock }
            lock.release()
            try? removeTree(root)
        }
        throw .file(root, reason: "could not be made in \(claimAttemptLimit) attempts")
    }

    private static let claimAttemptLimit = 8

    /// Makes a folder with its lock held.
    private static func locked(_ folder: FilePath) throws(RunFixtureError) -> RootLock {
        try makeFolder(folder)
        do throws(RunFixtureError) {
            return try RootLock(of: folder, options: [.create, .exclusiveCreate])
        } catch {
            try? removeTree(folder)
            throw error
        }
    }

    /// Whether a root's lock file is still the one that is held.
    private borrowing func isHeld(in root: FilePath) -> Bool {
        var (open, named) = (stat(), stat())
        // Both structures, and the C string, live for the length of the calls.
        guard unsafe fstat(descriptor.rawValue, &open) == 0,
            unsafe lstat(root.appending(Self.name).string, &named) == 0
        else { return false }
        return open.st_dev == named.st_dev && open.st_ino == named.st_ino
    }
}
