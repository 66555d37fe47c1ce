// SPDX-License-Identifier: Apache-2.0

/// How long the harness waits for what, all of it stretched by one factor.
package struct Timeouts: Sendable {
    /// From the domain's start to the agent's hello. A guest boots in 3 to 7 s under emulation on an idle machine.
    package var boot: Duration
    /// For QEMU's answer to libvirt, after which it is killed. It gives each in less than a second on an idle machine.
    package var monitor: Duration
    /// For QEMU's answer to libvirt, once nobody wants it any more.
    package var parting: Duration
    /// For an answer of the agent. Its own wait for a marker is 20 s.
    var answer: Duration
    /// From the plug to the last LMB's message.
    package var plug: Duration
    /// From an unplug to the end of its DIMM, or to the guest's refusal.
    package var unplug: Duration
    /// For a tool that writes a dump: 5 s for 4 GiB under emulation on an idle machine, 35 s with pages of 4 KiB.
    var dump: Duration
    /// While memory is taken back and nothing changes, before that is taken for its end. An LMB of 4 KiB pages needs most of
    /// a second to go.
    var rollback: Duration
    /// From power-off, or from libvirt's destroying, to the end of QEMU.
    var powerOff: Duration
    /// From an error to the end of QEMU that may be its cause.
    var ending: Duration

    /// `factor` is `--slowdown`.
    package init(factor: Double) {
        boot = .seconds(90) * factor
        monitor = .seconds(60) * factor
        parting = .seconds(5) * factor
        answer = .seconds(30) * factor
        plug = .seconds(120) * factor
        unplug = .seconds(120) * factor
        dump = .seconds(120) * factor
        rollback = .seconds(10) * factor
        powerOff = .seconds(20) * factor
        ending = .seconds(1) * factor
    }
}

/// Waits until `condition` gives a value, looking every few milliseconds; nil when `limit` passes before.
///
/// The one way in which this program waits for a guest. Throws what `condition` throws, and `CancellationError`.
package func waitUntil<Value: Sendable>(
    within limit: Duration, isolation: isolated (any Actor)? = #isolation, _ condition: () async throws -> Value?
) async throws -> Value? {
    let deadline = ContinuousClock.now + limit
    while true {
        if let value = try await condition() { return value }
        guard ContinuousClock.now < deadline else { return nil }
        try await Task.sleep(for: .milliseconds(3))
    }
}
