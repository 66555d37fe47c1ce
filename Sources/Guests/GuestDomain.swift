// SPDX-License-Identifier: Apache-2.0

package import Libvirt
package import RunFixture

/// The domain of a guest, and its QEMU.
package protocol GuestDomain: Sendable {
    /// What the machine tells of itself from now on (`virConnectDomainEventRegisterAny`).
    func events() async throws -> AsyncStream<DomainEvent>
    /// Waits until QEMU has ended, and tells how.
    func exit() async throws -> QemuProcess.ExitStatus
    /// Kills QEMU, whatever libvirt is doing.
    func kill() throws
    /// Ends the domain at once.
    func destroy() async throws
    /// Whether libvirt still has the domain.
    func isKnown() async -> Bool

    /// The domain as it is now.
    func live() async throws -> LiveDomain
    /// The files that hold its memory.
    func memoryFiles(of live: LiveDomain) async throws -> MemoryFiles
    /// Plugs a DIMM.
    func attach(_ dimm: MemoryDevice) async throws
    /// Asks the guest to give a device up.
    func detach(alias: String) async throws

    /// Pauses the guest's CPUs.
    func suspend() async throws
    /// Lets them go on.
    func resume() async throws
    /// Injects an NMI into its CPUs.
    func injectNMI() async throws
    /// Sets what becomes of the domain when its guest reboots.
    func setRebootAction(_ action: RebootAction) async throws
    /// Gives QEMU's human monitor a command, and returns its answer.
    func monitor(hmp: String) async throws -> String
    /// Gives QEMU's monitor a command, a JSON object, and returns its answer, another.
    func monitor(qmp: String) async throws -> String
    /// The version of QEMU in its own words.
    func qemuVersion() async throws -> String
}

/// A domain under libvirt, and its QEMU process, which is watched from the domain's start.
struct LibvirtDomain: GuestDomain {
    let domain: Domain
    let process: QemuProcess

    func events() async throws -> AsyncStream<DomainEvent> { try await domain.events() }

    func exit() async throws -> QemuProcess.ExitStatus { try await process.exit() }

    func kill() throws { try process.kill() }

    func destroy() async throws { try await domain.destroy() }

    func isKnown() async -> Bool { (try? await domain.state()) != nil }

    func live() async throws -> LiveDomain { try LiveDomain(xml: try await domain.liveXML()) }

    func memoryFiles(of live: LiveDomain) async throws -> MemoryFiles {
        try await domain.memoryFiles(of: live)
    }

    func attach(_ dimm: MemoryDevice) async throws { try await domain.attachDevice(xml: try dimm.xml()) }

    func detach(alias: String) async throws { try await domain.detachDevice(alias: alias) }

    func suspend() async throws { try await domain.suspend() }

    func resume() async throws { try await domain.resume() }

    func injectNMI() async throws { try await domain.injectNMI() }

    func setRebootAction(_ action: RebootAction) async throws { try await domain.setRebootAction(action) }

    func monitor(hmp: String) async throws -> String { try await domain.monitor(hmp: hmp) }

    func monitor(qmp: String) async throws -> String { try await domain.monitor(qmp: qmp) }

    func qemuVersion() async throws -> String { try await domain.qemuVersion() }
}
