// SPDX-License-Identifier: Apache-2.0

import Detection
import GuestMemory
import KernelState
import MemoryBackends
import SystemPackage
import VmemmapPopulate

@testable import Guests
@testable import Runs
@testable import qemu_harness

/// A list in a guest's memory, with the means to spoil it and to undo that.
final class DamagedList {
    /// The list as it was before.
    let walk: ListWalk
    /// Where its head stands.
    let headAddress: UInt64
    let pageByteCount: UInt64
    /// An address where a node could stand if there were memory.
    let outside: UInt64

    private let memory: WritableMemory
    private let order: ByteOrder
    private let place: (UInt64) throws -> WritableMemory.Place

    /// The kernel's list in guest RAM.
    init(memory: GuestRAM, kernel: Kernel) throws {
        let view = KernelMemory(memory, order: kernel.order)
        headAddress = kernel.layout.listHeadAddress
        pageByteCount = kernel.layout.pageByteCount
        outside = LinearMap.base + 1 << 40
        walk = ListWalk(
            head: try view.word(at: headAddress), in: view, pageByteCount: pageByteCount, limit: 1 << 16)
        self.memory = try WritableMemory(memory)
        order = kernel.order
        place = { address in
            guard let physical = LinearMap.physical(address) else { throw MemoryAccessError.unmapped(address) }
            return .ram(physical.rawValue)
        }
    }

    /// The mirror in the shared region, whose addresses are offsets.
    init(mirror region: SharedRegion, file path: FilePath) throws {
        headAddress = SharedRegionLayout.Field.head.offset
        pageByteCount = region.layout.pageByteCount
        outside = region.layout.regionByteCount
        walk = ListWalk(
            head: try region.header(.head), in: region, pageByteCount: pageByteCount,
            limit: Int(region.layout.nodeCapacity))
        memory = try WritableMemory(GuestRAM([]), region: (path, region.words.byteCount))
        order = region.order
        place = { .region($0) }
    }

    /// The nodes, newest first.
    var nodes: [ListEntry] { walk.entries }

    /// Stores a word, and remembers the one that stood there.
    func store(_ value: UInt64, at address: UInt64) throws {
        try memory.store(order.value(ofStored: value), at: place(address))
    }

    func setHead(_ value: UInt64) throws { try store(value, at: headAddress) }

    func setLink(_ index: Int, _ value: UInt64) throws {
        try store(value, at: nodes[index].node + VmemmapBacking.listOffset)
    }

    func setPhys(_ index: Int, _ value: UInt64) throws {
        try store(value, at: nodes[index].node + VmemmapBacking.physOffset)
    }

    func setVirt(_ index: Int, _ value: UInt64) throws {
        try store(value, at: nodes[index].node + VmemmapBacking.virtAddrOffset)
    }

    /// Puts back every word.
    func undo() throws { try memory.undo() }
}
