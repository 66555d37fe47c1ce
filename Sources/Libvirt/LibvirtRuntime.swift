// SPDX-License-Identifier: Apache-2.0

internal import CLibvirt
internal import Foundation
internal import Synchronization
public import SystemPackage

/// What libvirt wants done once in a process, before its first connection.
public enum LibvirtRuntime {
    private static let started = Mutex(false)

    /// Starts libvirt in this process; later calls do nothing.
    ///
    /// Silences libvirt's printing on stderr, starts its event loop on a thread of its own, and makes this process the
    /// child subreaper, so that it can reap the QEMU processes which libvirt's embedded driver daemonizes
    /// (`virSetErrorFunc`, `virInitialize`, `virEventRegisterDefaultImpl`).
    ///
    /// - Parameters:
    ///   - logFile: Where libvirt's own log goes, warnings and worse, at any path; nowhere if nil.
    ///   - root: Holds a link to that file, which libvirt is told of: its setting of log outputs knows no escapes for the
    ///     blanks and colons between them. The QEMUs that libvirt starts open the log anew through it.
    /// - Throws: `LibvirtError` if libvirt does not start, `Errno` if the process cannot become a subreaper,
    ///   `EmbeddedRootError` if the link cannot be made.
    public static func start(logFile: FilePath? = nil, root: EmbeddedRoot? = nil) throws {
        try started.withLock { started in
            if started { return }
            // A no-op handler: errors are thrown, not printed. It keeps no state, so it needs none.
            unsafe virSetErrorFunc(nil) { _, _ in }
            var log: FilePath = "/dev/null"
            if let logFile, let root {
                log = root.path.appending("libvirt.log")
                try makeLink(log, to: logFile)
            }
            // 3 is libvirt's number for "warnings and worse".
            let output = "3:file:\(log)"
            // Before virInitialize, which reads it; nothing of libvirt runs yet.
            guard unsafe setenv("LIBVIRT_LOG_OUTPUTS", output, 1) == 0 else { throw Errno(rawValue: errno) }
            guard clibvirt_become_child_subreaper() == 0 else { throw Errno(rawValue: errno) }
            try check("virInitialize", virInitialize())
            try check("virEventRegisterDefaultImpl", virEventRegisterDefaultImpl())
            let loop = Thread {
                while true {
                    // A loop that fails must not spin.
                    if virEventRunDefaultImpl() < 0 { Thread.sleep(forTimeInterval: 0.1) }
                }
            }
            loop.name = "libvirt-events"
            loop.start()
            started = true
        }
    }
}
