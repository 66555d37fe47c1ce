// SPDX-License-Identifier: Apache-2.0

import Detection
import GuestMemory
import HarnessBasics
import KernelState
import MemoryBackends
import RunRecord
import Verification
import VmemmapPopulate

@testable import Guests
@testable import Runs

/// A way to spoil what the kernel has written of its memory beside the list: `struct page`s and sections.
struct MemoryDamage: Sendable {
    let title: String
    /// The names of everything that has to be found then.
    let findings: Set<String>
    let spoil: @Sendable (DamagedMemory) throws -> Void

    init(_ title: String, _ findings: Set<String>, spoil: @escaping @Sendable (DamagedMemory) throws -> Void) {
        self.title = title
        self.findings = findings
        self.spoil = spoil
    }

    /// On a kernel with 64 KiB pages and a list, of pages that are free and lead no free block. `struct page` has flags at 0, lru at 8, _mapcount at 48 and _refcount at 52.
    static let all = [
        MemoryDamage("a poisoned page", ["struct-pages-not-initialised"]) { memory in
            try memory.put(.max, page: 4160, offset: 0)
        },
        MemoryDamage("a page of zeros", ["struct-pages-not-initialised"]) { memory in
            for offset in stride(from: UInt64(0), to: 64, by: 8) { try memory.put(0, page: 4160, offset: offset) }
        },
        MemoryDamage("a page of another node", ["struct-pages-other-numa-node"]) { memory in
            try memory.put(memory.word(page: 4160, offset: 0) | 5 << 56, page: 4160, offset: 0)
        },
        MemoryDamage("a negative number of users", ["struct-pages-impossible-count"]) { memory in
            try memory.put(0xffff_fffe_ffff_ffff, page: 4160, offset: 48)
        },
        MemoryDamage("a page that was copied over another", ["struct-pages-other-page"]) { memory in
            let link = memory.structPage(4224) + 8
            for offset in [UInt64(8), 16] {
                try memory.put(link, page: 4224, offset: offset)
                try memory.put(link, page: 4160, offset: offset)
            }
        },
        MemoryDamage("a free page that its neighbours do not know", ["struct-pages-other-page"]) { memory in
            try memory.put(0x0000_0000_ffff_ff7f, page: 4160, offset: 48)
            for offset in [UInt64(8), 16] { try memory.put(memory.structPage(4100) + 8, page: 4160, offset: offset) }
        },
        MemoryDamage("a block in free memory", ["list-in-free-memory"]) { memory in
            try memory.put(0x0000_0000_ffff_ffff, page: memory.firstBlock / 65536, offset: 48)
        },
        MemoryDamage("a node in free memory", ["list-in-free-memory"]) { memory in
            try memory.put(0x0000_0000_ffff_ffff, page: memory.firstNode / 65536, offset: 48)
        },
        MemoryDamage("a section without a memory map", ["sections-flags"]) { memory in
            try memory.changeSection(3) { $0 & ~2 }
        },
        MemoryDamage("boot memory that is not early", ["sections-flags"]) { memory in
            try memory.changeSection(3) { $0 & ~8 }
        },
        MemoryDamage("a section that lacks a part", ["sections-subsections"]) { memory in
            try memory.changeSubsections(3) { $0 & ~1 }
        },
        MemoryDamage("a section with another's usage", ["sections-subsections"]) { memory in
            try memory.changeUsage(3) { _ in try memory.usage(4) }
        },
        MemoryDamage(
            "a section behind the end of memory",
            [
                "sections-section-without-memory", "sections-block-differs", "sections-flags", "sections-subsections",
                "list-coverage-hole",
            ]
        ) { memory in
            try memory.changeSection(2000) { _ in try memory.section(3) }
        },
        MemoryDamage("a section of another memory map", ["sections-base-differs"]) { memory in
            try memory.changeSection(3) { $0 + 65536 }
        },
        MemoryDamage("a node that will be handed out again", ["list-free-node"]) { memory in
            try memory.changeFreeNodes { ($0.next - 24, $0.leftCount + 1, $0.freedCount) }
        },
        MemoryDamage("a node that was taken and is nowhere", ["list-lost-node"]) { memory in
            try memory.changeFreeNodes { ($0.next + 24, $0.leftCount - 1, $0.freedCount) }
        },
        MemoryDamage("a freed node that is none", ["list-free-chain"]) { memory in
            try memory.changeFreeNodes { ($0.next, $0.leftCount, $0.freedCount + 1) }
        },
    ]
}

/// A paused guest's memory, with the means to spoil it and to undo that.
final class DamagedMemory {
    private let memory: GuestRAM
    private let writable: WritableMemory
    private let kernel: Kernel
    private let snapshot: Snapshot

    init(_ memory: GuestRAM, _ booted: BootedKernel, _ snapshot: Snapshot) throws {
        self.memory = memory
        writable = try WritableMemory(memory)
        kernel = booted.kernel
        self.snapshot = snapshot
    }

