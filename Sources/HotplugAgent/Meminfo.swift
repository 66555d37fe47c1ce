// SPDX-License-Identifier: Apache-2.0

import GuestMemory

/// What /proc/meminfo says of the guest's memory.
enum Meminfo {
    /// The bytes that a line `FIELD: SIZE kB` says; 0 when it is not there. The field is given with its colon.
    static func byteCount(_ field: StaticString, system: some AgentSystem) -> UInt64 {
        for line in (system.content("/proc/meminfo") ?? []).split(separator: 0x0a) {
            var rest = line
            guard rest.skip(field) else { continue }
            rest = rest.drop { $0 == 0x20 }
            return min(rest.takeNumber(radix: 10) ?? 0, 1 << 40) * 1024
        }
        return 0
    }
}
