// SPDX-License-Identifier: Apache-2.0

public import GuestMemory
public import VmemmapPopulate

/// How far a kernel's memory is followed. Whatever stands there, reading ends.
public struct ReadingBounds: Sendable {
    /// The end of the physical addresses that can hold memory: boot RAM and every DIMM slot.
    public let memoryEnd: PhysicalAddress
    /// The most nodes that the list can have.
    public let nodeLimit: Int
    /// The most nodes that the list does not have: as many as it ever had.
    public let freeNodeLimit: Int
    /// The most leaves of page tables.
    public let leafLimit: Int
    /// The end of the physical addresses whose sections, and whose memory map in page tables, are looked for: there may be some
    /// where no memory ever was.
    public let searchEnd: PhysicalAddress
    /// The most sections.
    public let sectionLimit: Int

    /// Sets the bounds.
    ///
    /// - Parameters:
    ///   - memoryEnd: the end of memory; what is behind the linear map's end counts as that.
    ///   - nodeLimit: the most nodes. Nil: as many as the densest list has up to `memoryEnd`, which is 4096 a GiB (4 KiB
    ///     pages with 4 KiB vmemmap pages).
    ///   - freeNodeLimit: the most free nodes. Nil: as many as the densest list has up to `memoryEnd`.
    ///   - leafLimit: the most leaves of page tables.
    ///   - searchEnd: the end of what sections and page tables are looked for. Nil: `memoryEnd`.
    ///   - sectionLimit: the most sections.
    public init(
        memoryEnd: PhysicalAddress, nodeLimit: Int? = nil, freeNodeLimit: Int? = nil, leafLimit: Int = .max,
        searchEnd: PhysicalAddress? = nil, sectionLimit: Int = .max
    ) {
        self.leafLimit = leafLimit
        self.memoryEnd = min(memoryEnd, PhysicalAddress(LinearMap.byteCount))
        let densest = Int(self.memoryEnd.rawValue >> 18) + 1
        self.nodeLimit = nodeLimit ?? densest
        self.freeNodeLimit = freeNodeLimit ?? densest
        self.searchEnd = searchEnd ?? self.memoryEnd
        self.sectionLimit = sectionLimit
    }
}

/// Why a kernel's memory could not be read: which read, and at which address.
public struct KernelReadError: Error, Equatable, Sendable {
    /// What was read.
    public enum Part: Sendable {
        /// The variable `vmemmap_list`.
        case listHead
        /// `mem_section`, its roots and their entries.
        case sectionTable
        /// `mmu_vmemmap_psize` and `mmu_psize_defs`.
        case pageSizes
    }

    /// What was read.
    public let part: Part
    /// The address, and why not.
    public let cause: MemoryAccessError

    /// Describes a read that failed.
    public init(part: Part, cause: MemoryAccessError) {
        self.part = part
        self.cause = cause
    }
}

/// Where a kernel's memory map is.
public struct MemoryMap: Equatable, Sendable {
    /// The effective address of page frame 0's `struct page`, as the first present section encodes it; nil when no section
    /// is present.
    public let base: UInt64?
    /// log2 of its pages, `mmu_psize_defs[mmu_vmemmap_psize].shift`; nil when the kernel's value is not valid.
    public let pageShift: UInt64?

    /// Describes a memory map.
    public init(base: UInt64?, pageShift: UInt64?) {
        self.base = base
        self.pageShift = pageShift
    }
}

/// What is read of a kernel's memory, part by part. The memory may be anything that answers by address: mapped RAM files,
/// /proc/kcore, a dump.
extension Kernel {
    /// Where the memory map is, without a look at all sections: a guest without memory in the first GiB does not boot.
    public func memoryMap(in memory: borrowing some WordMemory) throws(KernelReadError) -> MemoryMap {
        let bounds = ReadingBounds(memoryEnd: PhysicalAddress(1 << 30))
        return try memoryMap(of: presentSections(in: memory, within: bounds), in: memory)
    }

    /// Where the memory map of sections is that were read.
    @usableFromInline func memoryMap(
        of sections: [MemorySection], in memory: borrowing some WordMemory
    ) throws(KernelReadError) -> MemoryMap {
        do throws(MemoryAccessError) {
            return MemoryMap(
                base: sections.first?.vmemmapBase, pageShift: try layout.vmemmapPageShift(in: memory, order: order))
        } catch {
            throw KernelReadError(part: .pageSizes, cause: error)
        }
    }

    /// The sections that are present, ascending.
    public func presentSections(
        in memory: borrowing some WordMemory, within bounds: ReadingBounds
    ) throws(KernelReadError) -> [MemorySection] {
        do throws(MemoryAccessError) {
            return try SectionTable.presentSections(
                layout: layout, in: memory, endAddress: bounds.searchEnd, limit: bounds.sectionLimit)
        } catch {
            throw KernelReadError(part: .sectionTable, cause: error)
        }
    }

