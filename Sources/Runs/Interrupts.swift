// SPDX-License-Identifier: Apache-2.0

import Foundation
import RunRecord
import Synchronization
import UnixSignals

/// The signal that ended a run, if one did.
package final class Interrupts: Sendable {
    private struct State {
        var first: UnixSignal?
        var secondSignalAction: (@Sendable () -> Void)?
    }

    private let state = Mutex(State())

    /// The first signal that came.
    var signal: UnixSignal? { state.withLock { $0.first } }

    /// Sets what a second signal does, to somebody who does not want to wait.
    package func onSecondSignal(_ action: @escaping @Sendable () -> Void) {
        state.withLock { $0.secondSignalAction = action }
    }

    /// Sends this process SIGTERM when whoever holds the other end of its standard input has gone: so a process of many that
    /// belong together ends with the one that started it, however that ended.
    package static func terminateAtEndOfInput() {
        Thread.detachNewThread {
            while let data = try? FileHandle.standardInput.read(upToCount: 1 << 10), !data.isEmpty {}
            kill(getpid(), SIGTERM)
        }
    }

    /// Runs `body`; SIGINT, SIGTERM or SIGHUP cancel it, and it ends in its own time.
    package static func watching<Value: Sendable>(
        _ body: @escaping @Sendable (Interrupts) async throws -> Value
    ) async throws -> Value {
        let interrupts = Interrupts()
        // Trapped before the body starts, so that no moment of it is unguarded.
        let signals = await UnixSignalsSequence(trapping: .sigint, .sigterm, .sighup)
        let work = Task { try await body(interrupts) }
        let watcher = Task {
            for await signal in signals {
                interrupts.take(signal)
                work.cancel()
            }
        }
        defer { watcher.cancel() }
        return try await work.value
    }

    private func take(_ signal: UnixSignal) {
        let action = state.withLock { state in
            defer { state.first = state.first ?? signal }
            return state.first == nil ? nil : state.secondSignalAction
        }
        action?()
    }

    /// Whether it was SIGTERM.
    var isTerminated: Bool { signal == .sigterm }

    /// The exit code of what was interrupted; nil as long as no signal has come.
    package var exitCode: Int32? {
        signal.map { _ in Outcome.interrupted.exitCode(isTerminated: isTerminated) }
    }
}
