// SPDX-License-Identifier: Apache-2.0

import Glibc
import Guests
import Libvirt
import SystemPackage

/// libvirt as the place where a run's guest is started.
struct LibvirtHost: GuestHost {
    let root: EmbeddedRoot
    let connection: Connection
    /// Whom a daemon runs QEMU as; nil for the embedded driver, which runs it as this user.
    let owner: (user: UInt32, group: UInt32)?

    var domainName: String { root.domainName }
    var controlSocket: FilePath { root.controlSocket }
    var sharedMemoryName: String { root.sharedMemoryName }
    var sharedMemoryFile: FilePath { root.sharedMemoryFile }

    func validate(domain xml: String, devices: [String]) async throws {
        // libvirt may need to know its QEMU first.
        try await root.reaping { try await connection.validate(domain: xml, devices: devices) }
    }

    func handOver(sharedMemory: FileDescriptor) throws {
        // A daemon may run QEMU as another user; only root can give it the file, and only root reads its memory.
        guard let owner, owner.user != geteuid() else { return }
        guard fchown(sharedMemory.rawValue, owner.user, owner.group) == 0 else { throw Errno(rawValue: errno) }
    }

    func start(domain xml: String) async throws -> any GuestDomain {
        let domain = try await root.reaping { try await connection.createTransient(xml: xml) }
        do {
            return try await LibvirtDomain(domain)
        } catch {
            try? await domain.destroy()
            throw error
        }
    }
}

extension GuestTrial {
    /// The trial of a run with these steps.
    init(_ configuration: GuestConfiguration, steps: [any RunStep]) {
        self.init(configuration, dimms: steps.compactMap { ($0 as? PlugStep)?.device })
    }
}
