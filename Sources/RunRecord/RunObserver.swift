// SPDX-License-Identifier: Apache-2.0

/// Somebody who is told what happens in a run, while it happens.
public protocol RunObserver: Sendable {
    /// Takes the next event. Throws when it cannot be taken, which ends the run.
    func observe(_ event: RunEvent) throws
}

/// Where a run, its steps and its guest tell what happens.
public struct RunEvents: Sendable {
    private let observers: [any RunObserver]

    /// Tells these observers, in this order.
    public init(_ observers: [any RunObserver]) {
        self.observers = observers
    }

    /// Tells every observer of an event, and throws the first error of one: the others are told all the same.
    public func note(_ event: RunEvent) throws {
        var failure: (any Error)?
        for observer in observers {
            do {
                try observer.observe(event)
            } catch {
                failure = failure ?? error
            }
        }
        if let failure { throw failure }
    }
}
