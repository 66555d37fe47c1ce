// SPDX-License-Identifier: Apache-2.0

import Verification

extension FindingText {
    /// The MMU.
    static let mmus: [FindingText] = [
        FindingText(
            [.mmu], .contradiction, "it translates a window to another block",
            compared: "Every 4 KiB of each block, against where the MMU leads.",
            causes: [
                "something that wrote over the account",
                "the kernel: account and mapping were made by two populates",
            ],
            kernel: [KernelPlace.populate, KernelPlace.hashMapping, KernelPlace.radixPopulate],
            example: "virt 0xc00c000000100000 has phys 0x4e00000 on the kernel's list, and the MMU translates it to "
                + "0x4e10000"),
        FindingText(
            [.mmu], .unmapped, "it does not translate a window",
            compared: "Every 4 KiB of each block, against what the MMU translates. On hash it counts only where "
                + "another address of the same segment is translated, since the SLB may have lost it.",
            dump: "A tool reads the block by the account. The running kernel faults on these struct pages.",
            causes: [
                "the kernel: a mapping that failed, with its entry still on the list",
                "a bolted HPTE that a resize has lost",
            ],
            kernel: [KernelPlace.populate, KernelPlace.hashMapping, KernelPlace.resize],
            example: "virt 0xc00c000000100000 has phys 0x4e00000 on the kernel's list, and the MMU does not translate "
                + "it"),
        FindingText(
            [.mmu], .staleEntry, "it still translates a window that is gone",
            compared: "The windows that were in the account at the verification before and are not any more, against "
                + "what gva2gpa answers.",
            dump: "None. The kernel can write into memory that belongs to somebody else by now.",
            causes: [
                "the kernel: a free that found no entry of the list leaves the mapping as well, without a word",
                "the kernel or QEMU: a TLB entry that was not flushed",
            ],
            kernel: [KernelPlace.free, KernelPlace.hashMapping, KernelPlace.radixFree],
            example: "virt 0xc00c000000100000 is not on the kernel's list any more, and the MMU still translates it to "
                + "0x4e00000"),
    ]

    /// What the guest's history leads to.
    static let models: [FindingText] = [
        FindingText(
            [.model], .missingEntry, "an entry that nothing in the history makes",
            compared: "Each entry of the kernel's account, against the prediction.",
            dump: "An entry for no memory: see the account's stale-entry. On radix it may be a block of another size "
                + "than predicted, which a dump does not suffer from.",
            causes: [
                "the kernel: an entry that it should have freed",
                "the kernel: a plug that failed, of which sections stayed",
                "this program: a rule that it lacks",
            ],
            kernel: [KernelPlace.free, KernelPlace.radixPopulate, KernelPlace.radixFree],
            example: "virt 0xc00c000000100000 → phys 0x4e00000 is on the kernel's list, and nothing in the guest's "
                + "history puts it there"),
        FindingText(
            [.model], .extraEntry, "an entry that the history makes is not there",
            compared: "The prediction, entry by entry, against the kernel's account.",
            dump: "Struct pages that cannot be translated: see the account's coverage-hole.",
            causes: [
                "the kernel: an entry that it freed, or never made", "something that wrote over the account",
                "this program: a rule that it lacks",
            ],
            kernel: [KernelPlace.populate, KernelPlace.free, KernelPlace.radixPopulate],
            example: "virt 0xc00c000000100000 belongs on the kernel's list by the guest's history, and is not there"),
        FindingText(
            [.model], .otherNode, "an entry in another node than it should be",
            compared: "Each node's offset in its page, and which entries share a page, against the allocator's rules: "
                + "freed nodes first, last freed first, then the next of the page.",
            causes: ["the kernel: another order of frees, or another allocator", "something that wrote over the list"],
            kernel: [KernelPlace.list],
            example: "virt 0xc00c000000100000 is in node 0xc00000003ff00030, and its history puts it at offset 0x48"),
        FindingText(
            [.model], .order, "the right entries in another order",
            compared: "The order of the list, against the prediction: the newest entry is the head.",
            dump: "None, where each window has one entry.",
            causes: ["the kernel: another order of populates", "something that changed two links"],
            kernel: [KernelPlace.list],
            example: "the kernel's list has virt 0xc00c000000100000 as its number 3, and its history puts virt "
                + "0xc00c000000110000 there"),
        FindingText(
            [.model], .otherRule, "page tables of another kernel's rule",
            compared: "Where the populates of a radix kernel begin (as called, at a page, at a PMD entry), against "
                + "what earlier verifications of the same kernel have ruled out.",
            causes: ["something that wrote over the page tables", "this program: a fourth rule"],
            kernel: [KernelPlace.radixPopulate],
            next: "radixStarts in the snapshots of the run, one after another.",
            example: "the kernel's page tables are those of a kernel whose memory map begins as-given, and an earlier "
                + "verification has shown that it begins block-aligned"),
        FindingText(
            [.model], .history, "a history that no kernel can have",
            compared: "The changes that the guest's events tell of, one against the next: nothing comes twice, or goes "
                + "that was not there.",
            causes: ["the agent: an event that it read wrongly", "the kernel: a message that is not true"],
            kernel: [KernelPlace.dlpar],
            next: "events.jsonl: guest.lmb-added, guest.lmb-removed, guest.hotplug-failed.",
            example: "the guest's own events tell of a history that no kernel can have: memory from 0x40000000 to "
                + "0x50000000 was added, and was there already"),
    ]

