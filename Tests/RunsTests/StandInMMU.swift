// SPDX-License-Identifier: Apache-2.0

import GuestMemory
import Synchronization

/// The translations of the memory map in a stand-in machine. The kernel in it keeps them apart from its list, as the
/// hashed page table is: damage to one of them leaves the other as it was.
final class StandInMMU: Sendable {
    static let pageByteCount: UInt64 = 65536

    private let pages = Mutex<[UInt64: UInt64]>([:])

    func map(_ virtAddr: UInt64, to phys: UInt64) { pages.withLock { $0[virtAddr] = phys } }

    func unmap(_ virtAddr: UInt64) { pages.withLock { $0[virtAddr] = nil } }

    /// The guest physical address behind an effective one; nil when it is not mapped.
    func translation(of virtAddr: UInt64) -> UInt64? {
        let page = virtAddr.alignedDown(to: Self.pageByteCount)
        return pages.withLock { $0[page] }.map { $0 + (virtAddr - page) }
    }
}
