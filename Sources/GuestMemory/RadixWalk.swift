// SPDX-License-Identifier: Apache-2.0

/// What a radix kernel's own page tables (`init_mm.pgd`, `swapper_pg_dir`) map in a range of kernel addresses.
///
/// Four levels from the root: 13, 9, 9, and 9 index bits on 4 KiB base pages or 5 on 64 KiB ones (radix-4k.h and
/// radix-64k.h in arch/powerpc/include/asm/book3s/64). The entries' format is the Power ISA's (Book III, radix page
/// directory and page table entries); they are big-endian in memory whatever the kernel's byte order.
///
/// The tables are a guest's and may say anything. Depth is fixed and only entries for the range are read, so a walk
/// costs at most one read for each base page in the range, wherever the tables lead.
public struct RadixWalk: Equatable, Sendable {
    /// A table below the root.
    public struct Table: Equatable, Sendable {
        /// Where it stands.
        public let base: PhysicalAddress
        /// How far below the root: 1 (PUD), 2 (PMD) or 3 (PTE).
        public let level: Int
        /// The first effective address that it is for.
        public let virtAddr: UInt64
        /// Its size.
        public let byteCount: UInt64
        /// Whether all of its entries are clear, as far as it is for the range that is walked. The kernel frees such tables
        /// (`free_pte_table`, arch/powerpc/mm/book3s64/radix_pgtable.c).
        public var isEmpty: Bool
    }

    /// An entry that maps memory.
    public struct Leaf: Equatable, Sendable {
        /// Where the entry stands.
        public let entryAddress: PhysicalAddress
        /// The first effective address that it maps, a multiple of `byteCount`.
        public let virtAddr: UInt64
        /// The physical address in the entry, its real page number in bytes. In a sound table a multiple of `byteCount`.
        public let phys: UInt64
        /// How much it maps: a base page, 2 MiB or 1 GiB.
        public let byteCount: UInt64

        /// Describes a leaf.
        public init(entryAddress: PhysicalAddress, virtAddr: UInt64, phys: UInt64, byteCount: UInt64) {
            self.entryAddress = entryAddress
            self.virtAddr = virtAddr
            self.phys = phys
            self.byteCount = byteCount
        }
    }

    /// An entry that leads nowhere, and what it maps is not known; or one that maps memory as the kernel does not.
    public struct Fault: Equatable, Sendable {
        /// Where the entry stands.
        public let entryAddress: PhysicalAddress
        /// The first effective address that it is for.
        public let virtAddr: UInt64
        /// What is wrong.
        public let reason: Reason

        /// Describes a fault.
        public init(entryAddress: PhysicalAddress, virtAddr: UInt64, reason: Reason) {
            self.entryAddress = entryAddress
            self.virtAddr = virtAddr
            self.reason = reason
        }
    }

    /// What can be wrong with an entry.
    public enum Reason: Equatable, Sendable {
        /// The entry itself cannot be read: its table lies outside memory.
        case unreadable
        /// It leads to a table of another size than the kernel uses there (NLS); the word is the entry's.
        case tableSize(word: UInt64)
        /// It leads to a table that is not aligned to its size; the word is the entry's.
        case tableAlignment(word: UInt64)
        /// It maps memory where only a table can follow, in the root; the word is the entry's.
        case leafInRoot(word: UInt64)
        /// It leads to a table where no table can follow; the word is the entry's.
        case tableBelowLastLevel(word: UInt64)
        /// It is not valid, and not clear either, which the kernel takes for an entry (`pmd_none`, `pte_none`); the word is the
        /// entry's.
        case notValid(word: UInt64)
        /// It maps memory otherwise than the kernel does its own data (`PAGE_KERNEL`): read-only, for a user, uncached, or to be
        /// executed; the word is the entry's.
        case attributes(word: UInt64)
    }

    /// What is mapped, ascending by virtual address.
    public var leaves: [Leaf] = []
    /// What is wrong with the tables, ascending by virtual address.
    public var faults: [Fault] = []
    /// Whether the walk ended because it had found as many as it was to find at most, or gone through as many tables.
    public var hasReachedLimit = false
    /// The tables below the root, each as often as an entry leads to it, ascending by what they are for.
    public var tables: [Table] = []