    var firstBlock: UInt64 { snapshot.accountEntries.first?.phys ?? 0 }
    var firstNode: UInt64 { LinearMap.physical(snapshot.kernelList.head)?.rawValue ?? 0 }

    /// The effective address of a page frame's `struct page`.
    func structPage(_ frame: UInt64) -> UInt64 { snapshot.kernel.vmemmapBase + frame * 64 }

    private func place(page frame: UInt64, offset: UInt64) throws -> PhysicalAddress {
        let virtAddr = structPage(frame) + offset
        guard let window = snapshot.accountEntries.first(where: { $0.addresses?.contains(virtAddr) ?? false }) else {
            throw HarnessError.infrastructure("page frame \(frame) has no struct page")
        }
        return PhysicalAddress(window.phys + virtAddr - window.virtAddr)
    }

    func word(page frame: UInt64, offset: UInt64) throws -> UInt64 {
        kernel.order.value(ofStored: try memory.storedWord(at: place(page: frame, offset: offset)))
    }

    func put(_ word: UInt64, page frame: UInt64, offset: UInt64) throws {
        try store(word, at: place(page: frame, offset: offset))
    }

    private func sectionPlace(_ number: UInt64) throws -> UInt64 {
        let memory = KernelMemory(memory, order: kernel.order)
        let (root, index) = number.quotientAndRemainder(dividingBy: kernel.layout.sectionsPerRoot)
        return try memory.word(at: kernel.layout.sectionRootsAddress + root * 8)
            + index * kernel.layout.sectionByteCount
    }

    func section(_ number: UInt64) throws -> UInt64 {
        try KernelMemory(memory, order: kernel.order).word(at: sectionPlace(number))
    }

    func changeSection(_ number: UInt64, _ change: (UInt64) throws -> UInt64) throws {
        try changeWord(at: sectionPlace(number), change)
    }

    func usage(_ number: UInt64) throws -> UInt64 {
        try KernelMemory(memory, order: kernel.order).word(at: sectionPlace(number) + 8)
    }

    func changeUsage(_ number: UInt64, _ change: (UInt64) throws -> UInt64) throws {
        try changeWord(at: sectionPlace(number) + 8, change)
    }

    func changeSubsections(_ number: UInt64, _ change: (UInt64) throws -> UInt64) throws {
        let usage = try usage(number)
        let place = try [0, 16].map { usage + $0 }.first {
            try KernelMemory(memory, order: kernel.order).word(at: $0) == 0xff
        }
        guard let place else { throw HarnessError.infrastructure("no subsection_map") }
        try changeWord(at: place, change)
    }

    /// Spoils `next`, `num_left` and `num_freed`.
    func changeFreeNodes(_ change: (FreeNodes) -> (next: UInt64, leftCount: Int, freedCount: Int)) throws {
        guard let nodes = snapshot.freeNodes, let places = kernel.freeNodes else {
            throw HarnessError.infrastructure("the kernel's file does not tell where free nodes are")
        }
        let changed = change(nodes)
        try changeWord(at: places.next) { _ in changed.next }
        for (place, count) in [(places.leftCount, changed.leftCount), (places.freedCount, changed.freedCount)] {
            let shift = (place % 8 == 0) == (kernel.order == .little) ? UInt64(0) : 32
            try changeWord(at: place & ~7) { $0 & ~(0xffff_ffff << shift) | UInt64(count) << shift }
        }
    }

    private func changeWord(at address: UInt64, _ change: (UInt64) throws -> UInt64) throws {
        guard let place = LinearMap.physical(address) else { throw MemoryAccessError.unmapped(address) }
        try store(change(kernel.order.value(ofStored: try memory.storedWord(at: place))), at: place)
    }

    private func store(_ word: UInt64, at place: PhysicalAddress) throws {
        try writable.store(kernel.order.value(ofStored: word), at: .ram(place.rawValue))
    }

    func undo() throws { try writable.undo() }
}

/// Spoils memory while the guest is paused, reads sections and `struct page`s as they are then, and puts it back before the
/// guest runs on: it could not live with it. The other witnesses say what they said before.
struct MemoryDamageStep: RunStep {
    let damage: MemoryDamage

    var title: String { damage.title }

    func perform(in context: inout RunContext, result: inout StepResult) async throws {
        let guest = try context.runningGuest()
        let taker = try await SnapshotTaker(of: guest)
        let memory = await guest.memory.ram
        var snapshot = try await taker.snapshot()
        try await guest.domain.suspend()
        let damaged = try DamagedMemory(memory, taker.booted, snapshot)
        let spoilt: Result<[PresentSection], any Error>
        do {
            try damage.spoil(damaged)
            let state = try await taker.state(memory)
            snapshot.sections = taker.sections(state, in: memory)
            snapshot.add(state.freeNodes)
            taker.addStructPages(to: &snapshot, memory)
            spoilt = .success(snapshot.sections)
        } catch {
            spoilt = .failure(error)
        }
        try damaged.undo()
        try await guest.domain.resume()
        _ = try spoilt.get()
        try result.judge(snapshot, since: context.lastEntries)
    }
}
