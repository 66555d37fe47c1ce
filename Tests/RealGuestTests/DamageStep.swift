// SPDX-License-Identifier: Apache-2.0

import GuestMemory
import Libvirt
import MemoryBackends
import RunRecord
import VmemmapPopulate

@testable import qemu_harness

/// Writes into a paused guest's RAM, as a stray store of its kernel would.
struct DamageStep: RunStep {
    let title: String
    let damage: @Sendable (DamagedList) throws -> Void

    func perform(in context: inout RunContext, result: inout StepResult) async throws {
        let machine = try context.runningMachine()
        guard let kernel = await machine.kernel else { throw HarnessError.infrastructure("the guest is not up") }
        try await machine.domain.suspend()
        try damage(DamagedList(memory: await machine.memory, kernel: kernel))
        try await machine.domain.resume()
    }
}

/// The kernel's list in guest RAM, with the means to spoil it.
struct DamagedList {
    let kernel: RunningKernel
    /// The list as it was before.
    let walk: ListWalk
    private let writable: GuestRAM

    init(memory: GuestRAM, kernel: RunningKernel) throws {
        self.kernel = kernel
        writable = GuestRAM(
            try memory.regions.map { region in
                GuestRAM.Region(
                    name: region.name, base: region.base,
                    file: try MappedFile(region.file.path, byteCount: region.file.words.byteCount, isWritable: true))
            })
        let view = KernelMemory(writable, order: kernel.order)
        walk = ListWalk(
            head: try view.word(at: kernel.layout.listHeadAddress), in: view,
            pageByteCount: kernel.layout.pageByteCount, limit: 1 << 16)
    }

    /// Stores a word at a kernel address.
    func store(_ value: UInt64, at address: UInt64) throws {
        guard let physical = LinearMap.physical(address),
            let region = writable.regions.first(where: { $0.range.contains(physical.rawValue) })
        else { throw MemoryAccessError.unmapped(address) }
        try region.file.words.store(
            kernel.order.value(ofStored: value), at: physical.rawValue - region.base.rawValue)
    }
}
