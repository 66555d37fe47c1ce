// SPDX-License-Identifier: Apache-2.0

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

    private let load: (UInt64) throws -> UInt64
    private let put: (UInt64, UInt64) throws -> Void
    private var former: [(address: UInt64, value: UInt64)] = []

    /// The kernel's list in guest RAM.
    init(memory: GuestRAM, kernel: Kernel) throws {
        let writable = GuestRAM(
            try memory.regions.map { region in
                GuestRAM.Region(
                    name: region.name, base: region.base,
                    file: try MappedFile(region.file.path, byteCount: region.file.words.byteCount, isWritable: true))
            })
        let view = KernelMemory(writable, order: kernel.order)
        headAddress = kernel.layout.listHeadAddress
        pageByteCount = kernel.layout.pageByteCount
        outside = LinearMap.base + 1 << 40
        walk = ListWalk(
            head: try view.word(at: headAddress), in: view, pageByteCount: pageByteCount, limit: 1 << 16)
        load = { try view.word(at: $0) }
        put = { address, value in
            guard let physical = LinearMap.physical(address),
                let region = writable.regions.first(where: { $0.range.contains(physical.rawValue) })
            else { throw MemoryAccessError.unmapped(address) }
            try region.file.words.store(
                kernel.order.value(ofStored: value), at: physical.rawValue - region.base.rawValue)
        }
    }

    /// The mirror in the shared region, whose addresses are offsets.
    init(mirror region: SharedRegion, file path: FilePath) throws {
        let file = try MappedFile(path, byteCount: region.words.byteCount, isWritable: true)
        let writable = SharedRegion(words: file.words, layout: region.layout, order: region.order)
        headAddress = SharedRegionLayout.Field.head.offset
        pageByteCount = region.layout.pageByteCount
        outside = region.layout.regionByteCount
        walk = ListWalk(
            head: try writable.header(.head), in: writable, pageByteCount: pageByteCount,
            limit: Int(region.layout.nodeCapacity))
        load = { try writable.word(at: $0) }
        // The mapping lasts as long as its file.
        put = { address, value in try withExtendedLifetime(file) { try writable.store(value, at: address) } }
    }

    /// The nodes, newest first.
    var nodes: [ListEntry] { walk.entries }

    /// Stores a word, and remembers the one that stood there.
    func store(_ value: UInt64, at address: UInt64) throws {
        former.append((address, try load(address)))
        try put(address, value)
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
    func undo() throws {
        while let word = former.popLast() { try put(word.address, word.value) }
    }
}
