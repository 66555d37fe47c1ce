// SPDX-License-Identifier: Apache-2.0

import Verification

extension FindingText {
    /// What is loaded for a crash.
    static let dumps: [FindingText] = [
        FindingText(
            [.crashHeader], .overlap, "two PT_LOADs share memory",
            compared: "Each PT_LOAD, against the next one by its address.",
            dump: "The dump has that memory twice.",
            kernel: [KernelPlace.crashHeader],
            example: "the PT_LOADs at 0x0 (0x40000000 bytes) and 0x30000000 (0x20000000 bytes) share memory"),
        FindingText(
            [.crashHeader], .unreadable, "no header can be read in the reservation",
            compared: "Whether the reservation holds one device tree whose command line leads (elfcorehdr=) to an ELF "
                + "core header of ppc64.",
            dump: "The dump-capture kernel finds no header either, or another one.",
            example: "elfcorehdr= leads to 0x1ff00004, which is not in the reservation at a multiple of 8"),
        FindingText(
            [.crashHeader], .notInDump, "a dump would lack the account or its blocks",
            compared: "Each node (page tables: entry) and each block, against the PT_LOADs.",
            dump: "makedumpfile ends at the first node that it cannot read ('Can't get vmemmap region addresses'); "
                + "struct pages in a block that is missing cannot be read.",
            causes: ["memory that was plugged after the crash kernel was loaded, and a header that nobody keeps true"],
            kernel: [KernelPlace.crashHeader],
            next: "Plan 'kdump-stale'. Loading the crash kernel again makes a new header.",
            example: "16 of 80 nodes are not in a PT_LOAD, the first at 0xc000000044000030"),
        FindingText(
            [.crashHeader], .missingMemory, "memory that a dump would not have",
            compared: "The online sections of each piece of the machine's memory, against the PT_LOADs; and each "
                + "PT_LOAD's offset, against its address (the first 64 KiB have their copy in the reservation).",
            causes: [
                "memory that was plugged after the crash kernel was loaded: without crash hotplug (6.1; kexec-tools "
                    + "without --hotplug) the header stays as it was",
                "the kernel's crash hotplug",
            ],
            kernel: [KernelPlace.crashHeader],
            next: "Plan 'kdump-stale'. Loading the crash kernel again makes a new header.",
            example: "0x40000000 of the 0x40000000 bytes of ua-dimm1 at 0x80000000 are in no PT_LOAD, the first at "
                + "0x80000000"),
        FindingText(
            [.crashHeader], .memoryGone, "memory in the header that is gone",
            compared: "Each PT_LOAD, against the machine's memory.",
            dump: "/proc/vmcore offers memory that is not there.",
            causes: ["memory that was unplugged after the crash kernel was loaded", "the kernel's crash hotplug"],
            kernel: [KernelPlace.crashHeader],
            example: "0x40000000 of the 0x40000000 bytes of the PT_LOAD at 0x80000000 are no memory of the machine, "
                + "the first at 0x80000000"),
        FindingText(
            [.crashHeader], .loadSize, "a PT_LOAD of a size that none can have",
            compared: "p_memsz, p_filesz and p_offset of each PT_LOAD.",
            dump: "makedumpfile: 'Can't read mem_section array', as in the report behind 7afe2383eff0.",
            causes: [
                "the kernel, before 7afe2383eff0 (2025): memory removed from inside a range of the header left a "
                    + "p_filesz of 0xffffffffc0000000"
            ],
            kernel: [KernelPlace.crashHeader],
            example: "the PT_LOAD at 0x40000000 has 0xffffffffc0000000 bytes of memory and 0xffffffffc0000000 in the "
                + "dump at 0x40000000, which cannot be"),
        FindingText(
            [.crashHeader], .note, "no whole VMCOREINFO note, or another kernel's",
            compared: "The PT_NOTEs that the header leads to, against the note of the running kernel.",
            dump: "Every tool begins with this note: makedumpfile does not start, drgn does not know the kernel.",
            causes: ["something that wrote over the note's page", "kexec: a header for another kernel"],
            next: "guest-note says the same of the note where the kernel keeps it.",
            example: "none of the header's 3 notes is a whole VMCOREINFO note"),
        FindingText(
            [.crashHeader], .hashTableSize, "the crash kernel's tree has the old HPT size",
            compared: "ibm,pft-size in the device tree of the crash kernel, against the size of the hashed page table "
                + "(hpt_order in debugfs).",
            dump: "There will be none: after a resize no capture kernel starts (vmcore-silent).",
            causes: [
                "the kernel: it resizes the table on a plug and leaves ibm,pft-size in its device tree as it was at "
                    + "boot; kexec copies that"
            ],
            kernel: [KernelPlace.resize],
            next: "Plans 'kdump-hpt-resize' and 'kdump-hpt-resize-fixed' (which corrects the property before loading).",
            example: "the crash kernel's device tree has ibm,pft-size 24, and the guest's hashed page table is of 2^27 "
                + "bytes"),
    ]