    /// The most tables that are gone through: as many as map the memory map of 2 TiB in base pages of 4 KiB, and entries may lead
    /// to one again and again.
    private static let tableLimit = 1 << 14

    /// The effective addresses that the root can map for the kernel: quadrant 3, 52 bits of it.
    public static let mappableRange: Range<UInt64> = 0xc000_0000_0000_0000..<0xc010_0000_0000_0000

    /// The bytes of the root, which are its alignment as well: 8192 entries (`RADIX_PGD_INDEX_SIZE`).
    public static let rootByteCount: UInt64 = 1 << 16

    /// Walks the tables.
    ///
    /// - Parameters:
    ///   - root: where the root table stands, as `swapper_pg_dir` says.
    ///   - range: the effective addresses to look at. Outside ``mappableRange`` nothing is ever mapped.
    ///   - pageByteCount: the kernel's page size, 4096 or 65536.
    ///   - limit: the most leaves, and the most faults: entries may lead to one table again and again.
    ///   - memory: the guest's physical memory.
    @inlinable public init(
        root: PhysicalAddress, range: Range<UInt64>, pageByteCount: UInt64, limit: Int = .max,
        in memory: borrowing some PhysicalMemory
    ) {
        let levels = Self.levels(pageByteCount: pageByteCount)
        // Room for what most tables have: an array that grows copies all that it has. What is not used is not touched.
        leaves.reserveCapacity(min(limit, 1 << 13))
        walk(table: root, level: 0, of: levels, range: range.clamped(to: Self.mappableRange), limit: limit, in: memory)
    }

    /// The four levels, from the root down; the page size is 4096 or 65536.
    @inlinable public static func levels(pageByteCount: UInt64) -> [4 of Level] {
        pageByteCount == 4096
            ? [.init(39, 13), .init(30, 9), .init(21, 9), .init(12, 9)]
            : [.init(39, 13), .init(30, 9), .init(21, 9), .init(16, 5)]
    }

    /// A level's size.
    public struct Level: Sendable {
        /// log2 of the bytes that an entry is for.
        public let shift: UInt64
        /// log2 of the number of entries.
        public let indexSize: UInt64

        @inlinable init(_ shift: UInt64, _ indexSize: UInt64) {
            self.shift = shift
            self.indexSize = indexSize
        }
    }

    @inlinable mutating func walk(
        table: PhysicalAddress, level: Int, of levels: [4 of Level], range: Range<UInt64>, limit: Int,
        in memory: borrowing some PhysicalMemory
    ) {
        guard let place = enter(table, level, range.lowerBound, byteCount: 8 &<< levels[level].indexSize) else {
            return
        }
        var isEmpty = true
        defer { if level > 0 { tables[place].isEmpty = isEmpty } }
        let current = levels[level]
        let byteCount: UInt64 = 1 &<< current.shift
        var virtAddr = range.lowerBound.alignedDown(to: byteCount)
        // The entries that a range is for stand in a row: it is no larger than what the table is for.
        let index = virtAddr &>> current.shift & (1 &<< current.indexSize &- 1)
        var address = table.rawValue &+ index &* 8
        while virtAddr < range.upperBound {
            guard leaves.count < limit, faults.count < limit else {
                hasReachedLimit = true
                return
            }
            if level > 0, (range.upperBound &- virtAddr) &>> current.shift >= LeafRow.length,
                limit &- leaves.count >= Int(LeafRow.length),
                let row = LeafRow(at: PhysicalAddress(address), virtAddr, byteCount: byteCount, in: memory)
            {
                leaves.append(contentsOf: row)
                isEmpty = false
                virtAddr &+= LeafRow.length &* byteCount
                address &+= LeafRow.length &* 8
                continue
            }
            let entryAddress = PhysicalAddress(address)
            func fault(_ reason: Reason) {
                note(Fault(entryAddress: entryAddress, virtAddr: virtAddr, reason: reason))
            }
            let entry = Entry(at: entryAddress, in: memory)
            if case .empty = entry {} else { isEmpty = false }
            switch entry {
            case .unreadable:
                // The rest of the table is the same table: one fault tells it.
                fault(.unreadable)
                return
            case .empty:
                break
            case .notValid(let word):
                fault(.notValid(word: word))
            case .leaf(let word, let phys):
                if level == 0 {
                    fault(.leafInRoot(word: word))
                } else {
                    leaves.append(
                        Leaf(entryAddress: entryAddress, virtAddr: virtAddr, phys: phys, byteCount: byteCount))
                    if !Entry.isKernelData(word) { fault(.attributes(word: word)) }
                }
            case .table(let word, let next, let indexSize):
                if level == 3 {
                    fault(.tableBelowLastLevel(word: word))
                } else if indexSize != levels[level + 1].indexSize {
                    fault(.tableSize(word: word))
                } else if next.rawValue % (8 << indexSize) != 0 {
                    fault(.tableAlignment(word: word))
                } else {
                    walk(
                        table: next, level: level + 1, of: levels,
                        range: range.clamped(to: virtAddr..<virtAddr + byteCount), limit: limit, in: memory)
                }
            }
            // The range ends far below the end of all addresses.
            virtAddr &+= byteCount
            address &+= 8
        }
    }

