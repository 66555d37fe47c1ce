// SPDX-License-Identifier: Apache-2.0

import Verification

extension FindingText {
    /// A radix kernel's page tables.
    static let pageTables: [FindingText] = [
        FindingText(
            [.pageTables], .tooLong, "more tables or leaves than memory needs",
            compared: "The tables and leaves that the walk came to, against what the machine's maximum memory needs. "
                + "It stops there, so what is told of the rest may be a consequence.",
            causes: [
                "entries of the upper levels that lead to the same tables again",
                "something that wrote over a table",
            ],
            kernel: [KernelPlace.radixPopulate],
            example: "there are more page tables over the memory map, or leaves, than any memory needs: the walk ended "
                + "with 4096 leaves"),
        FindingText(
            [.pageTables], .attributes, "memory that is not mapped as kernel data",
            compared: "The attributes of each leaf, against those of the kernel's own data: privileged, read and "
                + "write, not executed, cached.",
            dump: "None: tools ignore these bits. The running kernel is open to a user's access, or faults on its "
                + "struct pages.",
            causes: ["the kernel: a wrong pgprot", "something that wrote over the entry"],
            kernel: [KernelPlace.radixPopulate],
            example: "the page table entry at 0x1f3a0008 for virt 0xc00c000000200000 does not map memory for the "
                + "kernel alone, to be read and written through the cache (it is 0xc00000000e00018f)"),
        FindingText(
            [.pageTables], .outsideMemory, "a page table outside present memory",
            compared: "The place of each table, against the present sections.",
            dump: "No dump has the table: what is behind it cannot be translated.",
            causes: ["the kernel: a table in memory that was unplugged", "something that wrote over the entry above"],
            kernel: [KernelPlace.radixFree],
            example: "the page table at 0x140000000 for virt 0xc00c000000200000 stands outside present memory"),
        FindingText(
            [.pageTables], .placeInBlock, "a page table in the memory of a block",
            compared: "The place of each table, against all blocks.",
            dump: "Readable today. The next struct page that is written there destroys the table.",
            causes: ["the kernel: a page that was given out twice", "something that wrote over the entry above"],
            kernel: [KernelPlace.radixPopulate, KernelPlace.radixFree],
            example: "the page table at 0x4e00000 for virt 0xc00c000000200000 stands in the block of virt "
                + "0xc00c000000000000 (phys 0x4e00000)"),
        FindingText(
            [.pageTables], .linkOutsideMemory, "an entry stands where no memory is",
            compared: "Each directory entry, against the memory that the guest has: the table that it leads to is not "
                + "there.",
            dump: "makedumpfile: 'Can't read page table'. Nothing behind that entry can be translated.",
            causes: ["something that wrote over the entry above", "the kernel: a table in memory that was unplugged"],
            kernel: [KernelPlace.radixFree],
            example: "the page table entry at 0x140000008 for virt 0xc00c000000200000 stands where no memory is"),
        FindingText(
            [.pageTables], .virtualOutsideVmemmap, "a leaf below the memory map",
            compared: "The virt of each leaf that the walk found, against the memory map's base, which mem_section "
                + "encodes.",
            causes: ["the kernel: sections that encode another base", "this program: the base that it walks from"],
            kernel: [KernelPlace.initSection],
            example: "virt 0xc00bffffffe00000 in the page table entry at 0x1f3a0008 lies outside the memory map, which "
                + "starts at 0xc00c000000000000"),
        FindingText(
            [.pageTables], .misalignedPhysical, "a block that is not aligned to its size",
            compared: "The phys of each leaf, against its size.",
            dump: "A tool may read other bytes than the CPU.",
            causes: [
                "something that wrote over the entry", "the kernel: a block of an allocation that is not aligned",
            ],
            kernel: [KernelPlace.radixPopulate],
            example: "phys 0xe010000 of virt 0xc00c000000200000 in the page table entry at 0x1f3a0008 is no multiple "
                + "of 0x200000"),
        FindingText(
            [.pageTables], .physicalOutsideMemory, "a block outside present memory",
            compared: "Each block, whole, against the present sections.",
            dump: "No dump has that memory: a tool cannot read the struct pages of the window.",
            causes: [
                "the kernel: memory went in which a block lies that describes other memory",
                "something that wrote over the entry",
            ],
            kernel: [KernelPlace.radixFree, KernelPlace.altmaps],
            example: "phys 0x140000000 of virt 0xc00c000000200000 in the page table entry at 0x1f3a0008 lies outside "
                + "present memory"),
        FindingText(
            [.pageTables], .hole, "struct pages that no leaf backs",
            compared: "The base pages of each present section's struct pages, against all leaves.",
            dump: "These struct pages cannot be translated: makedumpfile says 'Page not present!', drgn faults.",
            causes: [
                "the kernel: a free that took a block which other memory still needs",
                "the kernel: a populate that failed, and a section that stayed present",
                "a table above is damaged; then page-tables-… says where",
            ],
            kernel: [KernelPlace.radixPopulate, KernelPlace.radixFree, KernelPlace.sections],
            example: "section 64 (memory at 0x40000000) has no block behind its struct pages at virt "
                + "0xc00c000000100000"),
        FindingText(
            [.pageTables], .overlap, "two blocks share memory",
            compared: "Each block, against the next one by its address.",
            dump: "Two windows show the same bytes: one of them are struct pages of other page frames.",
            causes: [
                "the kernel: a block that was freed and is still mapped, while its memory was given out again",
                "something that wrote over an entry",
            ],
            kernel: [KernelPlace.radixFree],
            next: "Device DAX maps tail pages twice on purpose (vmemmap deduplication); no DIMM does.",
            example: "the blocks of virt 0xc00c000000000000 (phys 0xe000000, 2097152 bytes) and virt "
                + "0xc00c000000200000 (phys 0xe000000) share memory"),
        FindingText(
            [.pageTables], .staleEntry, "a leaf that describes no memory",
            compared: "The memory that each leaf describes, against the present sections, up to where memory could "
                + "ever be.",
            dump: "Nobody asks for it. Its block is memory that was given back, or is lost.",
            causes: [
                "the kernel: memory went and its leaf stayed",
                "the kernel: a plug that failed, and a populate that was not undone",
                "something that wrote over the entry",
            ],
            kernel: [KernelPlace.radixFree, KernelPlace.sections],
            example: "virt 0xc00c000000200000 in the page table entry at 0x1f3a0008 describes 0x80000000 to "
                + "0x100000000, where no section is present"),
        FindingText(
            [.pageTables], .leakedEntry, "base pages for memory that never came",
            compared: "Leaves that describe no present section, against the kernel's rule for where a populate begins: "
                + "one that goes down to the PMD entry's start, and has no 2 MiB block, takes base pages from there "
                + "on.",
            dump: "None: nobody asks for struct pages of that memory. The pages are lost until something is plugged "
                + "there.",
            causes: [
                "the kernel, since 6.17, when vmemmap_alloc_block_buf has no 2 MiB: vmemmap_free of the memory does "
                    + "not take back what lies before it"
            ],
            kernel: [KernelPlace.radixPopulate, KernelPlace.radixFree],
            next: "radixStarts in the verdict; guest.populate of the memory right behind.",
            example: "virt 0xc00c000000200000 in the page table entry at 0x1f3a0008 describes 0x80000000 to "
                + "0x84000000, where no section is present: the kernel had no block for memory behind it, and began "
                + "before it"),
        FindingText(
            [.pageTables], .otherAltmap, "a block in the altmap of other memory",
            compared: "Each block that lies in memory which brought its own memory map (memmap_on_memory), against the "
                + "memory that it describes.",
            dump: "Readable today. When the memory with the altmap goes, the other memory's struct pages go with it.",
            causes: [
                "the kernel, 6.6 until 9cf7e13fecba (2025): a start that was not aligned to a page made two pieces of "
                    + "memory share an altmap page"
            ],
            kernel: [KernelPlace.radixPopulate, KernelPlace.altmaps],
            next: "history.steps with hasAltmap in the snapshot; report.blockByteCount.",
            example: "the block of virt 0xc00c000000100000 (phys 0x40010000) is in the altmap of memory at 0x40000000, "
                + "and describes memory at 0x50000000"),
        FindingText(
            [.pageTables], .notValid, "an entry that is neither valid nor clear",
            compared: "The valid bit of each entry on the way, against its other bits. The kernel writes an entry "
                + "whole and clears it whole.",
            dump: "None where the window is gone; else as for page-tables-coverage-hole.",
            causes: ["something that wrote over the entry", "the kernel: an entry that was cleared in part"],
            kernel: [KernelPlace.radixFree],
            example: "the page table entry at 0x1f3a0008 for virt 0xc00c000000200000 maps nothing, and is not clear "
                + "(it is 0x18f)"),
        FindingText(
            [.pageTables], .tableSize, "a table of a size that none has there",
            compared: "The size field of each directory entry, against the level's.",
            dump: "makedumpfile masks the field away. The CPU does not, and the walk here ends.",
            causes: ["something that wrote over the entry"],
            kernel: [KernelPlace.radixPopulate],
            example: "the page table entry at 0x1f3a0008 for virt 0xc00c000000200000 leads to a table of a size that "
                + "none has there (it is 0x800000001f39000d)"),
        FindingText(
            [.pageTables], .misalignedTable, "a table that is not aligned to its size",
            compared: "The address in each directory entry, against the table's size.",
            dump: "A tool reads entries at a wrong offset, or masks the bits away.",
            causes: ["something that wrote over the entry"],
            kernel: [KernelPlace.radixPopulate],
            example: "the page table entry at 0x1f3a0008 for virt 0xc00c000000200000 leads to a table that is not "
                + "aligned (it is 0x800000001f390109)"),
        FindingText(
            [.pageTables], .wrongLevel, "an entry that has no place at its level",
            compared: "Each leaf and directory entry, against its level: the memory map has base pages and 2 MiB, "
                + "never 1 GiB.",
            causes: ["something that wrote over the entry", "the kernel: a way of mapping the memory map that is new"],
            kernel: [KernelPlace.radixPopulate],
            example: "the page table entry at 0x1f3a0008 for virt 0xc00c000000000000 is of a kind that has no place at "
                + "its level (it is 0xc00000000000018f)"),
        FindingText(
            [.pageTables], .missingEntry, "on the list, and not mapped",
            compared: "Each entry of the list (radix before 6.6), whole, against the leaves.",
            dump: "crash and makedumpfile go by the list and read the block; the kernel cannot reach these struct "
                + "pages.",
            causes: [
                "the kernel: a mapping that failed leaves its entry on the list until the caller undoes it ('Unable to "
                    + "create vmemmap mapping')",
                "something that wrote over a table",
            ],
            kernel: [KernelPlace.populate, KernelPlace.free],
            example: "virt 0xc00c000000200000 → phys 0xe000000 is on the kernel's list, and its page tables do not map "
                + "all of it"),
        FindingText(
            [.pageTables], .extraEntry, "mapped, and not on the list",
            compared: "Each leaf, against the entries of the list (radix before 6.6).",
            dump: "crash and makedumpfile go by the list: they do not find these struct pages, and drgn does.",
            causes: [
                "the kernel: a free that found no entry leaves the mapping as well, without a word",
                "something that wrote over the list",
            ],
            kernel: [KernelPlace.free],
            example: "virt 0xc00c000000200000 → phys 0xe000000 (2097152 bytes) is in the kernel's page tables and not "
                + "on its list"),
        FindingText(
            [.pageTables], .wrongPhysical, "mapped to another block than the list has",
            compared: "The phys of each leaf, against the entry of the list that it lies in (radix before 6.6).",
            dump: "crash and makedumpfile read the list's block, the kernel and drgn the other one.",
            causes: [
                "something that wrote over the entry or the node",
                "the kernel: entry and mapping of two populates",
            ],
            kernel: [KernelPlace.populate],
            example: "virt 0xc00c000000200000 has phys 0xe000000 on the kernel's list, and its page tables map virt "
                + "0xc00c000000200000 to 0xe200000"),
    ]

