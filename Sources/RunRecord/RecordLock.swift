// SPDX-License-Identifier: Apache-2.0

import Foundation

/// The lock on `events.jsonl` that a run holds as long as it writes its record, and a matrix on its journal: the kernel gives it up with the process, so
/// that a record says by itself whether its run goes on.
enum RecordLock {
    /// Takes the lock for a file that this process writes. A reader may be looking at that very moment, so this is tried for
    /// a short time; a run without the lock only looks as if it had been killed.
    static func take(_ file: FileHandle) {
        for _ in 0..<20 {
            guard flock(file.fileDescriptor, LOCK_EX | LOCK_NB) != 0 else { return }
            usleep(5000)
        }
    }

    /// Whether a process holds the lock of a record.
    static func isHeld(in directory: URL) -> Bool { isHeld(directory.appending(path: RunDirectory.eventsName)) }

    /// Whether a process holds the lock of a file.
    static func isHeld(_ file: URL) -> Bool {
        // SAFETY: a C string that lives for the length of the call, as the status below does.
        let descriptor = unsafe open(file.path, O_RDONLY | O_NONBLOCK | O_CLOEXEC)
        guard descriptor >= 0 else { return false }
        defer { close(descriptor) }
        var status = stat()
        guard unsafe fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG else { return false }
        return flock(descriptor, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK
    }
}
