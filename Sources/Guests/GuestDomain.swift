// SPDX-License-Identifier: Apache-2.0

package import Libvirt
package import SystemPackage

/// Where a guest can be started: libvirt in a run, and whatever a test makes of it.
package protocol GuestHost: Sendable {
    /// The domain's name.
    var domainName: String { get }
    /// Where the control socket of the guest's agent goes.
    var controlSocket: FilePath { get }
    /// The name of the file that host and guest share, as ``DomainDescription/SharedMemory`` has it.
    var sharedMemoryName: String { get }
    /// The path of that file.
    var sharedMemoryFile: FilePath { get }

    /// Throws `LibvirtError` when a domain, or one of the devices that are to be attached later, would be refused.
    func validate(domain xml: String, devices: [String]) async throws

    /// Hands the file that host and guest share to whom QEMU runs as.
    func handOver(sharedMemory: FileDescriptor) throws

    /// Starts a domain.
    func start(domain xml: String) async throws -> any GuestDomain
}

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
    /// Sets what becomes of the domain when its guest reboots.
    func setRebootAction(_ action: RebootAction) async throws
    /// Gives QEMU's human monitor a command, and returns its answer.
    func monitor(hmp: String) async throws -> String
    /// The version of QEMU in its own words.
    func qemuVersion() async throws -> String
}

/// A domain under libvirt, and its QEMU process, which is watched from the domain's start.
package struct LibvirtDomain: GuestDomain {
    private let domain: Domain
    private let process: QemuProcess

    /// Finds the domain's QEMU. Throws when there is no such process.
    package init(_ domain: Domain) async throws {
        self.domain = domain
        process = try await QemuProcess(of: domain)
    }

    package func events() async throws -> AsyncStream<DomainEvent> { try await domain.events() }

    package func exit() async throws -> QemuProcess.ExitStatus { try await process.exit() }

    package func kill() throws { try process.kill() }

    package func destroy() async throws { try await domain.destroy() }

    package func isKnown() async -> Bool { (try? await domain.state()) != nil }

    package func live() async throws -> LiveDomain { try LiveDomain(xml: try await domain.liveXML()) }

    package func memoryFiles(of live: LiveDomain) async throws -> MemoryFiles {
        try await domain.memoryFiles(of: live)
    }

    package func attach(_ dimm: MemoryDevice) async throws { try await domain.attachDevice(xml: try dimm.xml()) }

    package func detach(alias: String) async throws { try await domain.detachDevice(alias: alias) }

    package func suspend() async throws { try await domain.suspend() }

    package func resume() async throws { try await domain.resume() }

    package func setRebootAction(_ action: RebootAction) async throws { try await domain.setRebootAction(action) }

    package func monitor(hmp: String) async throws -> String { try await domain.monitor(hmp: hmp) }

    package func qemuVersion() async throws -> String { try await domain.qemuVersion() }
}
