// SPDX-License-Identifier: Apache-2.0

internal import CProcess
internal import Foundation
internal import SystemPackage

/// A process that stays the same one, whatever becomes of its number (`pidfd_open`).
final class ProcessHandle: Sendable {
    let processID: Int32
    private let descriptor: FileDescriptor

    /// Opens the process of that number.
    ///
    /// - Throws: `Errno.noSuchProcess` if there is none, or why it cannot be opened.
    init(processID: Int32) throws(Errno) {
        let number = pidfd_open(processID, 0)
        guard number >= 0 else { throw Errno(rawValue: errno) }
        self.processID = processID
        descriptor = FileDescriptor(rawValue: number)
    }

    deinit {
        // Closing a valid descriptor for a process cannot fail.
        try? descriptor.close()
    }

    /// Ends the process with SIGKILL; one that has ended is no error.
    ///
    /// - Throws: Why this process may not end it.
    func kill() throws(Errno) {
        guard pidfd_send_signal(descriptor.rawValue, SIGKILL, nil, 0) != 0, errno != ESRCH else { return }
        throw Errno(rawValue: errno)
    }

    /// Blocks until the process has ended, or for so long; without end if nil.
    ///
    /// - Returns: Whether it has ended.
    func waitForEnd(milliseconds: Int32? = nil) -> Bool {
        var ended = pollfd(fd: descriptor.rawValue, events: Int16(POLLIN), revents: 0)
        while true {
            // The descriptor becomes readable when the process ends, whoever its parent is.
            let count = unsafe poll(&ended, 1, milliseconds ?? -1)
            if count >= 0 || errno != EINTR { return count > 0 }
        }
    }
}

extension ProcessHandle {
    /// The processes of this machine whose arguments, the program first, match; this one is never among them.
    static func all(where matches: ([Data]) -> Bool) -> [ProcessHandle] {
        names(in: "/proc").compactMap { entry in
            guard let processID = Int32(entry), processID != getpid(), matches(arguments(of: processID)),
                let handle = try? ProcessHandle(processID: processID)
            else { return nil }
            // The handle never changes its process: if it matches now, it stays so.
            return matches(arguments(of: processID)) ? handle : nil
        }
    }

    /// The arguments of a process, its program first; none if it has ended.
    private static func arguments(of processID: Int32) -> [Data] {
        (FileManager.default.contents(atPath: "/proc/\(processID)/cmdline") ?? Data()).split(separator: 0)
    }
}
