// SPDX-License-Identifier: Apache-2.0

import GuestMemory

/// How large the rings of kprobe events have to be.
enum TraceBuffer {
    /// The word on the kernel's command line that says it instead: for tests of what a ring that is too small does.
    static let parameter: StaticString = "qemu_harness.trace_kib="

    /// The most that the word may say: 1 GiB.
    private static var parameterLimit: UInt64 { 1 << 20 }
    /// The least that is worth having.
    private static var minimumKibibytes: UInt64 { 1024 }
    /// What a block takes, three hits of 40 to 56 bytes, rounded up.
    private static var byteCountPerBlock: UInt64 { 192 }

    /// The size for this guest; nil when the command line says something that is no size.
    static func kibibytes(system: some AgentSystem, blockCapacity: UInt64) -> UInt64? {
        // `0-7`, or `0`.
        let processors = system.content("/sys/devices/system/cpu/possible") ?? []
        let last = processors.split { $0 == 0x2d || $0 == 0x2c }.last?.number ?? 0
        return kibibytes(
            commandLine: system.content("/proc/cmdline") ?? [], blockCapacity: blockCapacity,
            memoryByteCount: Meminfo.byteCount("MemTotal:", system: system),
            processorCount: min(last, 4095) + 1)
    }

    /// The size of each processor's ring.
    ///
    /// One plug may bring all the memory that the machine can have, from one processor, while nobody reads. The harness
    /// has made the shared region for as many blocks. All rings together take up to 1/32 of the memory that is there.
    ///
    /// - Parameters:
    ///   - commandLine: /proc/cmdline.
    ///   - blockCapacity: how many blocks the mirror has room for.
    ///   - memoryByteCount: the guest's memory.
    ///   - processorCount: how many rings there are.
    /// - Returns: KiB, or nil when the command line says something that is no size.
    static func kibibytes(
        commandLine: [UInt8], blockCapacity: UInt64, memoryByteCount: UInt64, processorCount: UInt64
    ) -> UInt64? {
        for word in commandLine.split(separator: 0x20) {
            var value = word
            guard value.skip(parameter) else { continue }
            guard let size = value.takeNumber(radix: 10), value.isEmpty, 1...parameterLimit ~= size else { return nil }
            return size
        }
        let needed = blockCapacity * byteCountPerBlock / 1024
        let affordable = memoryByteCount / 32 / 1024 / max(processorCount, 1)
        return max(min(needed, affordable), minimumKibibytes)
    }
}
