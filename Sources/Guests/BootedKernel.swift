// SPDX-License-Identifier: Apache-2.0

package import GuestMemory
import HarnessBasics
package import MemoryBackends
import SystemPackage
package import Verification
package import VmemmapPopulate

/// A kernel of a guest, from its agent's hello until it is gone.
package struct BootedKernel: Sendable {
    /// What the agent said first.
    package let hello: Hello
    /// The kernel as its own memory describes it.
    package let kernel: RunningKernel
    /// The shared region, laid out as the host computes it.
    package let region: SharedRegion
    /// The witnesses that the guest can give.
    package let witnesses: [Witness]

    /// Finds the kernel in guest RAM, and holds the agent's hello against it.
    init(_ hello: Hello, in ram: GuestRAM, image: FilePath, regionFile: MappedFile, regionByteCount: UInt64) throws {
        self.hello = hello
        kernel = try RunningKernel(in: ram, image: image)
        try hello.check(against: kernel, in: ram, regionByteCount: regionByteCount)
        region = SharedRegion(
            words: regionFile.words,
            layout: try SharedRegionLayout(
                regionByteCount: regionByteCount, pageByteCount: kernel.layout.pageByteCount),
            order: kernel.order)
        let list = try kernel.list(in: ram)
        let rules = PopulateRules(
            isRadix: hello.mmu == .radix, vmemmapPageShift: hello.vmemmapPageShift,
            hasHadEntries: list.end == .terminated && !list.nodes.isEmpty)
        witnesses = Witness.given(
            by: rules == .radixTables ? .pageTables : .list, hello.mmu(of: kernel.layout).mmu)
    }

    /// The MMU, and who says so.
    package var mmu: (mmu: MMU, source: String) { hello.mmu(of: kernel.layout) }
}

extension RunningKernel {
    /// The kernel's list as it stands in guest RAM.
    package func list(in ram: GuestRAM) throws -> ListWalk {
        let words = KernelMemory(ram, order: order)
        let head: UInt64
        do {
            head = try words.word(at: layout.listHeadAddress)
        } catch {
            throw HarnessError.infrastructure(
                "vmemmap_list at \(layout.listHeadAddress.hexadecimal) is not in guest memory")
        }
        // The densest list there is has 4096 entries a GiB (4 KiB pages with 4 KiB vmemmap pages).
        let limit = Int(ram.endAddress.rawValue >> 18) + 1
        return ListWalk(head: head, in: words, pageByteCount: layout.pageByteCount, limit: limit)
    }
}
