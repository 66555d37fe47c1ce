// SPDX-License-Identifier: Apache-2.0

internal import Foundation
internal import Libvirt
internal import SystemPackage

/// What became of what dead runs had left.
package struct LeftoverRemoval: Sendable {
    /// The runs of which nothing is left any more; in a dry run, those that would be tried.
    package fileprivate(set) var removed: [RunID] = []
    /// The runs of which something is left still, and what stood in the way.
    package fileprivate(set) var failures: [(id: RunID, error: RunFixtureError)] = []
}

extension RunFixture {
    /// Ends the guests and removes the files of this user's runs whose process has died.
    ///
    /// A run whose process lives holds its root's lock, and is left alone. So is one that was kept on purpose, unless
    /// `includingKept` says otherwise. One that cannot be removed keeps no other from it, and can be tried again.
    ///
    /// - Parameters:
    ///   - folders: Where the runs have made what they had.
    ///   - includingKept: Whether guests that were kept on purpose end as well.
    ///   - isDryRun: Whether to leave everything as it is and only tell.
    /// - Returns: What was removed, or would be, and what could not be.
    package static func prune(
        in folders: RunFolders = .standard, includingKept: Bool = false, isDryRun: Bool = false
    ) async -> LeftoverRemoval {
        await blocking { pruneNow(in: folders, includingKept: includingKept, isDryRun: isDryRun) }
    }

    /// The same, blocking.
    static func pruneNow(in folders: RunFolders, includingKept: Bool, isDryRun: Bool) -> LeftoverRemoval {
        var removal = LeftoverRemoval()
        for name in names(in: folders.roots).sorted() {
            // A draft is a root whose process died before it had a name.
            guard let id = RunID(rootName: name.hasPrefix(".") ? name.dropFirst() : name[...]) else { continue }
            let root = folders.roots.appending(name)
            guard owner(of: root) == geteuid() else { continue }
            let lock: RootLock
            do throws(RunFixtureError) {
                lock = try RootLock(of: root)
            } catch {
                // Locked: its process lives. No lock file: not ours, or so young or so far removed that it is empty.
                // A C string that lives for the length of the call; a folder with files in it stays.
                if case .file = error, !isDryRun { _ = unsafe rmdir(root.string) }
                continue
            }
            let isKept = owner(of: root.appending(PrivateRoot.keptName)) != nil
            if includingKept || !isKept {
                do throws(RunFixtureError) {
                    if !isDryRun {
                        try removeRun(
                            id, root: root,
                            files: [folders.memory(of: id), id.sharedRegionFile, id.dumpAreaFile, id.initramfsFile])
                    }
                    removal.removed.append(id)
                } catch {
                    removal.failures.append((id, error))
                }
            }
            lock.release()
        }
        return removal
    }
}
