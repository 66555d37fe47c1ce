// SPDX-License-Identifier: Apache-2.0

internal import Foundation
public import SystemPackage

/// What became of what dead runs had left.
public struct LeftoverRemoval: Sendable {
    /// The IDs of the runs of which nothing is left any more; in a dry run, of those that would be tried.
    public internal(set) var removed: [String] = []
    /// The IDs of the runs of which something is left still, and what stood in the way.
    public internal(set) var failures: [(runID: String, error: EmbeddedRootError)] = []
}

extension EmbeddedRoot {
    /// Ends the guests and removes the files of this user's runs whose process has died.
    ///
    /// A run whose process lives holds its root's lock, and is left alone. So is one that was kept on purpose, unless
    /// `includingKept` says otherwise. One that cannot be removed keeps no other from it, and can be tried again.
    ///
    /// - Parameters:
    ///   - parent: The folder of the roots, as they were made with.
    ///   - memoryParent: The folder of the memory folders, as they were made with.
    ///   - includingKept: Whether guests that were kept on purpose end as well.
    ///   - isDryRun: Whether to leave everything as it is and only tell.
    /// - Returns: What was removed, or would be, and what could not be.
    public static func removeAbandoned(
        parent: FilePath,
        memoryParent: FilePath = "/dev/shm",
        includingKept: Bool = false,
        isDryRun: Bool = false
    ) async -> LeftoverRemoval {
        await blocking {
            removeAbandonedNow(
                parent: parent, memoryParent: memoryParent, includingKept: includingKept, isDryRun: isDryRun)
        }
    }

    /// The same, blocking.
    static func removeAbandonedNow(
        parent: FilePath,
        memoryParent: FilePath,
        includingKept: Bool,
        isDryRun: Bool
    ) -> LeftoverRemoval {
        var removal = LeftoverRemoval()
        for name in names(in: parent).sorted() {
            // A draft is a root whose process died before it had a name.
            let isDraft = name.hasPrefix("." + prefix)
            guard isDraft || name.hasPrefix(prefix) else { continue }
            let rootName = isDraft ? String(name.dropFirst()) : name
            let runID = String(rootName.dropFirst(prefix.count))
            let root = parent.appending(name)
            guard isRunID(runID), owner(of: root) == geteuid() else { continue }
            let lock: FileDescriptor
            do throws(EmbeddedRootError) {
                lock = try lockFile(root.appending(lockName), options: .noFollow)
            } catch {
                // Locked: its process lives. No lock file: not ours, or so young or so far removed that it is empty.
                // A C string that lives for the length of the call; a folder with files in it stays.
                if case .file = error, !isDryRun { _ = unsafe rmdir(root.string) }
                continue
            }
            defer { try? lock.close() }
            if !includingKept, owner(of: root.appending(keptName)) != nil { continue }
            do throws(EmbeddedRootError) {
                if !isDryRun {
                    // Before the files: by the root a guest that cannot be ended is found again.
                    try RunEmulators(runID: runID, root: root).end()
                    try remove(runID: runID, root: root, memoryDirectory: memoryParent.appending(rootName))
                }
                removal.removed.append(runID)
            } catch {
                removal.failures.append((runID, error))
            }
        }
        return removal
    }

    /// Ends every QEMU of this run that is left, whichever libvirt started it.
    ///
    /// - Throws: `EmbeddedRootError.guest` for one that cannot be ended.
    public func endGuests() async throws {
        let emulators = RunEmulators(runID: runID, root: path)
        try await blocking { try emulators.end() }
    }

    /// Kills every QEMU of this run, for a run that is to end whatever libvirt is doing. Does not wait for it.
    public func killGuests() {
        let emulators = RunEmulators(runID: runID, root: path)
        // Who ends the run waits for its guest, and tells what is left of it.
        detached { try? emulators.end() }
    }
}
