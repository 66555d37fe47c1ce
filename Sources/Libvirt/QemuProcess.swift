// SPDX-License-Identifier: Apache-2.0

internal import CLibvirt
internal import Foundation
internal import Synchronization
internal import SystemPackage

/// The QEMU process behind a domain, watched from the moment this object is made, and reaped when it ends.
///
/// QEMU daemonizes and so becomes a child of this process, the subreaper. libvirt's destroy waits until somebody reaps
/// it, and that is what the watch is for: make one right after the domain starts.
public final class QemuProcess: Sendable {
    /// How a process ended.
    public enum ExitStatus: Equatable, Sendable, CustomStringConvertible {
        /// It ended by itself, with that code.
        case exited(code: Int32)
        /// That signal ended it.
        case signaled(signal: Int32)
        /// It is gone; only its parent, another process, was told how.
        case unknown

        /// As the predicate of a sentence.
        public var description: String {
            switch self {
            case .exited(let code): "has ended with exit code \(code)"
            case .signaled(let signal): "was ended by signal \(signal)"
            case .unknown: "has ended"
            }
        }
    }

    /// QEMU's process ID.
    public let processID: Int32
    private let ending = Ending()

    /// Finds the domain's QEMU on this machine and starts to watch it.
    ///
    /// - Throws: `QemuProcessError.notFound` if no such process runs here, `Errno` if it cannot be watched.
    public init(of domain: Domain) async throws {
        let uuid = domain.uuid
        let (processID, descriptor) = try await blocking { try Self.open(uuid: uuid) }
        self.processID = processID
        let ending = ending
        let watcher = Thread { ending.set(Self.wait(for: processID, descriptor)) }
        watcher.name = "qemu-\(processID)"
        watcher.start()
    }

    /// Waits until the process has ended, and tells how.
    ///
    /// - Throws: `CancellationError` if the task is cancelled before.
    public func exit() async throws -> ExitStatus {
        try await ending.status()
    }

    /// Ends the process with SIGKILL, unless it has ended.
    public func kill() {
        // Until the watch has reaped a child, its number cannot go to another process.
        if !ending.isKnown { _ = Foundation.kill(processID, SIGKILL) }
    }

    /// The process whose arguments hold the domain's UUID, which libvirt hands to every QEMU, and a descriptor for it.
    private static func open(uuid: String) throws -> (Int32, FileDescriptor) {
        for entry in try FileManager.default.contentsOfDirectory(atPath: "/proc") {
            guard let processID = Int32(entry), isQemu(processID, uuid: uuid) else { continue }
            let number = pidfd_open(processID, 0)
            guard number >= 0 else {
                if errno == ESRCH { continue }
                throw Errno(rawValue: errno)
            }
            let descriptor = FileDescriptor(rawValue: number)
            // The descriptor never changes its process: if it is the right one now, it stays so.
            if isQemu(processID, uuid: uuid) { return (processID, descriptor) }
            try descriptor.close()
        }
        throw QemuProcessError.notFound(uuid: uuid)
    }

    private static func isQemu(_ processID: Int32, uuid: String) -> Bool {
        guard let arguments = qemuArguments(of: processID) else { return false }
        return zip(arguments, arguments.dropFirst()).contains { option, value in
            option.elementsEqual("-uuid".utf8) && value.elementsEqual(uuid.utf8)
        }
    }

    /// Blocks until the process ends, reaps it if it is a child, and closes the descriptor.
    private static func wait(for processID: Int32, _ descriptor: FileDescriptor) -> ExitStatus {
        var ended = pollfd(fd: descriptor.rawValue, events: Int16(POLLIN), revents: 0)
        // The descriptor becomes readable when the process ends, whoever its parent is.
        while unsafe poll(&ended, 1, -1) < 0, errno == EINTR {}
        // Closing a valid descriptor for a process cannot fail.
        defer { try? descriptor.close() }
        var status: Int32 = 0
        // A child stays until this call, so the number cannot have gone to another process.
        while unsafe waitpid(processID, &status, 0) < 0 {
            if errno != EINTR { return .unknown }
        }
        let signal = status & 0x7f
        return signal == 0 ? .exited(code: status >> 8 & 0xff) : .signaled(signal: signal)
    }
}

/// Why a domain's QEMU cannot be watched.
public enum QemuProcessError: Error, Equatable, Sendable, CustomStringConvertible {
    /// No QEMU with that UUID runs on this machine.
    case notFound(uuid: String)

    /// What was looked for.
    public var description: String {
        switch self {
        case .notFound(let uuid): "no qemu process with the uuid \(uuid) runs on this machine"
        }
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

    var isKnown: Bool { state.withLock { $0.status != nil } }

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

/// The arguments of a process, its program first; nil if it is no QEMU or has ended.
func qemuArguments(of processID: Int32) -> [Data]? {
    guard let data = FileManager.default.contents(atPath: "/proc/\(processID)/cmdline") else { return nil }
    let arguments = data.split(separator: 0)
    guard let program = arguments.first,
        FilePath(String(decoding: program, as: UTF8.self)).lastComponent?.string.hasPrefix("qemu") == true
    else { return nil }
    return arguments
}
