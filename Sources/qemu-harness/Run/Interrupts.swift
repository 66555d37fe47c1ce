// SPDX-License-Identifier: Apache-2.0

import Synchronization
import UnixSignals

/// The signal that ended a run, if one did.
final class Interrupts: Sendable {
    private let first = Mutex<UnixSignal?>(nil)

    /// The first signal that came.
    var signal: UnixSignal? { first.withLock { $0 } }

    /// Runs `body`; SIGINT, SIGTERM or SIGHUP cancel it, and it ends in its own time.
    static func watching<Value: Sendable>(
        _ body: @escaping @Sendable (Interrupts) async throws -> Value
    ) async throws -> Value {
        let interrupts = Interrupts()
        // Trapped before the body starts, so that no moment of it is unguarded.
        let signals = await UnixSignalsSequence(trapping: .sigint, .sigterm, .sighup)
        let work = Task { try await body(interrupts) }
        let watcher = Task {
            for await signal in signals {
                interrupts.first.withLock { $0 = $0 ?? signal }
                work.cancel()
            }
        }
        defer { watcher.cancel() }
        return try await work.value
    }

    /// The exit code of a run that was interrupted.
    var exitCode: Int32 { signal == .sigterm ? ExitStatus.terminated : ExitStatus.interrupted }
}
