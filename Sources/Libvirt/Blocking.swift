// SPDX-License-Identifier: Apache-2.0

internal import Dispatch

/// Where libvirt's blocking calls run: a destroy or an unplug can take seconds, and the cooperative pool has no thread
/// to spare for that.
private let blockingQueue = DispatchQueue(label: "libvirt.blocking", attributes: .concurrent)

/// Runs a blocking body off the cooperative pool and returns what it returns.
package func blocking<Value: Sendable>(_ body: @escaping @Sendable () throws -> Value) async throws -> Value {
    try await withCheckedThrowingContinuation { continuation in
        blockingQueue.async { continuation.resume(with: Result(catching: body)) }
    }
}

/// Runs a blocking body that cannot fail off the cooperative pool, and returns what it returns.
package func blocking<Value: Sendable>(_ body: @escaping @Sendable () -> Value) async -> Value {
    await withCheckedContinuation { continuation in
        blockingQueue.async { continuation.resume(returning: body()) }
    }
}

/// Runs a body off the cooperative pool without waiting for it.
package func detached(_ body: @escaping @Sendable () -> Void) {
    blockingQueue.async(execute: body)
}