    /// The `struct page`s of online memory.
    static let structPages: [FindingText] = [
        FindingText(
            [.structPages], .notInitialised, "struct pages that nobody has made",
            compared: "Each struct page of online memory, against the poison pattern and against all zeros.",
            dump: "makedumpfile takes such a page for whatever its flags happen to say.",
            causes: [
                "the kernel: memory that went online with struct pages that were populated and not initialised",
                "the kernel: an account that leads to another, fresh block; then mmu-contradiction stands beside it",
            ],
            kernel: [KernelPlace.initPages],
            example: "4096 of the 65536 struct pages are poisoned, though their memory is online: the first is page "
                + "frame 16384's at phys 0x4e00000, with 0xffffffffffffffff"),
        FindingText(
            [.structPages], .otherNUMANode, "struct pages of another NUMA node",
            compared: "The node in each struct page's flags, against the one to which the machine gives the memory.",
            dump: "None: tools read the page. Statistics by node are wrong.",
            causes: [
                "the kernel: the LMB's associativity was read wrongly",
                "the machine: the DIMM's node is not what was asked",
            ],
            kernel: [KernelPlace.initPages, KernelPlace.dlpar],
            next: "domain.xml: the node of the DIMM.",
            example: "4096 of the 65536 struct pages are of another NUMA node than their memory: the first is page "
                + "frame 16384's at phys 0x4e00000, with 0x3ffff000000000"),
        FindingText(
            [.structPages], .impossibleCount, "a _refcount that no page has",
            compared: "_refcount of each struct page, against numbers below zero or above 2^28.",
            causes: ["the kernel: a page that was put too often", "something that wrote over the struct page"],
            kernel: [KernelPlace.initPages],
            example: "1 of the 65536 struct pages have a _refcount that none can have: the first is page frame 16384's "
                + "at phys 0x4e00000, with 0xffffffff"),
        FindingText(
            [.structPages], .otherPage, "struct pages in the place of others",
            compared: "The list links in each struct page: an initialised page on no list has its own address in lru, "
                + "a free one stands where its neighbours on the allocator's list have it.",
            dump: "The block behind the window is another one's: a tool shows struct pages of the wrong page frames.",
            causes: [
                "the account leads to a wrong block: then mmu-contradiction, hpt-wrong-phys or overlap stands beside "
                    + "it",
                "the kernel: a free list that is damaged",
            ],
            kernel: [KernelPlace.populate, KernelPlace.radixPopulate],
            example: "1024 of the 65536 struct pages have the links of another page: the first is page frame 16384's "
                + "at phys 0x4e00000, with 0xc00c000000110008"),
    ]

