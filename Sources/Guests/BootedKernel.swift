// SPDX-License-Identifier: Apache-2.0

package import GuestMemory
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
    /// Why its hashed page table cannot be had; nil where it can, and on radix.
    let hashTableProblem: String?
    /// The kernel's list at hello.
    let list: ListWalk

    /// Finds the kernel in guest RAM, and holds the agent's hello against it.
    ///
    /// `image` is the file that it was booted from: what its note lacks of symbols is looked up there. `hashTableProblem`
    /// counts on hash.
    init(
        _ hello: Hello, in ram: GuestRAM, image: FilePath, regionFile: MappedFile, regionByteCount: UInt64,
        hashTableProblem: String?
    ) throws {
        self.hello = hello
        var kernel = try Kernel(note: KernelNote(foundIn: ram), image: image)
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
        let rules = kernel.rules(
            of: memoryMap, hasHadEntries: list.end == .terminated && !list.entries.isEmpty)
        self.hashTableProblem = hashTableProblem
        witnesses = Witness.given(
            by: rules == .radixTables ? .pageTables : .list, kernel.mmu, hasHashTable: hashTableProblem == nil)
    }
}

extension Kernel {
    /// The list as it stands in guest RAM.
    func list(in ram: GuestRAM) throws -> ListWalk {
        try list(in: KernelMemory(ram, order: order), within: ReadingBounds(memoryEnd: ram.endAddress))
    }
}
