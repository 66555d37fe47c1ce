// SPDX-License-Identifier: Apache-2.0

import Libvirt
import RunFixture

/// What was seen of a guest's end after it was asked to switch itself off.
struct PowerOff: Equatable {
    /// How QEMU has ended; unknown where a daemon's is no child of this process.
    var processEnd: QemuProcess.ExitStatus
    /// QEMU's own word for why its guest has ended (QAPI: `ShutdownCause`), nil when it said nothing.
    var shutdownReason: String?
    /// libvirt's word for why the domain is gone, nil when it said nothing.
    var stopReason: DomainEvent.StopReason?
    /// Whether the guest's kernel told QEMU that it has crashed.
    var hasCrashed = false

    /// What of it is not as it is when a guest has switched itself off and QEMU has ended as it should; nil when nothing
    /// is.
    ///
    /// With `panic=-1` a panic is a reboot, and a reboot that nobody asked for ends QEMU with code 0, too.
    var problem: String? {
        if ![.exited(code: 0), .unknown].contains(processEnd) {
            return "qemu \(processEnd) as the guest was switched off"
        }
        if hasCrashed { return "the guest has crashed as it was switched off" }
        guard let shutdownReason else { return "the guest has not switched itself off: qemu has ended without a word" }
        guard shutdownReason == "guest-shutdown" else {
            return "the guest has not switched itself off: qemu says '\(shutdownReason)'"
        }
        guard let stopReason else { return "libvirt has not told how the domain stopped" }
        // Of a daemon's QEMU nobody is told the code: libvirt says whether it was gone before its guest had shut down.
        return stopReason == .shutdown ? nil : "the domain stopped for another reason: \(stopReason)"
    }
}
