// SPDX-License-Identifier: Apache-2.0

internal import CLibvirt
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
    ///   - isDryRun: Whether to leave everything as it is and only tell.
    /// - Returns: The IDs of the runs that were removed, or would be.
    /// - Throws: `EmbeddedRootError.file` for what cannot be removed.
    public static func removeAbandoned(
        parent: FilePath,
        memoryParent: FilePath = "/dev/shm",
        includingKept: Bool = false,
        isDryRun: Bool = false
    ) throws(EmbeddedRootError) -> [String] {
        var found: [String] = []
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
            guard !isDryRun else {
                found.append(runID)
                continue
            }
            endGuests(root)
            try remove(runID: runID, root: root, memoryDirectory: memoryParent.appending(rootName))
            found.append(runID)
        }
        return found
    }

    /// Kills every QEMU of this run at once: for a run that is to end whatever libvirt is doing.
    public func killGuests() {
        Self.endGuests(path)
    }

    /// Kills every QEMU that the embedded driver under this root has started, and waits until it is gone.
    ///
    /// A QEMU of this root's is known by its arguments, which name files in the root; libvirt's PID files come too late
    /// for one whose harness died while it started.
    private static func endGuests(_ root: FilePath) {
        let place = Data((root.string + "/").utf8)
        for entry in names(in: "/proc") {
            guard let processID = Int32(entry), processID != getpid() else { continue }
            let number = pidfd_open(processID, 0)
            guard number >= 0 else { continue }
            let descriptor = FileDescriptor(rawValue: number)
            defer { try? descriptor.close() }
            // Read after the descriptor was opened: it stays with this process, whatever becomes of its number.
            guard qemuArguments(of: processID)?.contains(where: { $0.range(of: place) != nil }) == true else {
                continue
            }
            guard pidfd_send_signal(number, SIGKILL, nil, 0) == 0 else { continue }
            var ended = pollfd(fd: number, events: Int16(POLLIN), revents: 0)
            // A killed process is gone within milliseconds; one that the kernel cannot end is not waited for.
            _ = unsafe poll(&ended, 1, 5000)
            // If it was this process's child, it is this process that has to reap it.
            _ = waitpid(processID, nil, WNOHANG)
        }
    }
}
