// SPDX-License-Identifier: Apache-2.0

import Verification

extension SubjectText {
    /// Each subject's, in the order in which a verdict tells of them.
    static let all: [SubjectText] = [
        SubjectText(
            subject: .list,
            read: "The kernel's vmemmap_list, walked from its head by the host in guest RAM while the guest is paused "
                + "(by 'inspect': in the dump).",
            dump: "crash (ppc64.c) and makedumpfile (arch/ppc64.c) take every address of the memory map from this list "
                + "and check none of it. drgn does not use it.",
            causes: [
                "the kernel: populate, free, or the way back from a populate that failed",
                "something else that writes into the node pages; then the report has the same fault, and the mirror "
                    + "has not",
                "hardware or QEMU, or this program: unlikely where the report, read in the guest, says the same",
            ],
            next: "snapshot-N.json: kernelList (head, entries, end, endLink); 'qemu-harness inspect RUN --list'; in "
                + "events.jsonl the guest.populate and guest.free events before step N."),
        SubjectText(
            subject: .pageTables,
            read: "A radix kernel's page tables over the memory map, walked by the host in guest RAM from "
                + "swapper_pg_dir while the guest is paused (by 'inspect': in the dump).",
            dump: "crash and makedumpfile walk these tables where the list is empty (radix since 6.6), drgn always. "
                + "None of them checks alignment, overlap or what is present.",
            causes: [
                "the kernel: radix populate or free, or what else changes the tables of init_mm",
                "something else that writes into the tables' pages",
                "hardware or QEMU, or this program: unlikely where the MMU or the report says the same",
            ],
            next: "snapshot-N.json: pageTables (windows, faults, tables); 'qemu-harness inspect RUN --list' and "
                + "'--translate ADDRESS'."),
        SubjectText(
            subject: .hashTable,
            read: "The hashed page table, whole, as QEMU's migration stream has it while the guest is paused: every "
                + "HPTE of the memory map's segments, against the kernel's list.",
            dump: "No dump tool reads the hashed page table. But the kernel wrote its struct pages where this table "
                + "leads, and a tool reads them where the list leads.",
            causes: [
                "the kernel: a mapping that was made or removed without its entry, or a resize of the table that lost "
                    + "one",
                "QEMU: its hcalls and its resize keep this table",
                "this program: which segments the memory map has is learned at hello",
            ],
            next: "snapshot-N.json: hashTable (entries, context, segmentShift); whether mmu-… says the same; "
                + "console.log for 'HPT resize'."),
        SubjectText(
            subject: .mirror,
            read: "The list that the agent keeps in the shared region, from what the kernel was seen to do, read there "
                + "by the host; against the kernel's own account.",
            dump: "No dump tool reads the mirror. A dump is concerned where it is the kernel's account that is wrong.",
            causes: [
                "the agent: an event that it missed or took for another one",
                "the kernel: its account changed without the functions that are traced",
                "something in the guest that writes into the shared region",
            ],
            next: "snapshot-N.json: mirror (header, statements, list, provenance); events.jsonl: guest.block-mirrored "
                + "of the address; eventSource in run.json."),
        SubjectText(
            subject: .report,
            read: "The same account, read in the guest by the agent through a freshly opened /proc/kcore, and handed "
                + "over in the report area; against what the host reads.",
            dump: "None by itself. Where the same fault is told of the list or the page tables, theirs counts.",
            causes: [
                "the kernel: where the list or the page tables have the same fault, the damage is theirs",
                "the account changed between report and pause; it is compared at rest, so something else worked",
                "/proc/kcore, the agent or the report area: where the report stands alone",
            ],
            next: "snapshot-N.json: report beside kernelList or pageTables."),
        SubjectText(
            subject: .mmu,
            read: "What the CPU translates. QEMU reads the memory map through it (memsave), with a stamp in each 4 KiB "
                + "of the blocks; gva2gpa for what that refuses and for windows that are gone.",
            dump: "The kernel wrote its struct pages where the MMU leads; a tool with the dump reads where the account "
                + "leads.",
            causes: [
                "the kernel: account and mapping were not changed together",
                "QEMU: a TLB entry that it should have dropped",
                "this program: stamps, or a question to a CPU in another state; both are checked, and left unsaid in "
                    + "doubt",
            ],
            next: "snapshot-N.json: readBack, translations, formerTranslations; on hash hpt-…, on radix page-tables-… "
                + "of the same address."),
        SubjectText(
            subject: .model,
            read: "The emulator of populate and free, run over the memory at boot and the changes seen since, under "
                + "the rules of this kernel; against the kernel's account.",
            dump: "None by itself: what the kernel keeps may be consistent, and not what its history leads to.",
            causes: [
                "the kernel: it does something else than the rules that it shows",
                "this program: a rule of a new kernel that the emulator does not have yet",
                "the agent: a history that lacks a change; losses that it noticed are unsaid, not findings",
            ],
            next: "snapshot-N.json: history; events.jsonl: guest.populate, guest.mapping-failed, guest.free; "
                + "'qemu-harness emulate' with the same sizes."),
        SubjectText(
            subject: .structPages,
            read: "What the kernel has written into the struct pages of online memory, reached as its own account "
                + "leads and read by the host in guest RAM.",
            dump: "crash and makedumpfile show and filter by these very bytes: pages may be left out of a dump, or "
                + "kept, by what is wrong here.",
            next: "snapshot-N.json: structPages (faults: frame, phys, word); 'qemu-harness inspect DUMP --pages "
                + "FRAME'."),
        SubjectText(
            subject: .sections,
            read: "mem_section, read by the host in guest RAM; against the machine's memory as libvirt describes it, "
                + "the guest's memory blocks in sysfs, and the history.",
            dump: "Dump tools take from mem_section which memory has struct pages at all.",
            next: "snapshot-N.json: sections, memory, report.blocks, history."),
        SubjectText(
            subject: .crashHeader,
            read: "The ELF core header and the device tree of the crash kernel that is loaded, read by the host in the "
                + "guest's reservation.",
            dump: "This header becomes /proc/vmcore. What it lacks no tool has.",
            causes: [
                "kexec, or the kernel's crash hotplug (hasCrashHotplug in run.json says who keeps the header)",
                "something that wrote into the reservation",
                "this program: memory that came or went while it was read; a plug that had not settled",
            ],
            next: "snapshot-N.json: crashHeader (reservationBase, header.loads, header.notes); console.log around "
                + "kexec."),
        SubjectText(
            subject: .vmcore,
            read: "The dead kernel as the dump-capture kernel's agent reads it in /proc/vmcore, with what the dump "
                + "says of itself alone (by 'inspect': the dump's file); against what the host reads in guest RAM.",
            dump: "crash, makedumpfile and drgn have no more than this reading has.",
            causes: [
                "the crash kernel's header: stale, or wrong; see crash-header-… of the step before",
                "the dead kernel: where the list or the page tables have the same fault, the damage is theirs",
                "the dump-capture kernel wrote over memory outside its reservation, or its agent misread",
            ],
            next: "snapshot-N.json: vmcore beside kernelList or pageTables, and crashHeader."),
        SubjectText(
            subject: .plug,
            read: "The guest's log of a plug: what became of each LMB.",
            dump: "None: the memory is not there. What was left of it is verified like anything else.",
            next: "console.log; events.jsonl: plug.settled, guest.mapping-failed."),
        SubjectText(
            subject: .unplug,
            read: "The guest's log and QEMU's events of an unplug.",
            dump: "None: the memory is there as before, or half of it; the next 'verify' tells.",
            next: "console.log; events.jsonl: unplug.pending, machine.device-removed, machine.device-removal-failed."),
        SubjectText(
            subject: .guest,
            read: "What the guest's kernel says of itself in its log, read by the agent; behind a panic the console's "
                + "last lines.",
            dump: "None by itself: the verdicts of the same step say what came of it.",
            next: "console.log, where the whole report stands; results.json: the step in which it came."),
        SubjectText(
            subject: .plan,
            read: "What the plan, or the command line, expects of a step.",
            dump: "None.",
            next: "plan.yaml; results.json: the step before the expectation."),
    ]
}