    /// The physical memory that sections hold.
    public func memory(in sections: [MemorySection]) -> MemoryRanges {
        var memory = MemoryRanges()
        for section in sections {
            let start = section.number << layout.sectionSizeBits
            memory.insert(start..<start + 1 << layout.sectionSizeBits)
        }
        return memory
    }

    /// The word in `vmemmap_list`, 0 when the list is empty.
    @inlinable public func listHead(in memory: borrowing some WordMemory) throws(KernelReadError) -> UInt64 {
        do throws(MemoryAccessError) {
            return try memory.word(at: layout.listHeadAddress)
        } catch {
            throw KernelReadError(part: .listHead, cause: error)
        }
    }

    /// The list, as far as it can be walked. How the walk ended is part of it, and no error.
    @inlinable public func list(
        in memory: borrowing some WordMemory, within bounds: ReadingBounds
    ) throws(KernelReadError) -> ListWalk {
        ListWalk(
            head: try listHead(in: memory), in: memory, pageByteCount: layout.pageByteCount, limit: bounds.nodeLimit)
    }

    /// The nodes that the list does not have, as far as links lead; nil where nothing tells of them, or memory does not hold it.
    @inlinable public func freeNodes(
        in memory: borrowing some WordMemory, within bounds: ReadingBounds
    ) -> FreeNodes? {
        guard let freeNodes else { return nil }
        return FreeNodes(
            at: freeNodes, in: memory, order: order, pageByteCount: layout.pageByteCount,
            limit: bounds.freeNodeLimit)
    }

    /// What the kernel's own page tables map of the memory map; nil where it has none: on hash, where the kernel does not
    /// say where they are, and where there is no memory map. What is wrong with them is part of the walk, and no error.
    @inlinable public func memoryMapTables(
        of memoryMap: MemoryMap, in memory: borrowing some PhysicalMemory, within bounds: ReadingBounds
    ) -> RadixWalk? {
        guard mmu == .radix, let base = memoryMap.base else { return nil }
        // Where no memory is nothing is mapped, and the walk passes over it by the GiB.
        return layout.memoryMapTables(
            vmemmapBase: base, endAddress: bounds.searchEnd, limit: bounds.leafLimit, in: memory)
    }
}

extension Kernel {
    /// Takes the MMU from the memory map's place where the note does not say it. Before 0034d395f89d (5.2) hash kernels had
    /// their vmalloc area at 0xd000000000000000 and the memory map at 0xf000000000000000 (`VMEMMAP_REGION_ID`,
    /// arch/powerpc/include/asm/book3s/64/hash.h); radix kernels have all of it behind 0xc000000000000000. Their page tables
    /// do not say it: the root's first entry was that of the vmalloc area, so this is to be asked first.
    public mutating func learnMMU(fromMemoryMapAt base: UInt64?) {
        if base == LinearMap.oldHashMemoryMapBase { learn(mmu: .hash, from: .memoryMap) }
    }

    /// Takes the MMU from the kernel's own page tables where the note does not say it: the root's first entry is for the
    /// beginning of the linear map, which a radix kernel maps there and a hash kernel in its hashed page table alone.
    /// Nothing is learned where the entry cannot be read.
    public mutating func learnMMU(fromTablesIn memory: borrowing some PhysicalMemory) {
        guard mmuSource == .nowhere, let root = layout.pageTableRootAddress.flatMap(LinearMap.physical),
            let entry = try? memory.storedWord(at: root)
        else { return }
        learn(mmu: entry == 0 ? .hash : .radix, from: .pageTables)
    }
}

/// What follows from a kernel's constants and its memory map.
extension Kernel {
    /// How the kernel keeps account of what backs its memory map, from what it shows, and from whether its
    /// list has or was ever seen to have entries.
    public func rules(of memoryMap: MemoryMap, hasHadEntries: Bool) -> PopulateRules {
        PopulateRules(isRadix: mmu == .radix, vmemmapPageShift: memoryMap.pageShift, hasHadEntries: hasHadEntries)
    }

    /// The memory map's arithmetic, nil when the kernel does not tell what it takes.
    public func geometry(of memoryMap: MemoryMap) -> MemoryMapGeometry? {
        guard let base = memoryMap.base, let pageShift = memoryMap.pageShift else { return nil }
        return MemoryMapGeometry(
            vmemmapBase: base, vmemmapPageShift: pageShift, pageByteCount: layout.pageByteCount,
            structPageByteCount: layout.structPageByteCount)
    }
}
