// SPDX-License-Identifier: Apache-2.0

import Verification

extension FindingText {
    /// Other readings of the kernel's account: the mirror's, the report's, the dump's. What their causes are depends on who
    /// else says the same, which is their subjects' text.
    static let otherReadings: [FindingText] = [
        FindingText(
            [.mirror, .report, .vmcore], .cycle, "a link leads back into the list",
            compared: "Each link, against the nodes that the walk has passed.",
            example: "the link of node {node}30, number 3, leads back to node {node}60"),
        FindingText(
            [.mirror, .report], .linkOutsideMemory, "a link leads to where no memory is",
            compared: "Each link, against the memory that can be read there; of the mirror the shared region.",
            example: "the link of node {node}30, number 3, leads to 0x4242424242424242, where no memory is"),
        FindingText(
            [.mirror, .report, .vmcore], .misplacedNode, "a link leads to where no node can stand",
            compared: "Each link, against where nodes stand: at multiples of 24 bytes into a page; of the mirror in "
                + "the node pages of the region's layout.",
            example: "the head leads to {node}0c, which is no multiple of 24 bytes into a page of 65536 bytes"),
        FindingText(
            [.mirror, .report, .vmcore], .brokenChain, "a walk of it that contradicts itself",
            compared: "Head, nodes, links and end as they were told, one against the next.",
            causes: ["the agent, or the area of the shared region was written over", "the record was edited"],
            example: "the head leads to {node}18, and number 1 is node {node}00"),
        FindingText(
            [.mirror, .report, .vmcore], .tooLong, "more nodes than memory can need",
            compared: "The number of nodes, against what memory, or the region, can hold.",
            example: "the list has more than 2049 nodes, which memory cannot need"),
        FindingText(
            [.mirror, .report, .vmcore], .duplicateVirtual, "two entries for one window",
            compared: "Each entry's virt, against those of all others.",
            example: "virt 0xc00c000000100000 is in node {node}30 (phys 0x4e00000) and in node {node}18 (phys "
                + "0x4e10000)"),
        FindingText(
            [.report, .vmcore], .truncated, "the report area has no room for all",
            compared: "The entries that were found, against the report area's size, which is made for the maximum "
                + "memory.",
            dump: "None: the account may be right, and the rest of it was not compared.",
            causes: ["the kernel: more entries than memory needs", "this program: the region was made too small"],
            example: "the {subject} holds no more than 4096 entries"),
        FindingText(
            [.report, .vmcore], .attributes, "memory that is not mapped as kernel data",
            compared: "The page table entry's attributes, against those of the kernel's own data: privileged, read and "
                + "write, not executed, cached.",
            example: "the page table entry at 0x1f3a0008 for virt 0xc00c000000200000 does not map memory for the "
                + "kernel alone, to be read and written through the cache (it is 0xc00000000e00018f)"),
        FindingText(
            [.report, .vmcore], .notValid, "an entry that is neither valid nor clear",
            compared: "The page table entry's valid bit, against its other bits.",
            example: "the page table entry at 0x1f3a0008 for virt 0xc00c000000200000 maps nothing, and is not clear "
                + "(it is 0x18f)"),
        FindingText(
            [.report, .vmcore], .tableSize, "a table of a size that none has there",
            compared: "The size field of a directory entry, against the level's.",
            example: "the page table entry at 0x1f3a0008 for virt 0xc00c000000200000 leads to a table of a size that "
                + "none has there (it is 0x800000001f39000d)"),
        FindingText(
            [.report, .vmcore], .misalignedTable, "a table that is not aligned to its size",
            compared: "The address in a directory entry, against the table's size.",
            example: "the page table entry at 0x1f3a0008 for virt 0xc00c000000200000 leads to a table that is not "
                + "aligned (it is 0x800000001f390109)"),
        FindingText(
            [.report, .vmcore], .wrongLevel, "an entry that has no place at its level",
            compared: "A leaf or a directory entry, against the level at which it stands.",
            example: "the page table entry at 0x1f3a0008 for virt 0xc00c000000200000 is of a kind that has no place at "
                + "its level (it is 0xc00000000e00018f)"),
        FindingText(
            [.report], .unreadable, "the report area holds no report",
            compared: "The report area's numbers, against what fits it and what the agent writes.",
            dump: "None: the guest's reading is missing.",
            causes: [
                "something in the guest that writes into the shared region",
                "the agent: it said that it reported, and did not",
            ],
            next: "reportProblem in the snapshot names the number.",
            example: "the report area holds no report: entryCount(99999, limit: 4096)"),
        FindingText(
            [.vmcore], .unreadable, "the capture kernel's agent cannot read it",
            compared: "Whether the dump's note, its memory and the shared region gave the agent all that it needs.",
            dump: "A tool needs the same of the note and of memory: it fails likewise.",
            causes: [
                "the note or the memory with the kernel's variables was damaged before the crash; then guest-note or "
                    + "crash-header-note stands beside it",
                "the header of the shared region was",
            ],
            next: "vmcoreProblem in the snapshot.",
            example: "the dump-capture kernel's agent cannot read the dump: it has no vmcoreinfo-note"),
        FindingText(
            [.report], .otherAccount, "a list for page tables, or the other way",
            compared: "Which account the agent read, against the one that was settled at hello.",
            causes: ["the agent: what it takes for the account is settled once, as on the host"],
            example: "the report holds the kernel's list, and the kernel's account is in the kernel's page tables"),
        FindingText(
            [.vmcore], .otherAccount, "a list for page tables, or the other way",
            compared: "Which account the dump shows, going by its note and the list's head, against the one that was "
                + "settled at hello.",
            causes: ["the note or the list's head was damaged before the crash", "a note of another kernel"],
            example: "the dump gives the kernel's list, and the kernel's account is in the kernel's page tables"),
        FindingText(
            [.mirror], .header, "a word of the region's header is wrong",
            compared: "Each header word, against the region's format, the agent's answers on the control channel, "
                + "VMCOREINFO and the number of nodes.",
            causes: ["something in the guest that writes into the shared region", "the agent: a count that it lost"],
            example: "header word freedCount is 0x3; the agent's answer to sync says 0x2"),
        FindingText(
            [.mirror], .origin, "an entry cannot have come as it says",
            compared: "Each entry's provenance (seeded, observed, healed), against the history and the events that "
                + "were counted.",
            causes: [
                "something in the guest that writes into the shared region",
                "the agent: an event counted for another",
            ],
            example: "virt 0xc00c000000100000 is told to have been observed as it was made, and its memory was there "
                + "at boot and has not changed"),
        FindingText(
            [.mirror, .report, .vmcore], .missingEntry, "it lacks an entry of the kernel's",
            compared: "The kernel's account as the host reads it, entry by entry, against this one.",
            example: "virt 0xc00c000000100000 → phys 0x4e00000 is on the kernel's list and not in the {subject}"),
        FindingText(
            [.mirror, .report, .vmcore], .extraEntry, "it has an entry that the kernel has not",
            compared: "This reading, entry by entry, against the kernel's account as the host reads it.",
            example: "virt 0xc00c000000100000 → phys 0x4e00000 is in the {subject} and not on the kernel's list"),
        FindingText(
            [.mirror, .report, .vmcore], .wrongPhysical, "it has another block for a window",
            compared: "The phys of each window in both.",
            next: "Which of the two the MMU knows: an mmu-contradiction of the same virt. Of a dead kernel it is not "
                + "asked.",
            example: "virt 0xc00c000000100000 has phys 0x4e00000 on the kernel's list and phys 0x4e10000 in the "
                + "{subject}"),
        FindingText(
            [.mirror, .report, .vmcore], .wrongSize, "it has another size for a window",
            compared: "The size of each window in both: a block of 2 MiB, or base pages.",
            example: "virt 0xc00c000000200000 has 2097152 bytes in the kernel's page tables and 65536 in the "
                + "{subject}"),
        FindingText(
            [.report, .vmcore], .otherNode, "the same entry stands elsewhere",
            compared: "Node and link of each entry (page tables: the entry's address), which are read from the same "
                + "words in both.",
            example: "the head is 0xc00000003ff00060 in the {subject} and 0xc00000003ff00048 in guest RAM"),
        FindingText(
            [.mirror, .report, .vmcore], .order, "the same entries in another order",
            compared: "The order of the entries. A list's is a history, newest first; a walk of page tables ascends.",
            dump: "None, where each window has one entry.",
            example: "the {subject} has the kernel's entries in another order from number 3 on"),
        FindingText(
            [.vmcore], .notInDump, "the dump lacks what the account leads to",
            compared: "Each node or page table entry, and each block, against the dump's PT_LOADs; and those against "
                + "the header that the crash kernel was loaded with.",
            dump: "makedumpfile ends at the first node that it cannot read ('Can't get vmemmap region addresses'); "
                + "struct pages in a block that is missing cannot be read.",
            causes: [
                "memory that was plugged after the crash kernel was loaded, and a header that nobody kept true: no "
                    + "crash hotplug",
                "of 'inspect': makedumpfile left the page out, or the file is cut off",
                "the kernel's crash hotplug",
            ],
            kernel: ["fs/proc/vmcore.c: process_ptload_program_headers", KernelPlace.crashHeader],
            example: "node 0xc000000044000030 (virt 0xc00c000000100000 → phys 0x44010000) cannot be reached in the "
                + "dump"),
        FindingText(
            [.vmcore], .otherSections, "the dump has other sections than guest RAM",
            compared: "Number and online state of each section in the dump, against those in guest RAM.",
            dump: "A tool goes by the dump's sections: it lacks memory, or looks for struct pages that are not there.",
            kernel: ["fs/proc/vmcore.c: process_ptload_program_headers"],
            example: "the dump has 128 sections, guest RAM 192; number 129 is none in the dump, and section 256, "
                + "online in guest RAM"
        ),
        FindingText(
            [.vmcore], .silent, "no dump-capture kernel has spoken",
            compared: "Whether the agent of a dump-capture kernel says hello in its time behind the crash.",
            dump: "There is none.",
            causes: [
                "the hashed page table was resized, and the crash kernel's device tree has its old size "
                    + "(crash-header-hpt-size): the capture kernel stops in purgatory or right behind it",
                "a reservation that is too small for kernel and initramfs",
                "a machine that is too slow: --slowdown",
            ],
            next: "The end of console.log: \"I'm in purgatory\", an out-of-memory report, or nothing. Plan "
                + "'kdump-hpt-resize'.",
            example: "no dump-capture kernel's agent has said anything within 60.0 seconds of the crash"),
    ]
}
