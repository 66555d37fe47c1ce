// SPDX-License-Identifier: Apache-2.0

internal import Foundation
public import SystemPackage

extension EmbeddedRoot {
    /// Ends the guests and removes the files of this user's runs whose process has died.
    ///
    /// A run whose process lives holds its root's lock, and is left alone. So is one that was kept on purpose, unless
    /// `includingKept` says otherwise.
    ///
    /// - Parameters:
    ///   - parent: The folder of the roots, as they were made with.
    ///   - memoryParent: The folder of the memory folders, as they were made with.
    ///   - includingKept: Whether guests that were kept on purpose end as well.
    /// - Returns: The IDs of the runs that were removed.
    /// - Throws: `EmbeddedRootError.file` for what cannot be removed.
    public static func removeAbandoned(
        parent: FilePath,
        memoryParent: FilePath = "/dev/shm",
        includingKept: Bool = false
    ) throws(EmbeddedRootError) -> [String] {
        var removed: [String] = []
        for name in names(in: parent).sorted() where name.hasPrefix(prefix) {
            let runID = String(name.dropFirst(prefix.count))
            let root = parent.appending(name)
            guard isRunID(runID), owner(of: root) == geteuid() else { continue }
            // No lock file: the root is being made at this moment. Locked: its process lives.
            guard let lock = try? lockFile(root.appending(lockName), options: .noFollow) else { continue }
            defer { try? lock.close() }
            if !includingKept, owner(of: root.appending(keptName)) != nil { continue }
            endGuests(root)
            try remove(runID: runID, root: root, memoryDirectory: memoryParent.appending(name))
            removed.append(runID)
        }
        return removed
    }

    /// Kills every QEMU of this run at once, and does not wait: for a run that is to end whatever libvirt is doing.
    public func killGuests() {
        Self.endGuests(path)
    }

    /// Kills every QEMU that the embedded driver under this root has started.
    private static func endGuests(_ root: FilePath) {
        let folder = root.appending("run").appending("qemu")
        for name in names(in: folder) where name.hasSuffix(".pid") {
            guard let file = try? FileDescriptor.open(folder.appending(name), .readWrite, options: .closeOnExec)
            else { continue }
            defer { try? file.close() }
            // libvirt has QEMU hold a lock on its PID file: the holder's number is QEMU's, the number in the file may
            // be another process's by now.
            var lock = flock()
            lock.l_type = Int16(F_WRLCK)
            lock.l_whence = Int16(SEEK_SET)
            let result = unsafe fcntl(file.rawValue, F_GETLK, &lock)
            if result == 0, lock.l_type != Int16(F_UNLCK), lock.l_pid > 0 { kill(lock.l_pid, SIGKILL) }
        }
    }
}
