// SPDX-License-Identifier: Apache-2.0

import GuestMemory
import Guests
import HarnessBasics
import KernelState
import MemoryBackends
import Verification
import VmemmapPopulate

/// A word that may be damaged.
struct DamageTarget {
    /// What it is: the row that it is counted in.
    let name: String
    let place: WritableMemory.Place
    /// The byte order of what stands there.
    let order: ByteOrder
    /// Bits in which nobody reads anything.
    var freeBits: UInt64 = 0

    /// The row in which a change is counted.
    func name(ofChange former: UInt64, to word: UInt64) -> String {
        (former ^ word) & ~freeBits == 0 ? name + ", free bits" : name
    }
}

/// The words of a guest that the host's witnesses read, by what they are.
package struct DamageTargets {
    /// What a word belongs to.
    enum Kind: CaseIterable {
        case list, sections, pageTables, region, structPages, note
    }

    /// Why a damage of one word of a kind may be missed; nil where none may.
    package static func reason(ofMissed name: String) -> String? {
        switch name {
        case "mem_section: absent": "an entry that is not marked present is none, whatever else stands in it"
        case "mirror: generation": "whether it is odd is all that it says"
        case "mirror: origin": "its event's number is held against how many there were, and against the other entries'"
        case "num_left, num_freed, free bits": "the other half of the word is another variable's"
        case _ where name.hasSuffix(", free bits"): "they are the processor's (R, C), software's, or reserved"
        case "several words": "each of them may be missed by itself"
        case _ where name.hasPrefix("struct page "):
            "of a page in use the kernel may change nearly all; what is told apart are pages that were never made, of another "
                + "node, with impossible counts, and pages whose links lead elsewhere than a page's or its neighbours' do"
        default: nil
        }
    }

    private let booted: BootedKernel
    private let snapshot: Snapshot
    private let memory: GuestRAM

    init(_ booted: BootedKernel, _ snapshot: Snapshot, _ memory: GuestRAM) {
        (self.booted, self.snapshot, self.memory) = (booted, snapshot, memory)
    }

    private var layout: KernelLayout { booted.kernel.layout }
    private var order: ByteOrder { booted.kernel.order }
    private var view: KernelMemory<GuestRAM> { KernelMemory(memory, order: order) }

    /// One of a kind; nil where the guest has none.
    func target(_ kind: Kind, _ random: inout SeededGenerator) throws -> DamageTarget? {
        switch kind {
        case .list: list(&random)
        case .sections: try section(&random)
        case .pageTables: pageTable(&random)
        case .region: region(&random)
        case .structPages: structPage(&random)
        case .note: note(&random)
        }
    }

    /// A word at a kernel address.
    private func target(_ name: String, _ address: UInt64) -> DamageTarget? {
        LinearMap.physical(address).map { DamageTarget(name: name, place: .ram($0.rawValue), order: order) }
    }

    private static let nodeWords = [
        ("list", VmemmapBacking.listOffset), ("phys", VmemmapBacking.physOffset),
        ("virt_addr", VmemmapBacking.virtAddrOffset),
    ]

    private func list(_ random: inout SeededGenerator) -> DamageTarget? {
        guard let node = snapshot.kernelList.entries.randomElement(using: &random)?.node,
            let (name, offset) = Self.nodeWords.randomElement(using: &random)
        else { return nil }
        switch Int.random(in: 0..<8, using: &random) {
        case 0: return target("vmemmap_list", layout.listHeadAddress)
        case 1: return freeNodes(&random)
        default: return target("node: \(name)", node + offset)
        }
    }

    private func freeNodes(_ random: inout SeededGenerator) -> DamageTarget? {
        guard let nodes = snapshot.freeNodes, let places = booted.kernel.freeNodes else { return nil }
        if let freed = nodes.freed.randomElement(using: &random), Bool.random(using: &random) {
            return target("free node: list", freed + VmemmapBacking.listOffset)
        }
        let counts = [places.leftCount, places.freedCount]
        guard let count = counts.randomElement(using: &random), Bool.random(using: &random) else {
            return target("next", places.next)
        }
        // Each of them is half a word, and the other half may be anything's.
        let word = count & ~7
        var target = target("num_left, num_freed", word)
        target?.freeBits = ~counts.reduce(0) { bits, place in
            let shift: UInt64 = (place & 7 == 0) == (order == .little) ? 0 : 32
            return place & ~7 == word ? bits | 0xffff_ffff << shift : bits
        }
        return target
    }

    private func section(_ random: inout SeededGenerator) throws -> DamageTarget? {
        guard let number = snapshot.sections.randomElement(using: &random)?.number else { return nil }
        switch Int.random(in: 0..<8, using: &random) {
        case 0:
            return target("mem_section: root", layout.sectionRootsAddress + number / layout.sectionsPerRoot * 8)
        case 1:
            // Beside one that is present, in the same page of the table.
            let other = number ^ (1 << UInt64.random(in: 0..<8, using: &random))
            guard !snapshot.sections.contains(where: { $0.number == other }),
                other / layout.sectionsPerRoot == number / layout.sectionsPerRoot
            else { return nil }
            return target(
                "mem_section: absent", try layout.address(ofSection: other, in: view) + layout.sectionMapOffset)
        case 2, 3:
            return try booted.subsectionMaps.flatMap {
                target("subsection_map", try $0.address(ofMapOf: number, layout: layout, in: view))
            }
        case 4, 5:
            return target(
                "mem_section: usage", try layout.address(ofSection: number, in: view) + layout.sectionMapOffset + 8)
        default:
            return target(
                "section_mem_map", try layout.address(ofSection: number, in: view) + layout.sectionMapOffset)
        }
    }

    /// All but V, L, the real page number, Att and EAA.
    private static let freeLeafBits: UInt64 = 0x3e00_0000_0000_0fc0
    /// All but V, L, NLB and NLS.
    private static let freeDirectoryBits: UInt64 = 0x3000_0000_0000_00e0

    private func pageTable(_ random: inout SeededGenerator) -> DamageTarget? {
        guard let tables = snapshot.pageTables?.tables, let table = tables.randomElement(using: &random) else {
            return nil
        }
        let place: UInt64
        switch Int.random(in: 0..<10, using: &random) {
        case 0:
            guard let root = layout.pageTableRootAddress.flatMap(LinearMap.physical) else { return nil }
            let level = RadixWalk.levels(pageByteCount: layout.pageByteCount)[0]
            let index = table.virtAddr >> level.shift & (1 << level.indexSize - 1)
            return DamageTarget(
                name: "page table: PGD entry", place: .ram(root.rawValue + index * 8), order: .big,
                freeBits: Self.freeDirectoryBits)
        case 1..<4: place = table.base + UInt64.random(in: 0..<table.byteCount / 8, using: &random) * 8
        default: place = snapshot.pageTables?.windows.randomElement(using: &random)?.place ?? table.base
        }
        guard let stored = try? memory.storedWord(at: PhysicalAddress(place)) else { return nil }
        let word = ByteOrder.big.value(ofStored: stored)
        let isLeaf = word >> 62 == 3
        let name = word >> 63 == 0 ? "page table: empty entry" : isLeaf ? "page table: leaf" : "page table: directory"
        let freeBits = word >> 63 == 0 ? 0 : isLeaf ? Self.freeLeafBits : Self.freeDirectoryBits
        return DamageTarget(name: name, place: .ram(place), order: .big, freeBits: freeBits)
    }

    private func region(_ random: inout SeededGenerator) -> DamageTarget? {
        let layout = booted.region.layout
        func target(_ name: String, _ offset: UInt64) -> DamageTarget {
            DamageTarget(name: name, place: .region(offset), order: booted.region.order)
        }
        guard let node = snapshot.mirror?.list.entries.randomElement(using: &random)?.node,
            let field = SharedRegionLayout.Field.allCases.randomElement(using: &random),
            let (name, offset) = Self.nodeWords.randomElement(using: &random)
        else { return nil }
        switch Int.random(in: 0..<8, using: &random) {
        case 0, 1: return target(field == .generation ? "mirror: generation" : "mirror: header", field.offset)
        case 2:
            let words = SharedRegionLayout.releaseByteCount / 8
            return target(
                "mirror: release", SharedRegionLayout.releaseOffset + UInt64.random(in: 0..<words, using: &random) * 8)
        case 3: return layout.slot(ofNodeAt: node).map { target("mirror: origin", layout.originsOffset + $0 * 8) }
        default: return target("mirror node: \(name)", node + offset)
        }
    }

    private func structPage(_ random: inout SeededGenerator) -> DamageTarget? {
        let kernel = snapshot.kernel
        guard let section = snapshot.sections.filter(\.isOnline).randomElement(using: &random) else { return nil }
        let frames = (1 << kernel.sectionSizeBits) / kernel.pageByteCount
        let frame = section.number * frames + UInt64.random(in: 0..<frames, using: &random)
        let offset = UInt64.random(in: 0..<kernel.structPageByteCount / 8, using: &random) * 8
        let virtAddr = kernel.vmemmapBase + frame * kernel.structPageByteCount + offset
        guard let window = snapshot.accountEntries.first(where: { $0.addresses?.contains(virtAddr) ?? false }) else {
            return nil
        }
        return DamageTarget(
            name: "struct page +\(offset.hexadecimal)", place: .ram(window.phys + (virtAddr - window.virtAddr)),
            order: order)
    }

    private func note(_ random: inout SeededGenerator) -> DamageTarget? {
        guard let start = booted.kernel.note.addresses.first?.rawValue else { return nil }
        // Elf64_Nhdr, the name, and the text.
        let words = UInt64(24 + booted.kernel.note.info.text.count) / 8
        return DamageTarget(
            name: "VMCOREINFO note", place: .ram(start + UInt64.random(in: 0..<words, using: &random) * 8), order: order
        )
    }
}
