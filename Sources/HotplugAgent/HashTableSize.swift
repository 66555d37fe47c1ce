// SPDX-License-Identifier: Apache-2.0

import GuestMemory

/// The size of the hashed page table in the kernel's device tree, from where kexec hands it to a crash kernel.
///
/// A kernel that has the table made anew in another size leaves `ibm,pft-size` as it was at boot, and a crash kernel that is
/// given that hashes into a table of another size.
enum HashTableSize {
    /// The kernel's own number, a power of two (hpt_order_get, arch/powerpc/mm/book3s64/hash_utils.c).
    private static var orderFile: StaticString { "/sys/kernel/debug/powerpc/hpt_order" }
    /// Where a line changes the device tree (ofdt_write, arch/powerpc/platforms/pseries/reconfig.c).
    private static var deviceTree: StaticString { "/proc/ppc64/ofdt" }

    /// Sets every processor's property to the kernel's own number, and tells that.
    ///
    /// Refused with `ENOENT` where the kernel has no such number or no such processor, and with the kernel's own error.
    static func correct(system: some AgentSystem) throws(ActionRefusal) -> UInt64 {
        guard let order = system.content(orderFile).flatMap({ $0[...].number }), order < 64 else { throw .missing }
        var count = 0
        for name in system.names(in: "/proc/device-tree/cpus") {
            func path(_ file: StaticString) -> [UInt8] {
                var path = bytes("/proc/device-tree/cpus/")
                path += name
                path.append(text: file)
                return path
            }
            guard let handle = content(path("/phandle"), 4, system: system),
                content(path("/ibm,pft-size"), 8, system: system) != nil
            else { continue }
            var line = bytes("update_property ")
            line.append(decimal: ByteOrder.big.number(in: handle, at: 0, byteCount: 4))
            line.append(text: " ibm,pft-size 8 ")
            line += [0, 0, 0, 0, 0, 0, 0, UInt8(order)]
            let errno = system.put(line, into: bytes(deviceTree))
            if errno != 0 { throw ActionRefusal(errno: errno) }
            count += 1
        }
        guard count > 0 else { throw .missing }
        return order
    }

    /// A property of so many bytes; nil where there is none of that size. One may well end with a newline's byte.
    private static func content(_ path: [UInt8], _ byteCount: Int, system: some AgentSystem) -> [UInt8]? {
        guard case .bytes(let value) = system.take(from: path, at: 0, byteCount: byteCount + 1),
            value.count == byteCount
        else { return nil }
        return value
    }
}
