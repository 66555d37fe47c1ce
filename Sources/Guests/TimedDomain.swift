// SPDX-License-Identifier: Apache-2.0

import HarnessBasics
import Libvirt
import RunFixture
import Synchronization

/// A domain whose QEMU answers within a time, or is killed. libvirt waits for a monitor's answer without end, and then neither
/// a time limit nor a signal would end what waits for libvirt.
final class TimedDomain: GuestDomain {
    let domain: any GuestDomain
    private let timeouts: Timeouts
    private let silent = Mutex<QemuSilent?>(nil)

    init(_ domain: any GuestDomain, _ timeouts: Timeouts) {
        (self.domain, self.timeouts) = (domain, timeouts)
    }

    /// What QEMU has not answered; nil as long as it answers.
    var silence: QemuSilent? { silent.withLock { $0 } }

    func events() async throws -> AsyncStream<DomainEvent> { try await domain.events() }

    func exit() async throws -> QemuProcess.ExitStatus { try await domain.exit() }

    func kill() throws { try domain.kill() }

    func destroy() async throws { try await answered("destroy") { try await domain.destroy() } }

    func isKnown() async -> Bool { await domain.isKnown() }

    func live() async throws -> LiveDomain { try await answered("live XML") { try await domain.live() } }

    func memoryFiles(of live: LiveDomain) async throws -> MemoryFiles {
        try await answered("memory files") { try await domain.memoryFiles(of: live) }
    }

    func attach(_ dimm: MemoryDevice) async throws {
        try await answered("attach \(dimm.alias)") { try await domain.attach(dimm) }
    }

    func detach(alias: String) async throws {
        try await answered("detach \(alias)") { try await domain.detach(alias: alias) }
    }

    func suspend() async throws { try await answered("suspend") { try await domain.suspend() } }

    func resume() async throws { try await answered("resume") { try await domain.resume() } }

    func injectNMI() async throws { try await answered("inject NMI") { try await domain.injectNMI() } }

    func setRebootAction(_ action: RebootAction) async throws {
        try await answered("set reboot action") { try await domain.setRebootAction(action) }
    }

    func monitor(hmp: String) async throws -> String {
        try await answered(hmp) { try await domain.monitor(hmp: hmp) }
    }

    func monitor(qmp: String) async throws -> String {
        try await answered(qmp) { try await domain.monitor(qmp: qmp) }
    }

    func qemuVersion() async throws -> String { try await answered("info version") { try await domain.qemuVersion() } }

    /// Once QEMU has not answered, that is what every call comes to.
    private func answered<Value: Sendable>(
        _ request: String, _ call: @Sendable () async throws -> Value
    ) async throws -> Value {
        if let silence { throw silence }
        do {
            return try await answer(to: request, within: timeouts, orElse: { try? self.domain.kill() }, call)
        } catch let silence as QemuSilent {
            silent.withLock { $0 = silence }
            throw silence
        }
    }
}

/// QEMU has not answered in its time, and was killed for that.
struct QemuSilent: Error, CustomStringConvertible {
    /// What it was asked for, in libvirt's or QEMU's words.
    let request: String
    /// How long it had.
    let limit: Duration

    var description: String {
        "qemu has not answered '\(String(request.utf8.printable.prefix(200)))' within \(limit), and was killed"
    }
}

/// Makes a call that QEMU has to answer, and kills QEMU when it does not within ``Timeouts/monitor``, or, once the caller's
/// task is cancelled, within ``Timeouts/parting``: that ends the call.
///
/// - Throws: ``QemuSilent`` where QEMU had its time, `CancellationError` where its caller's task was cancelled meanwhile, and
///   what the call throws.
func answer<Value: Sendable>(
    to request: String, within timeouts: Timeouts, orElse kill: @escaping @Sendable () -> Void,
    _ call: @Sendable () async throws -> Value
) async throws -> Value {
    let patience = Patience(kill: kill)
    patience.limit(to: timeouts.monitor)
    defer { patience.end() }
    do {
        return try await withTaskCancellationHandler(operation: call) { patience.limit(to: timeouts.parting) }
    } catch {
        guard let limit = patience.exceeded else { throw error }
        try Task.checkCancellation()
        throw QemuSilent(request: request, limit: limit)
    }
}

/// Kills once a time has passed, the shortest of those that it is given, unless it is told to end before.
private final class Patience: Sendable {
    private struct State {
        var timers: [Task<Void, Never>] = []
        var hasEnded = false
        var exceeded: Duration?
    }

    private let state = Mutex(State())
    private let kill: @Sendable () -> Void

    init(kill: @escaping @Sendable () -> Void) {
        self.kill = kill
    }

    /// The time that has passed; nil as long as none has.
    var exceeded: Duration? { state.withLock { $0.exceeded } }

    func limit(to limit: Duration) {
        let timer = Task {
            guard (try? await Task.sleep(for: limit)) != nil else { return }
            let isFirst = state.withLock { state in
                guard !state.hasEnded, state.exceeded == nil else { return false }
                state.exceeded = limit
                return true
            }
            if isFirst { kill() }
        }
        let hasEnded = state.withLock { state in
            state.timers.append(timer)
            return state.hasEnded
        }
        if hasEnded { timer.cancel() }
    }

    func end() {
        let timers = state.withLock { state in
            state.hasEnded = true
            return state.timers
        }
        for timer in timers { timer.cancel() }
    }
}
