// SPDX-License-Identifier: Apache-2.0

import GuestMemory

/// The ivshmem device whose memory is the shared region.
enum SharedRegionDevice {
    /// Maps BAR 2 of the first ivshmem device (PCI 1af4:1110), which needs no driver; nil when there is none.
    static func map(system: some AgentSystem) -> MappedWords? {
        for name in system.names(in: "/sys/bus/pci/devices") {
            func path(_ file: StaticString) -> [UInt8] {
                var path = bytes("/sys/bus/pci/devices/")
                path += name
                path.append(text: file)
                return path
            }
            guard system.content(path("/vendor"))?[...].number == 0x1af4,
                system.content(path("/device"))?[...].number == 0x1110
            else { continue }
            // Without a driver nobody else switches the device's memory on.
            guard let enable = system.open(path("/enable"), .write) else { continue }
            _ = system.write(enable, bytes("1"))
            system.close(enable)
            guard let resource = system.open(path("/resource2"), .readWriteNonblocking) else { continue }
            defer { system.close(resource) }
            if let words = system.map(resource) { return words }
        }
        return nil
    }
}
