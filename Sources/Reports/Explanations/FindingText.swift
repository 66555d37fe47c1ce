// SPDX-License-Identifier: Apache-2.0

import Verification

/// What is to be known of a fault, of each of the subjects that have it in the same way.
///
/// What a subject's findings have in common stands in ``SubjectText``.
struct FindingText {
    /// Whose fault it is.
    let subjects: [Finding.Subject]
    let fault: Finding.Fault
    /// What is wrong, in half a line.
    let summary: String
    /// What was held against what, beside what the subject says of that.
    let compared: String
    /// What a dump tool makes of it; nil where the subject's text says all.
    let dump: String?
    /// The likeliest cause first; empty where the subject's are all.
    let causes: [String]
    /// Files of the kernel, with functions.
    let kernel: [String]
    /// What to look at beside what the subject names.
    let next: String?
    /// A message as the program prints it; `{subject}` in it stands for the subject, `{node}` for the beginning of a node's
    /// place.
    private let example: String

    init(
        _ subjects: [Finding.Subject], _ fault: Finding.Fault, _ summary: String, compared: String, dump: String? = nil,
        causes: [String] = [], kernel: [String] = [], next: String? = nil, example: String
    ) {
        self.subjects = subjects
        self.fault = fault
        self.summary = summary
        self.compared = compared
        self.dump = dump
        self.causes = causes
        self.kernel = kernel
        self.next = next
        self.example = example
    }

    /// A message of a subject. In the mirror nodes have region offsets.
    func example(of subject: Finding.Subject) -> String {
        example.replacing("{subject}", with: "\(subject)")
            .replacing("{node}", with: subject == .mirror ? "0x120" : "0xc00000003ff000")
    }

    /// All of them: one for each name that a finding can have.
    static let all = [
        lists, otherReadings, pageTables, hashTables, mmus, models, structPages, sections, dumps, guests,
    ].flatMap { $0 }
}

/// What all findings of a subject have in common.
struct SubjectText {
    let subject: Finding.Subject
    /// Which memory, or which command, and who read it.
    let read: String
    /// What its findings mean for a dump.
    let dump: String
    /// The likeliest cause first; empty where each finding has its own.
    var causes: [String] = []
    /// Files of the record, fields and commands.
    let next: String
}

/// The functions of the kernel that findings lead to, file by file.
enum KernelPlace {
    static let list = "arch/powerpc/mm/init_64.c: vmemmap_list_alloc, vmemmap_list_populate, vmemmap_list_free"
    static let populate =
        "arch/powerpc/mm/init_64.c: __vmemmap_populate (vmemmap_populate before 6.6), vmemmap_populated"
    static let free = "arch/powerpc/mm/init_64.c: __vmemmap_free (vmemmap_free before 6.6), vmemmap_list_free"
    static let radixPopulate =
        "arch/powerpc/mm/book3s64/radix_pgtable.c: radix__vmemmap_populate, radix__vmemmap_pte_populate, vmemmap_set_pmd"
    static let radixFree = "arch/powerpc/mm/book3s64/radix_pgtable.c: radix__vmemmap_free, remove_pmd_table"
    static let hashMapping =
        "arch/powerpc/mm/book3s64/hash_pgtable.c: hash__vmemmap_create_mapping, hash__vmemmap_remove_mapping"
    static let bolt = "arch/powerpc/mm/book3s64/hash_utils.c: htab_bolt_mapping, htab_remove_mapping"
    static let resize = "arch/powerpc/mm/book3s64/hash_utils.c: resize_hpt_for_hotplug"
    static let sections = "mm/sparse.c (mm/sparse-vmemmap.c in 7.2): section_activate, section_deactivate"
    static let initSection = "mm/sparse.c: sparse_init_one_section"
    static let addPages = "mm/memory_hotplug.c: __add_pages"
    static let altmaps = "mm/memory_hotplug.c: create_altmaps_and_memory_blocks"
    static let initPages = "mm/mm_init.c (older kernels: mm/page_alloc.c): memmap_init_range, __init_single_page"
    static let dlpar =
        "arch/powerpc/platforms/pseries/hotplug-memory.c: dlpar_memory_add_by_ic, dlpar_add_lmb, dlpar_memory_remove_by_ic"
    static let crashHeader = "arch/powerpc/kexec/crash.c: update_crash_elfcorehdr"
}
