// SPDX-License-Identifier: Apache-2.0

internal import Dispatch
private import Synchronization

/// Where libvirt's blocking calls run: a destroy or an unplug can take seconds, and the cooperative pool has no thread
/// to spare for that.
private let blockingQueue = DispatchQueue(label: "libvirt.blocking", attributes: .concurrent)

/// Runs a blocking body off the cooperative pool and returns what it returns.
package func blocking<Value: Sendable>(_ body: @escaping @Sendable () throws -> Value) async throws -> Value {
    try await withCheckedThrowingContinuation { continuation in
        blockingQueue.async { continuation.resume(with: Result(catching: body)) }
    }
}

/// Runs a body that takes long off the cooperative pool, and returns what it returns. It is given what to ask whether its
/// caller's task was cancelled, and ends early then.
package func blocking<Value: Sendable>(
    _ body: @escaping @Sendable (_ isCancelled: @escaping @Sendable () -> Bool) throws -> Value
) async throws -> Value {
    let flag = Mutex(false)
    return try await withTaskCancellationHandler {
        try await blocking { try body { flag.withLock { $0 } } }
    } onCancel: {
        flag.withLock { $0 = true }
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
