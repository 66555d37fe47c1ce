// SPDX-License-Identifier: Apache-2.0

import AgentProtocol
import GuestMemory

/// The guest's memory blocks, from /sys/devices/system/memory.
enum MemoryBlocks {
    /// The size of a block in bytes (`block_size_bytes`, which is hexadecimal), 0 when it cannot be read.
    static func byteCount(system: some AgentSystem) -> UInt64 {
        var digits = (system.content("/sys/devices/system/memory/block_size_bytes") ?? [])[...]
        return digits.takeNumber(radix: 16) ?? 0
    }

    /// Every block and its state.
    static func all(system: some AgentSystem) -> [MemoryBlock] {
        var blocks: [MemoryBlock] = []
        for name in system.names(in: "/sys/devices/system/memory") {
            var digits = name[...]
            guard digits.skip("memory"), let index = digits.number else { continue }
            var path = bytes("/sys/devices/system/memory/")
            path += name
            path.append(text: "/state")
            blocks.append(MemoryBlock(index: index, state: state(system.content(path) ?? [])))
        }
        return blocks
    }

    private static func state(_ text: [UInt8]) -> MemoryBlock.State {
        if text[...].equals("online") { return .online }
        if text[...].equals("offline") { return .offline }
        if text[...].equals("going-offline") { return .goingOffline }
        return .unknown
    }
}
