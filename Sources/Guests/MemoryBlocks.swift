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
    private func states(in range: Range<UInt64>) async throws -> [UInt64: MemoryBlock.State] {
        _ = try await agent.ask("report")
        return await observer.reportedBlocks(in: range)
    }

    /// Those in a range that the guest says are online, by address.
    func online(in range: Range<UInt64>) async throws -> Set<UInt64> {
        try await Set(states(in: range).filter { $0.value == .online }.keys)
    }

    /// After a refused unplug the kernel adds the LMBs again that it had removed, without a message for each: waits until
    /// the blocks are online that were online before.
    func waitForReturn(of alias: String, in range: Range<UInt64>, online: Set<UInt64>) async throws {
        let settled = try await waitUntil(within: timeouts.plug) { () async throws -> Bool? in
            try await self.online(in: range).isSuperset(of: online) ? true : nil
        }
        guard settled != nil else {
            throw HarnessError.infrastructure(
                "the guest refused to give \(alias) up and has not taken it back within \(timeouts.plug)")
        }
        try await observer.drain()
        await observer.takeBack(range, present: Set(try await states(in: range).keys))
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
