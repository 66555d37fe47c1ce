// SPDX-License-Identifier: Apache-2.0

import Verification

extension FindingText {
    /// The kernel's list.
    static let lists: [FindingText] = [
        FindingText(
            [.list], .cycle, "a link leads back into the list",
            compared: "Each link, against the nodes that the walk has passed. A list ends at NULL.",
            dump: "crash: 'duplicate list entry'. makedumpfile ends at the head only: a cycle that does not lead there "
                + "keeps get_vmemmap_list_info busy for ever, as any cycle does libkdumpfile.",
            causes: [
                "the kernel: an entry that is on the list and on the stack of freed ones, or was handed out twice; the "
                    + "list has no lock of its own",
                "something else that writes into the node pages",
            ],
            kernel: [KernelPlace.list],
            next: "Whether the node that is led back to is one that an unplug had freed.",
            example: "the link of node 0xc00000003ff00030, number 3, leads back to node 0xc00000003ff00060"),
        FindingText(
            [.list], .linkOutsideMemory, "a link leads to where no memory is",
            compared: "Each link, against the memory that the guest has.",
            dump: "makedumpfile ends there: 'Can't get vmemmap region addresses'. The entries behind that node are "
                + "lost to any tool.",
            causes: [
                "something that wrote over the node",
                "the kernel: a node page in memory that was unplugged",
                "a node that was never filled in",
            ],
            kernel: [KernelPlace.list],
            example: "the link of node 0xc00000003ff00030, number 3, leads to 0x4242424242424242, where no memory is"),
        FindingText(
            [.list], .misplacedNode, "a link leads to where no node can stand",
            compared: "Each link, against where the allocator puts nodes: at multiples of 24 bytes into a page, whole "
                + "ones (2730 to a page of 64 KiB, 170 to one of 4 KiB).",
            dump: "A tool reads 24 bytes there all the same and takes them for phys, virt and the next link.",
            causes: [
                "something that wrote over the link",
                "the kernel: another allocator of nodes than the one that is known",
            ],
            kernel: [KernelPlace.list],
            example: "the link of node 0xc00000003ff00030, number 3, leads to 0xc00000003ff0000c, which is no multiple "
                + "of 24 bytes into a page of 65536 bytes"),
        FindingText(
            [.list], .brokenChain, "a walk of it that contradicts itself",
            compared: "Head, nodes, links and end of the walk that the snapshot holds, one against the next. Nobody "
                + "reads memory again.",
            dump: "None: no memory makes a walk contradict itself.",
            causes: ["the record was edited", "this program, or memory that changed during the walk"],
            next: "'qemu-harness verify RUN' checks the record's digests.",
            example: "the link of node 0xc00000003ff00030, number 3, leads to 0xc00000003ff00018, and number 4 is node "
                + "0xc00000003ff00000"),
        FindingText(
            [.list], .tooLong, "more nodes than memory can need",
            compared: "The number of nodes, against the windows of all memory that the machine may have. The walk "
                + "stops there.",
            dump: "A tool reads all of them; makedumpfile and crash then search them one by one for each address.",
            causes: [
                "the kernel: entries of freed memory that stay on the list", "a list that runs into other memory",
            ],
            kernel: [KernelPlace.free],
            example: "the list has more than 2049 nodes, which memory cannot need"),
        FindingText(
            [.list], .duplicateVirtual, "two entries for one window",
            compared: "Each entry's virt, against those of all others.",
            dump: "crash and makedumpfile take the entry that they come to first, the newer one; the MMU may know the "
                + "other.",
            causes: [
                "the kernel: a window that was populated again though it was, since vmemmap_populated() asks for valid "
                    + "sub-sections and not for the list",
                "the kernel: a free that did not find the entry; it says nothing then",
            ],
            kernel: [KernelPlace.populate, KernelPlace.free],
            next: "Which of the two the MMU knows: 'mmu-contradiction', or translations in the snapshot.",
            example: "virt 0xc00c000000100000 is in node 0xc00000003ff00030 (phys 0x4e00000) and in node "
                + "0xc00000003ff00018 (phys 0x4e10000)"),
        FindingText(
            [.list], .nodePages, "more node pages than entries need",
            compared: "The pages in which nodes stand, against what the peak number of entries needs. Node pages are "
                + "never given back, and freed nodes are reused first. Not judged behind lost events.",
            dump: "None: every entry is there.",
            causes: [
                "the kernel: it takes new nodes while freed ones are left",
                "this program: a peak that it did not count",
            ],
            kernel: [KernelPlace.list],
            next: "peakEntryCount in the snapshot.",
            example: "nodes stand in 3 pages; a peak of 64 entries needs 1"),
        FindingText(
            [.list], .freeNode, "a node that is on the list and free",
            compared: "Each node of the list, against the freed nodes from next on and those of the newest node "
                + "page that were never handed out (num_left). Not judged of a kernel that died while it added "
                + "memory.",
            dump: "None yet. The next block that is added takes the node: the entry that stands there is lost, "
                + "and what was linked behind it may be too.",
            causes: [
                "the kernel: a node that was freed twice, or freed and not taken off the list",
                "something that wrote over next, num_left or a freed node",
            ],
            kernel: [KernelPlace.list],
            next: "freeNodes in the snapshot; plug one more DIMM, and see which entry goes.",
            example: "node 0xc00000003ff00030 of virt 0xc00c000000100000 is on the list, and among the 2 freed nodes"),
        FindingText(
            [.list], .freeChain, "free nodes that contradict themselves",
            compared: "The freed nodes that can be followed from next, against num_freed; what stands behind the last "
                + "of them, against num_left: the rest of a page has as many nodes. Not judged of a kernel that died while it "
                + "added memory.",
            dump: "None yet. The next blocks that are added get nodes anywhere in memory.",
            causes: [
                "something that wrote over next, num_left, num_freed or a freed node",
                "the kernel: a node that was freed twice", "this program: a file of another kernel",
            ],
            kernel: [KernelPlace.list],
            next: "freeNodes in the snapshot, symbolSources in run.json.",
            example: "num_freed is 3, and from next (0xc00000003ff00060) on 1 freed nodes can be followed; behind them "
                + "stands 0x5a5a5a5a5a5a5a5a"),
        FindingText(
            [.list], .lostNode, "nodes that are nowhere",
            compared: "All nodes of the pages that nodes come out of: each is on the list, freed, or not handed out "
                + "yet. Not judged of a kernel that died while it added memory.",
            dump: "None by itself: 24 bytes are lost. If the node was on the list, its entry is missing "
                + "(list-coverage-hole).",
            causes: [
                "the kernel: a node that was taken for a block that failed, and not given back",
                "something that wrote over a link: what stood behind it is cut off",
            ],
            kernel: [KernelPlace.list],
            next: "freeNodes and kernelList in the snapshot.",
            example: "node 0xc00000003ff00048, of 1 node pages, is neither on the list (64), nor freed (0), nor left "
                + "(2665)"),
        FindingText(
            [.list], .misalignedVirtual, "virt is no multiple of the vmemmap page",
            compared: "Each entry's virt, against mmu_vmemmap_psize. Populate aligns it down.",
            dump: "A tool answers for virt up to virt + page: it is wrong at both ends of the window.",
            causes: [
                "something that wrote over the entry",
                "the kernel: mmu_vmemmap_psize is not the size that was mapped",
            ],
            kernel: [KernelPlace.populate],
            example: "virt 0xc00c000000100018 in node 0xc00000003ff00030 is no multiple of 0x10000"),
        FindingText(
            [.list], .virtualOutsideVmemmap, "virt is no address of the memory map",
            compared: "Each entry's virt, against the memory map's base, which mem_section encodes.",
            dump: "No tool asks for that address. The window that the entry should have has none (list-coverage-hole).",
            causes: ["something that wrote over the entry", "the kernel: sections that encode another base"],
            kernel: [KernelPlace.populate, KernelPlace.initSection],
            example: "virt 0xc000000000100000 in node 0xc00000003ff00030 lies outside the memory map, which starts at "
                + "0xc00c000000000000"),
        FindingText(
            [.list], .misalignedPhysical, "phys is no multiple of the vmemmap page",
            compared: "Each entry's phys, against mmu_vmemmap_psize.",
            dump: "A tool reads struct pages at a wrong offset: plausible words of the wrong pages.",
            causes: [
                "something that wrote over the entry",
                "the kernel: a block from an allocation that is not aligned to its size",
            ],
            kernel: [KernelPlace.populate],
            example: "phys 0x4e00018 of virt 0xc00c000000100000 in node 0xc00000003ff00030 is no multiple of 0x10000"),
        FindingText(
            [.list], .physicalOutsideMemory, "a block outside present memory",
            compared: "Each block, whole, against the present sections.",
            dump: "No dump has that memory: a tool cannot read the struct pages of the window.",
            causes: [
                "the kernel: memory went in which a block lies that describes other memory",
                "something that wrote over the entry",
            ],
            kernel: [KernelPlace.populate, KernelPlace.free],
            next: "formerWindows in the snapshot, and whether phys lies in a DIMM that went.",
            example: "phys 0x140000000 of virt 0xc00c000000100000 in node 0xc00000003ff00030 lies outside present "
                + "memory"),
        FindingText(
            [.list], .overlap, "two blocks share memory",
            compared: "Each block, against the next one by its address.",
            dump: "Two windows show the same bytes: one of them are struct pages of other page frames.",
            causes: [
                "the kernel: a block that was freed and is still on the list, while its memory was given out again",
                "something that wrote over an entry",
            ],
            kernel: [KernelPlace.free],
            next: "struct-pages-other-page says which of the two windows holds its own pages.",
            example: "the blocks of virt 0xc00c000000100000 (phys 0x4e00000) and virt 0xc00c000000110000 (phys "
                + "0x4e00000) share memory; a block has 0x10000 bytes"),
        FindingText(
            [.list], .outsideMemory, "a node outside present memory",
            compared: "Each node's place, against the present sections.",
            dump: "No dump has the node: see list-link-outside-memory.",
            causes: ["the kernel: a node page in memory that was unplugged", "something that wrote over a link"],
            kernel: [KernelPlace.list],
            example: "node 0xc000000140000030 of virt 0xc00c000000100000 stands outside present memory"),
        FindingText(
            [.list], .placeInBlock, "a node in a block or a page table",
            compared: "Each node's place, against all blocks and, on radix, the page tables.",
            dump: "Readable today. Whoever owns the memory writes over the node.",
            causes: ["the kernel: a page that was given out twice", "something that wrote over a link"],
            kernel: [KernelPlace.list],
            example: "node 0xc000000004e00030 of virt 0xc00c000000100000 stands in the block of virt "
                + "0xc00c000000110000 (phys 0x4e00000)"),
        FindingText(
            [.list], .hole, "struct pages that no block backs",
            compared: "The windows of each present section's struct pages, against all entries.",
            dump: "A tool cannot translate these struct pages: makedumpfile fails with 'Can't read the buffer of "
                + "struct page', crash reads none of these pages.",
            causes: [
                "the kernel: an entry was taken off while another section of the same window is present",
                "the kernel: a populate that failed, and a section that stayed present",
                "a list that is cut short; then list-… says where",
            ],
            kernel: [KernelPlace.populate, KernelPlace.free, KernelPlace.sections],
            next: "'qemu-harness inspect RUN --translate 0xADDRESS' with the memory's address.",
            example: "section 64 (memory at 0x40000000) has no block behind its struct pages at virt "
                + "0xc00c000000100000"),
        FindingText(
            [.list], .staleEntry, "an entry that describes no memory",
            compared: "The memory that each entry describes, against the present sections. A window may reach past "
                + "present memory; not all of it may.",
            dump: "Nobody asks for it. Its block is memory that was given back, or is lost.",
            causes: [
                "the kernel: memory went and its entry stayed",
                "the kernel: a plug that failed, and a populate that was not undone",
            ],
            kernel: [KernelPlace.free, KernelPlace.sections],
            example: "virt 0xc00c000000100000 in node 0xc00000003ff00030 describes 0x40000000 to 0x44000000, where no "
                + "section is present"),
        FindingText(
            [.list, .pageTables], .inFreeMemory, "a block, node or table in free memory",
            compared: "The struct page of the page in which each block begins, and of each node and page table: "
                + "whether it is the buddy allocator's, or (except of tables) has no users.",
            dump: "makedumpfile -d 31 leaves free pages out, and with them what it needs to read the dump.",
            causes: [
                "the kernel: the page was freed and the account kept it",
                "a struct page that is wrong itself; then struct-pages-… stands beside it",
            ],
            kernel: [KernelPlace.free, KernelPlace.radixFree],
            next: "structPages.freePlaces in the snapshot; 'qemu-harness inspect DUMP --pages FRAME' with phys divided "
                + "by the page size.",
            example: "the block at phys 0x4e00000 of virt 0xc00c000000100000 is free memory to the kernel's allocator"),
        FindingText(
            [.list], .empty, "no entry, and the list is the account",
            compared: "The list of a kernel whose account it is, hash or radix before 6.6: that has an entry for each "
                + "window of memory since boot. Where nothing says which MMU a kernel has, and its list may always have "
                + "been empty, that is left unsaid.",
            dump: "crash and makedumpfile take an empty list for a radix kernel since 6.6 and walk page tables, which "
                + "a hash kernel does not have for its memory map.",
            causes: ["something that wrote over vmemmap_list itself", "this program: the wrong kernel's symbols"],
            kernel: [KernelPlace.list],
            next: "symbolSources in run.json.",
            example: "the list is empty"),
        FindingText(
            [.list], .otherAccount, "entries on a list that the kernel does not use",
            compared: "The list of a radix kernel that had none at hello and keeps its account in page tables (since "
                + "6.6).",
            dump: "crash and makedumpfile use a list that has an entry, and walk no page tables then: they find "
                + "nothing else.",
            causes: ["something that wrote over vmemmap_list", "the kernel: populate took the path with a list"],
            kernel: [KernelPlace.radixPopulate, KernelPlace.populate],
            example: "the list has 2 entries, and this kernel has shown that it keeps its account in page tables only"),
    ]
}
