// SPDX-License-Identifier: Apache-2.0

import Detection
import GuestMemory
import HarnessBasics
import KernelState
import Libvirt
import MemoryBackends
import RunRecord
import Verification

@testable import Guests
@testable import Runs
@testable import qemu_harness

/// A way to spoil a page table entry over the memory map of a running radix guest.
struct TableDamage: Sendable {
    let title: String
    /// The entry: 0 is the root's for the memory map's first address, and so on down to the one that maps it.
    let level: Int
    /// What the entry's word becomes.
    let change: @Sendable (UInt64) -> UInt64

    init(_ title: String, level: Int, _ change: @escaping @Sendable (UInt64) -> UInt64) {
        self.title = title
        self.level = level
        self.change = change
    }
}

/// The page tables of a guest, with the means to spoil them and to undo that.
struct DamagedTables {
    private let memory: WritableMemory
    private let layout: KernelLayout
    private let base: UInt64

    init(_ memory: GuestRAM, kernel: Kernel, vmemmapBase: UInt64) throws {
        self.memory = try WritableMemory(memory)
        layout = kernel.layout
        base = vmemmapBase
    }

    /// The entry of a level for an address of the memory map.
    func entry(level: Int, for virtAddr: UInt64) throws -> PhysicalAddress {
        guard let root = layout.pageTableRootAddress.flatMap(LinearMap.physical) else {
            throw HarnessError.infrastructure("no swapper_pg_dir")
        }
        var table = root.rawValue
        let levels: [(shift: UInt64, indexSize: UInt64)] = [(39, 13), (30, 9), (21, 9)]
        for (shift, indexSize) in levels.prefix(level) {
            let place = table + (virtAddr >> shift & (1 << indexSize - 1)) * 8
            table = try word(at: PhysicalAddress(place)) & 0x0fff_ffff_ffff_ff00
        }
        let (shift, indexSize) = levels[level]
        return PhysicalAddress(table + (virtAddr >> shift & (1 << indexSize - 1)) * 8)
    }

    func word(at address: PhysicalAddress) throws -> UInt64 {
        ByteOrder.big.value(ofStored: try memory.stored(at: .ram(address.rawValue)))
    }

    func store(_ word: UInt64, at address: PhysicalAddress) throws {
        try memory.store(ByteOrder.big.value(ofStored: word), at: .ram(address.rawValue))
    }

    /// Puts back every word.
    func undo() throws { try memory.undo() }
}

/// Spoils an entry while the guest is paused, has the page tables walked and the MMU asked as they are then, and puts the
/// entry back before the guest runs on: it could not live with it. The other witnesses say what they said before.
struct TableDamageStep: RunStep {
    let damage: TableDamage

    var title: String { damage.title }

    func perform(in context: inout RunContext, result: inout StepResult) async throws {
        let guest = try context.runningGuest()
        let kernel = try await guest.runningKernel().kernel
        let memory = await guest.memory.ram
        let taker = try await SnapshotTaker(of: guest)
        var snapshot = try await taker.snapshot()
        let base = snapshot.kernel.vmemmapBase
        let tables = try DamagedTables(memory, kernel: kernel, vmemmapBase: base)
        let place = try tables.entry(level: damage.level, for: base)
        try await guest.domain.suspend()
        let probe = MMUProbe(domain: guest.domain)
        while try await probe.obstacle() != nil {
            try await guest.domain.resume()
            try await Task.sleep(for: .milliseconds(5))
            try await guest.domain.suspend()
        }
        try tables.store(damage.change(tables.word(at: place)), at: place)
        let spoilt: Result<MemoryMapReader.Result, any Error>
        do {
            let walk = kernel.memoryMapTables(
                of: MemoryMap(base: base, pageShift: nil), in: memory,
                within: ReadingBounds(memoryEnd: await guest.memory.endAddress))
            snapshot.pageTables = walk.map(WalkedTables.init)
            // Where there is no list, the MMU is asked about what the spoilt tables have.
            let reader = MemoryMapReader(domain: guest.domain, memory: memory)
            spoilt = .success(try await reader.read(snapshot.accountEntries))
        } catch {
            spoilt = .failure(error)
        }
        try tables.undo()
        try await guest.domain.resume()
        let reading = try spoilt.get()
        // These are reached as the spoilt tables say, too.
        taker.addStructPages(to: &snapshot, memory)
        snapshot.readBack = reading.readBack
        snapshot.translations = reading.translations
        try result.judge(snapshot, since: context.lastEntries)
    }
}

/// Maps a window of the memory map that describes no memory, which no guest misses, and verifies while it runs on.
struct StaleLeafStep: RunStep {
    /// The physical address that the window describes.
    let described: UInt64
    /// The entry that becomes a leaf: 2 maps 2 MiB, 1 maps 1 GiB.
    let level: Int

    var title: String { "a leaf for no memory at \(described.hexadecimal)" }

    func perform(in context: inout RunContext, result: inout StepResult) async throws {
        let guest = try context.runningGuest()
        let kernel = try await guest.runningKernel().kernel
        let layout = kernel.layout
        let memoryMap = try kernel.memoryMap(in: KernelMemory(await guest.memory.ram, order: kernel.order))
        guard let base = memoryMap.base else { throw HarnessError.infrastructure("no section is present") }
        let tables = try DamagedTables(await guest.memory.ram, kernel: kernel, vmemmapBase: base)
        let virtAddr = base + described / layout.pageByteCount * layout.structPageByteCount
        let place = try tables.entry(level: level, for: virtAddr)
        guard try tables.word(at: place) == 0 else { throw HarnessError.infrastructure("the window is mapped") }
        // The first leaf's block once more, or the memory around it: nothing is allocated for it.
        let first = try tables.word(at: tables.entry(level: 2, for: base))
        try tables.store(level == 2 ? first : first & ~0x3fff_f000, at: place)
        let outcome: Result<Void, any Error>
        do {
            outcome = .success(try await VerifyStep().perform(in: &context, result: &result))
        } catch {
            outcome = .failure(error)
        }
        try tables.undo()
        try outcome.get()
    }
}
