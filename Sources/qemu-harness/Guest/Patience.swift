// SPDX-License-Identifier: Apache-2.0

/// How long the harness waits for what, all of it stretched by one factor.
struct Patience: Sendable {
    /// `--slowdown`.
    let factor: Double

    /// From the domain's start to the agent's hello. A guest boots in 3 to 7 s under emulation on an idle machine.
    var boot: Duration { .seconds(90) * factor }
    /// For an answer of the agent. Its own wait for a marker is 20 s.
    var answer: Duration { .seconds(30) * factor }
    /// From the plug to the last LMB's message.
    var plug: Duration { .seconds(120) * factor }
    /// From power-off to the end of QEMU.
    var powerOff: Duration { .seconds(20) * factor }
}

/// Waits until `condition` gives a value, looking every few milliseconds; nil when `limit` passes before.
///
/// The one way in which this program waits for a guest. Throws what `condition` throws, and `CancellationError`.
func waitUntil<Value: Sendable>(
    within limit: Duration, isolation: isolated (any Actor)? = #isolation, _ condition: () async throws -> Value?
) async throws -> Value? {
    let deadline = ContinuousClock.now + limit
    while true {
        if let value = try await condition() { return value }
        guard ContinuousClock.now < deadline else { return nil }
        try await Task.sleep(for: .milliseconds(3))
    }
}
