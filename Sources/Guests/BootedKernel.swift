// SPDX-License-Identifier: Apache-2.0

package import GuestMemory
import Inspection
package import KernelState
import MemoryBackends
import SystemPackage
package import Verification
import VmemmapPopulate

/// A kernel of a guest, from its agent's hello until it is gone.
package struct BootedKernel: Sendable {
    /// What the agent said first.
    package let hello: Hello
    /// The kernel as its own memory describes it.
    package let kernel: Kernel
    /// The shared region, laid out as the host computes it.
    package let region: SharedRegion
    /// The witnesses that the guest can give.
    package let witnesses: [Witness]
    /// Where its hashed page table has the memory map; nil where it cannot be had, and on radix.
    let hashSegments: HashedSegments?
    /// Why its hashed page table says nothing; nil where it does, and on radix.
    let hashTableProblem: String?
    /// The kernel's list at hello.
    let list: ListWalk
    /// What its note tells of `struct page`.
    let structPageLayout: StructPageLayout
    /// Where a section says which parts of it hold memory; nil where that could not be learned.
    package let subsectionMaps: SubsectionMaps?

    /// Finds the kernel in guest RAM, and holds the agent's hello against it.
    ///
    /// `image` is the file that it was booted from: what its note lacks of symbols is looked up there. `hashTable` is a hash
    /// kernel's.
    init(
        _ hello: Hello, in ram: GuestRAM, image: FilePath, regionFile: MappedFile, regionByteCount: UInt64,
        hashTable: HashTableReader.Answer?
    ) throws {
        self.hello = hello
        let note = try KernelNote(foundIn: ram, told: PhysicalAddress(hello.vmcoreinfoAddress))
        var kernel = try Kernel(note: note, image: image)
        let memoryMap = try kernel.memoryMap(in: KernelMemory(ram, order: kernel.order))
        try hello.check(against: kernel, memoryMap, regionByteCount: regionByteCount)
        kernel.learn(mmu: hello.mmu, from: .cpuinfo)
        self.kernel = kernel
        region = SharedRegion(
            words: regionFile.words,
            layout: try SharedRegionLayout(
                regionByteCount: regionByteCount, pageByteCount: kernel.layout.pageByteCount),
            order: kernel.order)
        list = try kernel.list(in: ram)
        let memory = KernelMemory(ram, order: kernel.order)
        subsectionMaps = SubsectionMaps(
            learnedFrom: try kernel.presentSections(in: memory, within: ReadingBounds(memoryEnd: ram.endAddress)),
            layout: kernel.layout, in: memory)
        structPageLayout = StructPageLayout(
            kernel.note.info, order: kernel.order, byteCount: kernel.layout.structPageByteCount)
        let rules = kernel.rules(
            of: memoryMap, hasHadEntries: list.end == .terminated && !list.entries.isEmpty)
        (hashSegments, hashTableProblem) = Self.segments(hashTable, of: KernelFacts(kernel, memoryMap), list)
        witnesses = Witness.given(
            by: rules == .radixTables ? .pageTables : .list, kernel.mmu, hasHashTable: hashSegments != nil,
            tellsStructPages: StructPageSurvey.isPossible(structPageLayout))
    }
}

extension BootedKernel {
    private static func segments(
        _ answer: HashTableReader.Answer?, of kernel: KernelFacts, _ list: ListWalk
    ) -> (HashedSegments?, problem: String?) {
        switch answer {
        case nil: return (nil, nil)
        case .table(let table):
            let segments = HashTableSnapshot.learnSegments(
                from: table.entries, tableShift: table.shift, kernel: kernel, list: list.entries)
            return (
                segments,
                segments == nil
                    ? "of the hashed page table's \(table.entries.count) entries none maps a block of the list in a context that "
                        + "kernels use" : nil
            )
        case .problem(let problem): return (nil, problem)
        }
    }
}

extension Kernel {
    /// The list as it stands in guest RAM.
    func list(in ram: GuestRAM) throws -> ListWalk {
        try list(in: KernelMemory(ram, order: order), within: ReadingBounds(memoryEnd: ram.endAddress))
    }
}
