// SPDX-License-Identifier: Apache-2.0

internal import Foundation
package import Libvirt
internal import Synchronization
internal import SystemPackage

/// The QEMU process behind a domain, watched from the moment this object is made, and reaped when it ends.
///
/// QEMU daemonizes and so becomes a child of this process, the subreaper. libvirt's destroy waits until somebody reaps
/// it, and that is what the watch is for: make one right after the domain starts.
package final class QemuProcess: Sendable {
    /// How a process ended.
    package enum ExitStatus: Equatable, Sendable, CustomStringConvertible {
        /// It ended by itself, with that code.
        case exited(code: Int32)
        /// That signal ended it.
        case signaled(signal: Int32)
        /// It is gone; only its parent, another process, was told how.
        case unknown

        /// As the predicate of a sentence.
        package var description: String {
            switch self {
            case .exited(let code): "has ended with exit code \(code)"
            case .signaled(let signal): "was ended by signal \(signal)"
            case .unknown: "has ended"
            }
        }
    }

    private let handle: ProcessHandle
    private let ending = Ending()

    /// Finds the domain's QEMU on this machine and starts to watch it.
    ///
    /// - Throws: `RunFixtureError.noEmulator` if no such process runs here, or none that can be watched.
    package init(of domain: Domain) async throws {
        let uuid = domain.uuid
        let handle = try await blocking {
            guard let handle = ProcessHandle.all(where: { Self.isQemu($0, uuid: uuid) }).first else {
                throw RunFixtureError.noEmulator(uuid: uuid)
            }
            return handle
        }
        self.handle = handle
        let ending = ending
        let watcher = Thread { ending.set(Self.end(of: handle)) }
        watcher.name = "qemu-\(handle.processID)"
        watcher.start()
    }

    /// The process ID of the QEMU on this machine that runs a domain, whoever's that is; nil where none is seen. The call
    /// blocks.
    package static func processID(ofDomain uuid: String) -> Int32? {
        ProcessHandle.all { isQemu($0, uuid: uuid) }.first?.processID
    }

    /// QEMU's process ID.
    package var processID: Int32 { handle.processID }

    /// Waits until the process has ended, and tells how.
    ///
    /// - Throws: `CancellationError` if the task is cancelled before.
    package func exit() async throws -> ExitStatus {
        try await ending.status()
    }

    /// Ends the process with SIGKILL, unless it has ended.
    ///
    /// - Throws: `Errno` if this process may not.
    package func kill() throws {
        try handle.kill()
    }

    /// Whether these are a QEMU's arguments that runs the domain: libvirt hands its UUID to every QEMU.
    private static func isQemu(_ arguments: [Data], uuid: String) -> Bool {
        zip(arguments, arguments.dropFirst()).contains { option, value in
            option.elementsEqual("-uuid".utf8) && value.elementsEqual(uuid.utf8)
        }
    }

    /// Blocks until the process ends, and reaps it if it is a child.
    private static func end(of process: ProcessHandle) -> ExitStatus {
        _ = process.waitForEnd()
        var status: Int32 = 0
        // A child stays until this call, so the number cannot have gone to another process.
        while unsafe waitpid(process.processID, &status, 0) < 0 {
            if errno != EINTR { return .unknown }
        }
        let signal = status & 0x7f
        return signal == 0 ? .exited(code: status >> 8 & 0xff) : .signaled(signal: signal)
    }
}

/// An exit status that becomes known once, and those who wait for it.
private final class Ending: Sendable {
    private struct State {
        var status: QemuProcess.ExitStatus?
        var waiters: [UUID: CheckedContinuation<QemuProcess.ExitStatus, any Error>] = [:]
    }

    private let state = Mutex(State())

    func set(_ status: QemuProcess.ExitStatus) {
        let waiters = state.withLock { state in
            defer { state = State(status: status) }
            return state.waiters.values
        }
        for waiter in waiters { waiter.resume(returning: status) }
    }

    func status() async throws -> QemuProcess.ExitStatus {
        let id = UUID()
        return try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                let result: Result<QemuProcess.ExitStatus, any Error>? = state.withLock { state in
                    if let status = state.status { return .success(status) }
                    // A cancellation from here on finds the waiter in the table.
                    if Task.isCancelled { return .failure(CancellationError()) }
                    state.waiters[id] = continuation
                    return nil
                }
                if let result { continuation.resume(with: result) }
            }
        } onCancel: {
            state.withLock { $0.waiters.removeValue(forKey: id) }?.resume(throwing: CancellationError())
        }
    }
}