    /// The guest's kernel, its reactions, and the plan.
    static let guests: [FindingText] = [
        FindingText(
            [.plug], .refused, "the guest did not take all of a DIMM",
            compared: "The LMBs of the DIMM, against those that the log says are hot-added.",
            causes: [
                "the kernel had no memory for the memory map (plan 'failed-plug' makes it so)",
                "the kernel: __add_memory or onlining failed for another reason, which its log names",
                "QEMU: a connector (DRC) that it would not give",
            ],
            kernel: [KernelPlace.dlpar, KernelPlace.addPages],
            example: "the guest did not take 16 LMBs of ua-dimm1, the first at 0x40000000; the section at 0xc0000000 "
                + "could not get its memory map"),
        FindingText(
            [.guest], .refused, "the kernel refused what it was asked to do",
            compared: "The error number of a write that a plan asks for (a block's state, probe, dlpar, memory that is "
                + "held or filled), or kexec's exit status.",
            causes: [
                "the kernel: a block with pages that cannot move, memory that is not there, no crashkernel= "
                    + "reservation",
                "the plan asks for what cannot be: a load for which there is no room, or one that the kernel has killed "
                    + "for lack of memory by the time it is ended",
            ],
            kernel: [KernelPlace.dlpar],
            example: "the guest's kernel refused 'block 4 offline': Device or resource busy (errno 16)"),
        FindingText(
            [.unplug], .silent, "the guest has not answered an unplug",
            compared: "Whether the DIMM went, or the guest said no, in the time that an unplug may take.",
            causes: [
                "the kernel refused the first LMB, of which QEMU hears nothing and goes on waiting until a reset",
                "a DIMM whose plug had failed: its unplug has no end",
                "the kernel: a page of the slab allocator in the block, which offlining neither moves nor refuses, and tries "
                    + "again without end (seen on 7.2; plan 'slab-in-unplug'); it cannot be switched off then",
                "a machine that is too slow: --slowdown",
            ],
            kernel: [
                KernelPlace.dlpar, "mm/memory_hotplug.c: offline_pages", "mm/page_isolation.c: page_is_unmovable",
            ],
            example: "the guest has neither given ua-dimm1 up nor refused to within 60.0 seconds; the unplug is "
                + "pending"),
        FindingText(
            [.guest], .warning, "the kernel has warned of itself",
            compared: "Its log, against the first lines of WARN_ON and of lockdep's reports (__warn, kernel/panic.c).",
            example: "WARNING: CPU: 0 PID: 1 at mm/memory_hotplug.c:1234 __add_pages+0x120/0x200"),
        FindingText(
            [.guest], .bug, "the kernel has found a bug in itself",
            compared: "Its log, against 'kernel BUG at' and 'BUG:' lines.",
            example: "kernel BUG at mm/memory_hotplug.c:1864!"),
        FindingText(
            [.guest], .oops, "an exception that nothing handles",
            compared: "Its log, against the lines of die (arch/powerpc/kernel/traps.c) and bad_page_fault "
                + "(arch/powerpc/mm/fault.c).",
            causes: [
                "the kernel; with mmu-unmapped or hpt-missing-entry beside it, an access to a struct page that is not "
                    + "mapped"
            ],
            next: "NIP and call trace; 'qemu-harness inspect RUN --translate' with the fault's address where it is of "
                + "the memory map.",
            example: "BUG: Unable to handle kernel data access on read at 0xc00c000000100000"),
        FindingText(
            [.guest], .kasan, "an access that KASAN has caught",
            compared: "Its log, against 'BUG: KASAN:' lines (mm/kasan/report.c).",
            example: "BUG: KASAN: slab-out-of-bounds in vmemmap_populate+0x120/0x200"),
        FindingText(
            [.guest], .ubsan, "undefined behaviour that UBSAN has caught",
            compared: "Its log, against 'UBSAN:' lines (lib/ubsan.c).",
            example: "UBSAN: array-index-out-of-bounds in mm/sparse.c:123:4"),
        FindingText(
            [.guest], .lockup, "a CPU or workqueue that gets no further",
            compared: "Its log, against the reports of the watchdogs (kernel/watchdog.c, "
                + "arch/powerpc/kernel/watchdog.c, kernel/workqueue.c).",
            causes: ["a host that is too slow for a guest under TCG", "the kernel"],
            example: "watchdog: BUG: soft lockup - CPU#0 stuck for 26s! [kworker/u2:1:23]"),
        FindingText(
            [.guest], .rcuStall, "RCU gets no further",
            compared: "Its log, against RCU's stall reports (kernel/rcu/tree_stall.h).",
            causes: ["a host that is too slow for a guest under TCG", "the kernel"],
            example: "rcu: INFO: rcu_sched self-detected stall on CPU"),
        FindingText(
            [.guest], .hungTask, "a task that gets no further",
            compared: "Its log, against the reports of kernel/hung_task.c.",
            causes: ["the kernel: a lock that is not given back", "a host that is too slow for a guest under TCG"],
            example: "INFO: task kworker/u2:1:23 blocked for more than 120 seconds."),
        FindingText(
            [.guest], .panic, "the kernel has given up",
            compared: "Its log and the console, against 'Kernel panic - not syncing' (kernel/panic.c). One because the "
                + "agent has ended is an error of the run, and no finding.",
            dump: "With a crash kernel loaded a plan's 'crash' looks at the dump. Otherwise the guest is gone.",
            causes: [
                "the kernel: an exception before it, which has its own finding",
                "the plan: a 'crash' with nothing loaded",
            ],
            example: "Kernel panic - not syncing: sysrq triggered crash"),
        FindingText(
            [.guest], .note, "the VMCOREINFO note has changed in memory",
            compared: "The note's bytes in guest RAM, against those at the agent's hello.",
            dump: "Every tool begins with this note: makedumpfile does not start, or works with wrong symbols and "
                + "offsets.",
            causes: [
                "something that wrote over the note's page",
                "this program: the note was looked for in the wrong place",
            ],
            kernel: ["arch/powerpc/kexec/core.c (newer kernels: vmcore_info.c): what powerpc adds to the note"],
            next: "noteProblem in the snapshot; crash-header-note, where a crash kernel is loaded.",
            example: "the VMCOREINFO note that stood at 0x1fff0000 is not there any more, or another one"),
        FindingText(
            [.plan], .unmet, "an expectation was not met",
            compared: "The findings, counts, sizes, outcomes and file contents that the plan names, against what came.",
            causes: ["the guest does something else than the plan's author has seen", "the plan"],
            example: "the number of entries was expected to be 64; it is 60"),
    ]
}
