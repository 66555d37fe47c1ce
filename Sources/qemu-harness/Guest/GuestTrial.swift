// SPDX-License-Identifier: Apache-2.0

import HarnessBasics
import Libvirt
import SystemPackage

/// Whether libvirt takes a guest and every DIMM that is to be plugged into it: asked with the run's own descriptions, and
/// without a start.
struct GuestTrial {
    let configuration: GuestConfiguration
    /// The DIMMs, each description once.
    let dimms: [MemoryDevice]

    /// The trial of a run with these steps.
    init(_ configuration: GuestConfiguration, steps: [any RunStep]) {
        self.configuration = configuration
        var dimms: [MemoryDevice] = []
        for case let plug as PlugStep in steps {
            // Which slot is free is found out when it is plugged; to libvirt one is as good as another.
            let dimm = MemoryDevice(
                alias: "ua-dimm1", byteCount: plug.byteCount, address: plug.base.map { .init(slot: 0, base: $0) },
                node: plug.node ?? 0)
            if !dimms.contains(dimm) { dimms.append(dimm) }
        }
        self.dimms = dimms
    }

    /// Asks libvirt. Throws what it refuses.
    func perform(on connection: Connection, root: EmbeddedRoot, console: FilePath) async throws {
        let domain = configuration.domain(
            name: "qh-" + root.runID, console: console, control: root.controlSocket,
            sharedName: root.sharedMemoryName)
        let (xml, devices) = (try domain.xml(), try dimms.map { try $0.xml() })
        do {
            // libvirt may want to know its QEMU first.
            try await root.reaping { try await connection.validate(domain: xml, devices: devices) }
        } catch let error as LibvirtError {
            throw HarnessError.infrastructure("libvirt does not take this guest, which was not started: \(error)")
        }
    }
}