    /// Notes a table below the root, and returns where; nil where there were too many before it.
    @usableFromInline mutating func enter(
        _ table: PhysicalAddress, _ level: Int, _ virtAddr: UInt64, byteCount: UInt64
    ) -> Int? {
        guard level > 0 else { return 0 }
        guard tables.count < Self.tableLimit else {
            hasReachedLimit = true
            return nil
        }
        tables.append(Table(base: table, level: level, virtAddr: virtAddr, byteCount: byteCount, isEmpty: true))
        return tables.count - 1
    }

    // Apart, since good tables have none.
    @inline(never) @usableFromInline mutating func note(_ fault: Fault) { faults.append(fault) }

    /// One entry's meaning.
    @usableFromInline enum Entry {
        case unreadable
        /// Clear: nothing is mapped.
        case empty
        /// Nothing is mapped, and something stands there.
        case notValid(word: UInt64)
        /// A page table entry, with its real page number.
        case leaf(word: UInt64, phys: UInt64)
        /// A page directory entry, with next level base and size.
        case table(word: UInt64, base: PhysicalAddress, indexSize: UInt64)

        /// Whether a leaf's access is the kernel's, to read and write, and its memory ordinary: EAA is bits 60 to 63 (privileged,
        /// read, write, execute), Att 58 and 59.
        @inlinable static func isKernelData(_ word: UInt64) -> Bool { word & 0x3f == 0xe }

        /// Whether a word is a leaf of the kernel's data: V, L, and the access.
        @inlinable static func isKernelLeaf(_ word: UInt64) -> Bool {
            word & 0xc000_0000_0000_003f == 0xc000_0000_0000_000e
        }

        /// A leaf's RPN, in bytes.
        @inlinable static func phys(_ word: UInt64) -> UInt64 { word & 0x01ff_ffff_ffff_f000 }

        @inlinable @inline(__always) init(at address: PhysicalAddress, in memory: borrowing some PhysicalMemory) {
            let word: UInt64
            if let words: [1 of UInt64] = memory.storedWords(at: address) {
                word = ByteOrder.big.value(ofStored: words[0])
            } else if let stored = try? memory.storedWord(at: address) {
                word = ByteOrder.big.value(ofStored: stored)
            } else {
                self = .unreadable
                return
            }
            // Bit 0 of the word is V, bit 1 L; RPN is bits 7 to 51, NLB 4 to 55, NLS 59 to 63.
            if word & 0x8000_0000_0000_0000 == 0 {
                self = word == 0 ? .empty : .notValid(word: word)
            } else if word & 0x4000_0000_0000_0000 != 0 {
                self = .leaf(word: word, phys: Self.phys(word))
            } else {
                self = .table(
                    word: word, base: PhysicalAddress(word & 0x0fff_ffff_ffff_ff00), indexSize: word & 0x1f)
            }
        }
    }
}