    /// Sections, memory blocks and the machine's memory.
    static let sections: [FindingText] = [
        FindingText(
            [.sections], .baseDiffers, "sections encode different memory maps",
            compared: "section_mem_map of each section, decoded with its number, against the first one's.",
            dump: "A tool that adds up section_mem_map looks for these struct pages where none are.",
            causes: [
                "something that wrote over mem_section", "the kernel: a section initialised with another pointer",
            ],
            kernel: [KernelPlace.initSection],
            example: "section 64 encodes the memory map at 0xc00c000000010000, the first section at "
                + "0xc00c000000000000"),
        FindingText(
            [.sections], .sectionWithoutMemory, "a section where the guest has no memory",
            compared: "Each present section, against the machine's memory that the guest has taken, up to the section "
                + "table's end.",
            dump: "A tool looks for memory that the dump lacks, and for its struct pages.",
            causes: [
                "the kernel: of a plug that fails inside an LMB the first sections stay, since __add_pages undoes the "
                    + "section that failed and none before it (seen on 6.1, 6.12, 7.2 and 7.3; plan 'half-added-block')",
                "the kernel: an unplug that left a section",
                "the machine: memory that libvirt does not tell of",
            ],
            kernel: [KernelPlace.addPages, KernelPlace.sections],
            next: "guest.mapping-failed and guest.hotplug-failed in events.jsonl.",
            example: "section 64 is present at 0x40000000, where the guest has taken no memory"),
        FindingText(
            [.sections], .memoryWithoutSection, "memory that has no section",
            compared: "The machine's memory that the guest has taken, against the present sections.",
            dump: "The memory has no struct pages: makedumpfile may leave it out, crash cannot show its pages.",
            causes: [
                "the kernel: an LMB that is told to be hot-added and is not",
                "this program: an LMB that went unheard",
            ],
            kernel: [KernelPlace.addPages, KernelPlace.sections, KernelPlace.dlpar],
            example: "16 of the 64 sections of ua-dimm1 at 0x40000000 are not present, the first at 0x70000000"),
        FindingText(
            [.sections], .blockDiffers, "sections and memory blocks do not agree",
            compared: "The sections of each block, and whether they are online, against /sys/devices/system/memory in "
                + "the guest.",
            dump: "A tool goes by the sections: what is online for it and not for the kernel may have struct pages in "
                + "any state.",
            causes: [
                "the kernel: a plug that failed inside an LMB; then sections-section-without-memory stands beside it",
                "the kernel: a block that went half online or offline",
                "the report area was written over",
            ],
            kernel: [KernelPlace.addPages, "mm/sparse.c: online_mem_sections, offline_mem_sections"],
            example: "memory block 4 exists, and 12 of its 16 sections are present"),
        FindingText(
            [.sections], .sectionFlags, "flags that a section cannot have",
            compared: "The flags in section_mem_map: a present section has a memory map, and is early exactly where "
                + "its memory was there at boot and never went.",
            dump: "None by itself. The next remove goes by these flags: an early section's memory map is freed in "
                + "another way.",
            causes: [
                "the kernel: an early section that went and came again, and is early still",
                "something that wrote over mem_section",
            ],
            kernel: [KernelPlace.initSection, KernelPlace.sections],
            example: "section 64 is present with flags 0x5: it has no memory map"),
        FindingText(
            [.sections], .subsections, "a section that lacks a part of its memory",
            compared: "subsection_map of each present section. Boot memory and LMBs are whole sections.",
            dump: "None: tools do not read it. The kernel has no valid pages there (pfn_valid), and may free a block "
                + "that is in use.",
            causes: [
                "the kernel: an add or remove that undid itself in part",
                "something that wrote over the section's usage",
            ],
            kernel: ["mm/sparse.c: fill_subsection_map, clear_subsection_map", KernelPlace.populate],
            example: "section 64 is present with the sub-sections 0xfe of 0xff"),
    ]
}
