// SPDX-License-Identifier: Apache-2.0

import GuestMemory
import KernelState
import MemoryBackends
import Verification

/// What is known of a crash kernel that is loaded, before its header is looked for.
struct LoadedCrashKernel {
    let reservation: CrashReservation
    /// log2 of the hashed page table in bytes; nil on radix, and where the kernel does not say it.
    let hashTableOrder: UInt64?

    /// What stands in the guest's memory of it.
    func header(in memory: GuestRAM) throws -> CrashHeaderSnapshot {
        try CrashHeaderSnapshot(reading: memory, reservation: reservation.range, hashTableOrder: hashTableOrder)
    }
}

extension Snapshot {
    /// Has one more witness speak, where a crash kernel is loaded.
    mutating func add(_ header: CrashHeaderSnapshot?) {
        guard let header else { return }
        witnesses.append(.crashHeader)
        crashHeader = header
    }
}

extension SnapshotTaker {
    /// The crash kernel that is loaded in the guest, nil when none is.
    func crashKernel() async throws -> LoadedCrashKernel? {
        guard let reservation = await guest.crashReservation else { return nil }
        return LoadedCrashKernel(
            reservation: reservation,
            hashTableOrder: kernel.mmu == .hash ? try await guest.agent.hashTableOrder() : nil)
    }
}
