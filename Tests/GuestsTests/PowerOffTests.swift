// SPDX-License-Identifier: Apache-2.0

import Libvirt
import RunFixture
import Testing

@testable import Guests

/// Which ends of a guest are its own power-off.
@Suite struct PowerOffTests {
    private static let clean = PowerOff(
        processEnd: .exited(code: 0), shutdownReason: "guest-shutdown", stopReason: .shutdown)

    private static func end(_ change: (inout PowerOff) -> Void) -> PowerOff {
        var end = clean
        change(&end)
        return end
    }

    /// Who its parent is no daemon's QEMU tells, and libvirt does.
    @Test(arguments: [clean, end { $0.processEnd = .unknown }])
    func itsOwnPowerOffIsClean(end: PowerOff) {
        #expect(end.problem == nil)
    }

    @Test(arguments: [
        (end { $0.processEnd = .signaled(signal: 11) }, "qemu was ended by signal 11 as the guest was switched off"),
        (end { $0.processEnd = .exited(code: 1) }, "qemu has ended with exit code 1 as the guest was switched off"),
        (end { $0.hasCrashed = true }, "the guest has crashed as it was switched off"),
        (end { $0.shutdownReason = "guest-reset" }, "the guest has not switched itself off: qemu says 'guest-reset'"),
        (end { $0.shutdownReason = "guest-panic" }, "the guest has not switched itself off: qemu says 'guest-panic'"),
        (end { $0.shutdownReason = "host-signal" }, "the guest has not switched itself off: qemu says 'host-signal'"),
        (end { $0.shutdownReason = nil }, "the guest has not switched itself off: qemu has ended without a word"),
        (end { $0.stopReason = nil }, "libvirt has not told how the domain stopped"),
        (end { $0.stopReason = .failed }, "the domain stopped for another reason: failed"),
        (
            end { ($0.processEnd, $0.stopReason) = (.unknown, .crashed) },
            "the domain stopped for another reason: crashed"
        ),
    ])
    func anythingElseIsNot(end: PowerOff, problem: String) {
        #expect(end.problem == problem)
    }
}
