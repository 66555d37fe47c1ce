// SPDX-License-Identifier: Apache-2.0

import GuestMemory
import KernelState
import VmemmapPopulate

extension Harness {
    /// What is followed through a kernel's memory: lists, sections, page tables.
    static let memories = [
        Harness("list", byteLimit: 1024) { bytes in
            var input = Input(bytes)
            let limit = Int(input.byte())
            let made = MadeMemory(&input)
            let memory = KernelMemory(made, order: .little)
            let head = try memory.word(at: LinearMap.base + MadeMemory.listHead)
            let walk = ListWalk(head: head, in: memory, pageByteCount: made.pageByteCount, limit: limit)
            require(Set(walk.entries.map(\.node)).count == walk.entries.count, "each node is there once")
            require(walk.entries.count <= limit, "a walk has a limit")
            let plain = plainWalk(head, memory, made.pageByteCount, limit)
            // At the limit it depends on the way of looking whether a cycle shows.
            if plain.entries.count < limit { require(walk == plain, "it is what a plain walk finds: \(walk) \(plain)") }
        },
        Harness("kernel-state", byteLimit: 2048) { bytes in
            var input = Input(bytes)
            let made = MadeMemory(&input)
            let memory = KernelMemory(made, order: .little)
            let note = KernelNote(info: Vmcoreinfo(text: made.note), order: .little, addresses: [])
            let kernel = try Kernel(note: note) { _ in SymbolLookup(addresses: [], reason: []) }
            let bounds = ReadingBounds(
                memoryEnd: PhysicalAddress(1 << 30), leafLimit: 4096, searchEnd: PhysicalAddress(1 << 32))
            let state = try KernelState(of: kernel, in: memory, within: bounds)
            require(try KernelState(of: kernel, in: memory, within: bounds) == state, "what stands still reads alike")
            require(ascends(state.sections.map(\.number)), "sections ascend")
            _ = kernel.geometry(of: state.memoryMap)
            _ = kernel.memory(in: state.sections)
            guard let maps = SubsectionMaps(learnedFrom: state.sections, layout: kernel.layout, in: memory) else {
                return
            }
            for section in state.sections { _ = maps.map(of: section, layout: kernel.layout, in: memory) }
        },
        Harness("page-tables", byteLimit: 2048) { bytes in
            var input = Input(bytes)
            let span = input.number(2) << 20
            let made = MadeMemory(&input)
            let range = MadeMemory.vmemmapBase..<MadeMemory.vmemmapBase + span
            let walk = RadixWalk(
                root: PhysicalAddress(MadeMemory.pageTableRoot), range: range, pageByteCount: made.pageByteCount,
                limit: 4096, in: made)
            require(ascends(walk.leaves.map(\.virtAddr)), "leaves ascend")
            for (leaf, next) in zip(walk.leaves, walk.leaves.dropFirst()) {
                require(leaf.virtAddr + leaf.byteCount <= next.virtAddr, "leaves do not overlap")
            }
            require(
                walk.leaves.allSatisfy {
                    $0.virtAddr < range.upperBound && $0.virtAddr + $0.byteCount > range.lowerBound
                },
                "leaves are for what was asked")
            require(walk.tables.allSatisfy { 1...3 ~= $0.level }, "tables are below the root")
        },
    ]

    /// The same walk with all nodes kept that were seen.
    private static func plainWalk(
        _ head: UInt64, _ memory: KernelMemory<MadeMemory>, _ pageByteCount: UInt64, _ limit: Int
    ) -> ListWalk {
        var walk = ListWalk(head: head, entries: [], end: .terminated, endLink: 0)
        var seen: Set<UInt64> = []
        var link = head
        while link != 0 {
            guard ListWalk.canHoldNode(link, pageByteCount: pageByteCount) else {
                (walk.end, walk.endLink) = (.misplaced, link)
                break
            }
            guard !seen.contains(link) else {
                (walk.end, walk.endLink) = (.cycle, link)
                break
            }
            guard walk.entries.count < limit else {
                (walk.end, walk.endLink) = (.limitReached, link)
                break
            }
            do {
                let backing = try VmemmapBacking(at: link, in: memory)
                seen.insert(link)
                walk.entries.append(ListEntry(node: link, backing))
                link = backing.list
            } catch {
                (walk.end, walk.endLink) = (.unreadable, error.address)
                break
            }
        }
        return walk
    }

    private static func ascends(_ numbers: [UInt64]) -> Bool {
        zip(numbers, numbers.dropFirst()).allSatisfy(<)
    }
}
