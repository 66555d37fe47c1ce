// SPDX-License-Identifier: Apache-2.0

import HarnessBasics
package import Libvirt
package import SystemPackage

/// Whether libvirt takes a guest and every DIMM that is to be plugged into it: asked with the run's own descriptions, and
/// without a start.
package struct GuestTrial {
    package let configuration: GuestConfiguration
    /// The DIMMs, each description once.
    package let dimms: [MemoryDevice]

    /// The trial of a guest, and of the DIMMs that it is to get.
    package init(_ configuration: GuestConfiguration, dimms: [MemoryDevice]) {
        self.configuration = configuration
        self.dimms = dimms.reduce(into: []) { if !$0.contains($1) { $0.append($1) } }
    }

    /// Asks libvirt. Throws what it refuses.
    package func perform(on host: any GuestHost, console: FilePath) async throws {
        let xml = try configuration.domain(on: host, console: console).xml()
        let devices = try dimms.map { try $0.xml() }
        do {
            try await host.validate(domain: xml, devices: devices)
        } catch let error as LibvirtError {
            throw HarnessError.infrastructure("libvirt does not take this guest, which was not started: \(error)")
        }
    }
}