    /// A hash kernel's hashed page table.
    static let hashTables: [FindingText] = [
        FindingText(
            [.hashTable], .duplicateVirtual, "two HPTEs for one page",
            compared: "The HPTEs of each window of the list. There is one.",
            causes: ["the kernel: a window bolted again though its HPTE was there", "a resize that copied one twice"],
            kernel: [KernelPlace.bolt, KernelPlace.resize],
            example: "virt 0xc00c000000100000 is mapped by 2 HPTEs: 4242 (0x8000000000000001 0x4e00194), 4243 "
                + "(0x8000000000000001 0x4e10194)"),
        FindingText(
            [.hashTable], .misplacedEntry, "an HPTE where no processor looks for it",
            compared: "Each HPTE's group, against the hash of its virtual page number, primary or secondary.",
            causes: ["QEMU or the kernel: a resize that put it into a wrong group", "a bit that changed"],
            kernel: [KernelPlace.resize],
            example: "HPTE 4242 (0x8000000000000011 0x4e00194) of the memory map stands where no processor looks for "
                + "it"),
        FindingText(
            [.hashTable], .attributes, "not a bolted one of the kernel's own data",
            compared: "The bits of each HPTE, against those of a bolted mapping with PAGE_KERNEL: writable, cached, "
                + "not executable, not a user's.",
            causes: ["the kernel: another pgprot", "a bit that changed: an HPTE that is not bolted may be evicted"],
            kernel: [KernelPlace.hashMapping, KernelPlace.bolt],
            example: "HPTE 4242 (0x8000000000000001 0x4e00194) of virt 0xc00c000000100000 is not a bolted one for the "
                + "kernel's own data, writable and cached"),
        FindingText(
            [.hashTable], .staleEntry, "mapped, and not on the list",
            compared: "Each HPTE of the memory map's segments, against the list.",
            dump: "The list has no entry: crash and makedumpfile find no struct pages there, and need none where the "
                + "memory is gone.",
            causes: [
                "the kernel: a free that found no entry of the list leaves the mapping as well, without a word",
                "the kernel: a resize that brought a removed mapping back",
                "something that took the entry off the list; then list-coverage-hole stands beside it",
            ],
            kernel: [KernelPlace.free, KernelPlace.hashMapping, KernelPlace.resize],
            example: "virt 0xc00c000000100000 is not on the list, and HPTE 4242 (0x8000000000000011 0x4e00194) maps it "
                + "to 0x4e00000"),
        FindingText(
            [.hashTable], .missingEntry, "on the list, and not mapped",
            compared: "Each entry of the list, against the HPTEs of the memory map's segments.",
            dump: "crash and makedumpfile go by the list and read the block. The running kernel faults on these struct "
                + "pages.",
            causes: [
                "the kernel: a mapping that failed leaves its entry on the list until the caller undoes it ('Unable to "
                    + "create vmemmap mapping')",
                "a resize that lost a bolted entry",
            ],
            kernel: [KernelPlace.populate, KernelPlace.hashMapping, KernelPlace.resize],
            example: "virt 0xc00c000000100000 has phys 0x4e00000 on the list, and no HPTE maps it"),
        FindingText(
            [.hashTable], .wrongPhysical, "mapped to another page than the list has",
            compared: "The page of each HPTE, against the entry of the list.",
            dump: "crash and makedumpfile read the list's block; the kernel wrote into the other one.",
            causes: ["something that wrote over the node", "the kernel: entry and mapping of two populates"],
            kernel: [KernelPlace.populate, KernelPlace.hashMapping],
            example: "virt 0xc00c000000100000 has phys 0x4e00000 on the list, and HPTE 4242 (0x8000000000000011 "
                + "0x4e10194) maps it to 0x4e10000"),
        FindingText(
            [.hashTable], .wrongSize, "a page of another size",
            compared: "The page size that an HPTE encodes, against mmu_vmemmap_psize.",
            causes: ["the kernel: mmu_vmemmap_psize is not the size that was mapped", "a bit that changed"],
            kernel: ["arch/powerpc/mm/book3s64/hash_utils.c: htab_init_page_sizes", KernelPlace.hashMapping],
            example: "HPTE 4242 (0x8000000000000011 0x4e00194) of virt 0xc00c000000100000 maps no page of 65536 bytes"),
    ]
}
