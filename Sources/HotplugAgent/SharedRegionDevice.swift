// SPDX-License-Identifier: Apache-2.0

import GuestMemory

/// The ivshmem devices whose memory host and guest share: the region, and in a guest that is to write a dump, the dump area.
enum SharedRegionDevice {
    /// Maps BAR 2 of the ivshmem device (PCI 1af4:1110) that is wanted, which needs no driver; nil when there is none.
    static func map(isDumpArea: Bool = false, system: some AgentSystem) -> MappedWords? {
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
            guard let words = system.map(resource), let first = try? words.load(at: 0) else { continue }
            if (ByteOrder.little.value(ofStored: first) == DumpArea.magic) == isDumpArea { return words }
        }
        return nil
    }
}
