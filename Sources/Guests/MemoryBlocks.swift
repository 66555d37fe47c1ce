// SPDX-License-Identifier: Apache-2.0

import AgentProtocol
import GuestMemory
import HarnessBasics

/// The memory blocks that a guest has (/sys/devices/system/memory), asked of its agent.
struct MemoryBlocks {
    let agent: AgentClient
    let observer: GuestObserver
    let timeouts: Timeouts

    /// Those in a range, by address.
    func states(in range: Range<UInt64>) async throws -> [UInt64: MemoryBlock.State] {
        _ = try await agent.ask("report")
        return await observer.reportedBlocks(in: range)
    }

    /// After a refused unplug the kernel adds the LMBs again that it had removed, without a message for each: waits until
    /// the blocks are back that were there before.
    func waitForReturn(
        of alias: String, in range: Range<UInt64>, blocks: [UInt64: MemoryBlock.State]
    ) async throws {
        let settled = try await waitUntil(within: timeouts.plug) { () async throws -> Bool? in
            Self.isBack(try await states(in: range), since: blocks) ? true : nil
        }
        guard settled != nil else {
            throw HarnessError.infrastructure(
                "the guest refused to give \(alias) up and has not taken it back within \(timeouts.plug)")
        }
        try await observer.drain()
        await observer.takeBack(range, present: Set(try await states(in: range).keys))
    }

    /// Whether all blocks are there that were, online where they were: one that was offline comes back as well, if the kernel
    /// had removed it, and nobody knows as what.
    static func isBack(_ now: [UInt64: MemoryBlock.State], since before: [UInt64: MemoryBlock.State]) -> Bool {
        before.allSatisfy { address, state in now[address] == .online || state != .online && now[address] != nil }
    }

    /// After a hot-add that failed the kernel removes the LMBs again that it had added, without a message for each. One
    /// that it cannot remove stays: waits until nothing changes any more.
    func waitForRollback(of range: Range<UInt64>) async throws {
        var present = try await states(in: range)
        var unchangedSince = ContinuousClock.now
        let settled = try await waitUntil(within: timeouts.plug) { () async throws -> Bool? in
            if present.isEmpty || ContinuousClock.now - unchangedSince > timeouts.rollback { return true }
            try await Task.sleep(for: .milliseconds(100))
            let next = try await states(in: range)
            if next != present { (present, unchangedSince) = (next, .now) }
            return nil
        }
        guard settled != nil else {
            throw HarnessError.infrastructure(
                "the guest could not add the memory at \(range.lowerBound.hexadecimal) and has not taken it all back within "
                    + "\(timeouts.plug)")
        }
        try await observer.drain()
        await observer.takeBack(range, present: Set(present.keys))
    }
}
