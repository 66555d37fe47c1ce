// SPDX-License-Identifier: Apache-2.0

internal import CLibvirt
internal import Foundation
internal import Synchronization
public import SystemPackage

/// What libvirt has done once in a process, before its first connection.
public enum LibvirtRuntime {
    private static let started = Mutex(false)

    /// Starts libvirt in this process; later calls do nothing.
    ///
    /// Silences libvirt's printing on stderr and starts its event loop on a thread of its own (`virSetErrorFunc`,
    /// `virInitialize`, `virEventRegisterDefaultImpl`).
    ///
    /// - Parameter log: Where libvirt's own log goes, warnings and worse; nowhere if nil. A path without blanks and colons,
    ///   for which libvirt's setting of log outputs knows no escapes.
    /// - Throws: `LibvirtError` if libvirt does not start, `Errno` if the environment cannot be set.
    public static func start(log: FilePath? = nil) throws {
        try started.withLock { started in
            if started { return }
            // A no-op handler: errors are thrown, not printed. It keeps no state, so it needs none.
            unsafe virSetErrorFunc(nil) { _, _ in }
            // 3 is libvirt's number for "warnings and worse".
            let output = "3:file:\(log ?? "/dev/null")"
            // Before virInitialize, which reads it; nothing of libvirt runs yet.
            guard unsafe setenv("LIBVIRT_LOG_OUTPUTS", output, 1) == 0 else { throw Errno(rawValue: errno) }
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
