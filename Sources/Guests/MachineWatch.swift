// SPDX-License-Identifier: Apache-2.0

import HarnessBasics
import KernelState
import Libvirt
package import RunFixture
import RunRecord

/// QEMU is gone. What that means is found out in ``GuestEnding/explained(_:)``.
struct GuestEnded: Error {}

/// What QEMU and libvirt say of a guest's machine, and how it ended.
package actor MachineWatch {
    private let runEvents: RunEvents
    private var processEnd: QemuProcess.ExitStatus?
    private var shutdownReason: String?
    private var stopReason: DomainEvent.StopReason?
    private var hasCrashed = false
    /// DIMMs that the machine says the guest refused to give up, since they were last asked for.
    private var refusals: Set<String> = []
    private var events: Task<Void, Never>?

    /// Watches nothing yet.
    init(events: RunEvents) {
        runEvents = events
    }

    /// Watches a domain from now on; called once.
    func start(_ domain: any GuestDomain) async throws {
        let stream = try await domain.events()
        events = Task { [weak self] in
            for await event in stream { await self?.note(event) }
        }
        Task { [weak self] in
            let status = try? await domain.exit()
            await self?.note(end: status ?? .unknown)
        }
    }

    /// Takes in no more events; those that have come are noted when this returns.
    func finish() async {
        events?.cancel()
        await events?.value
    }

    private func note(_ event: DomainEvent) {
        switch event {
        case .deviceRemovalFailed(let alias): refusals.insert(alias)
        // The first counts: libvirt ends a QEMU whose guest has ended with a signal, of which QEMU tells likewise.
        case .emulatorShutDown(let reason): shutdownReason = shutdownReason ?? reason
        case .crashed: hasCrashed = true
        case .stopped(let reason): stopReason = reason
        default: break
        }
        // A record that cannot be written any more ends the run at its next step.
        try? runEvents.note(.machine(MachineEvent(event)))
    }

    private func note(end: QemuProcess.ExitStatus) {
        processEnd = end
    }

    // MARK: - The end

    /// How QEMU has ended; nil as long as that is not known.
    package var end: QemuProcess.ExitStatus? { processEnd }

    /// Throws ``GuestEnded`` when QEMU has ended.
    func checkAlive() throws {
        if processEnd != nil { throw GuestEnded() }
    }

    /// Waits until QEMU has ended; false when it has not within the time.
    func hasEnded(within limit: Duration) async -> Bool {
        (try? await waitUntil(within: limit) { processEnd }) != nil
    }

    /// Waits a moment for the end of QEMU that may be the cause of an error: calls fail before it is known. Of what is read
    /// in the guest's memory it is no cause.
    func waitForCause(of error: any Error, within limit: Duration) async {
        if !(error is HarnessError), !(error is KernelReadError) { _ = await hasEnded(within: limit) }
    }

    /// Waits for the end of a guest that was asked to switch itself off; nil when QEMU has not ended within the time.
    func powerOff(within limit: Duration) async throws -> PowerOff? {
        guard let end = try await waitUntil(within: limit, { processEnd }) else { return nil }
        // libvirt hears of the end by itself, and all that QEMU said before is told before.
        _ = try await waitUntil(within: limit) { stopReason }
        return PowerOff(
            processEnd: end, shutdownReason: shutdownReason, stopReason: stopReason, hasCrashed: hasCrashed)
    }

    // MARK: - Unplugs

    /// Whether the machine has said that the guest refused to give a DIMM up.
    func hasRefused(_ alias: String) -> Bool { refusals.contains(alias) }

    /// Forgets a refusal, since the guest is asked again.
    func forgetRefusal(of alias: String) { refusals.remove(alias) }

    /// Forgets all refusals, since the machine was reset.
    func forgetRefusals() { refusals = [] }
}
