// SPDX-License-Identifier: Apache-2.0

/// A field of a snapshot's JSON, and whether a change of it alone is noticed.
///
/// A test changes each of them in recorded snapshots: whatever is judged has to be noticed.
public struct SnapshotField: Sendable {
    /// What a change of the field comes to.
    public enum Standing: Sendable {
        /// A finding, something unsaid, or a refusal.
        case judged
        /// A refusal: the document is none.
        case refused
        /// One of those, except where this says why not.
        case partlyJudged(String)
        /// Nothing, and this is why.
        case informational(String)
    }

    /// Its path: `[]` for an array's elements; of a table, its columns.
    public let path: String
    /// What a change of it comes to.
    public let standing: Standing
    /// Whether the order of its elements says something, and how often the same one stands there.
    public let isOrdered: Bool

    init(_ path: String, _ standing: Standing, isOrdered: Bool = true) {
        (self.path, self.standing, self.isOrdered) = (path, standing, isOrdered)
    }

    /// All fields, as the document has them.
    public static let all: [SnapshotField] = [
        .init("schema", .refused),
        .init("witnesses", .judged, isOrdered: false),
        .init("witnesses[]", .judged, isOrdered: false),
        .init("kernel", .judged),
        .init(
            "kernel.isBigEndian",
            .informational("it says how the words were read, and whoever reads in the other order finds no kernel")),
        .init("kernel.mmu", .judged),
        .init("kernel.pageByteCount", .judged),
        .init("kernel.release", .judged),
        .init("kernel.sectionSizeBits", .judged),
        .init("kernel.structPageByteCount", .judged),
        .init("kernel.vmemmapBase", .judged),
        .init("kernel.vmemmapPageShift", .partlyJudged("a kernel without a list does not use it")),
        .init("memory", .judged, isOrdered: false),
        .init("memory[]", .judged),
        .init("memory[].base", .judged),
        .init("memory[].byteCount", .judged),
        .init("memory[].name", .informational("what libvirt calls it")),
        .init("memory[].node", .informational("the struct pages were held against it when they were read")),
        .init("sections", .judged),
        .init("sections.flags", .judged),
        .init("sections.number", .judged),
        .init("sections.state", .judged),
        .init("sections.subsections", .judged),
        .init("sections.vmemmapBase", .judged),
        .init("freeNodes", .partlyJudged("a kernel's file need not tell where they are kept")),
        // How they follow each other is in their links alone, which a snapshot does not have.
        .init("freeNodes.freed", .judged, isOrdered: false),
        .init("freeNodes.freed.node", .judged, isOrdered: false),
        .init("freeNodes.freedCount", .judged),
        .init("freeNodes.leftCount", .judged),
        .init("freeNodes.next", .judged),
        .init("freeNodes.unused", .judged),
        .init("kernelList", .judged),
        .init("kernelList.end", .judged),
        .init("kernelList.endLink", .judged),
        .init("kernelList.entries", .judged),
        .init("kernelList.entries.list", .judged),
        .init("kernelList.entries.node", .judged),
        .init("kernelList.entries.phys", .judged),
        .init("kernelList.entries.virtAddr", .judged),
        .init("kernelList.head", .judged),
        .init("pageTables", .judged),
        .init("pageTables.faults", .judged),
        .init("pageTables.windows", .judged),
        .init("pageTables.windows.byteCount", .judged),
        .init("pageTables.windows.phys", .judged),
        .init(
            "pageTables.windows.place",
            .partlyJudged("in records of before tables were told, present memory and the blocks are all that tells")),
        .init("pageTables.windows.virtAddr", .judged),
        .init("pageTables.isCut", .judged),
        .init("pageTables.tables", .partlyJudged("records of before they were told have none")),
        .init(
            "pageTables.tables.base",
            .partlyJudged("of one that leads to tables alone, nothing tells but present memory and the blocks")),
        .init("pageTables.tables.byteCount", .judged),
        .init("pageTables.tables.level", .judged),
        .init("pageTables.tables.state", .judged),
        .init("pageTables.tables.virtAddr", .judged),
        .init("pageTables.faults[].entry", .judged),
        .init("pageTables.faults[].virtAddr", .judged),
        .init("pageTables.faults[].reason", .judged),
        .init("pageTables.faults[].word", .judged),
        .init("hashTable", .judged),
        .init("hashTable.context", .judged),
        .init("hashTable.entries", .judged),
        .init(
            "hashTable.entries.index",
            .partlyJudged("which of its group's eight places an entry has is the kernel's affair")),
        .init("hashTable.entries.r", .partlyJudged("the processor has bits of its own in it, referenced and changed")),
        .init("hashTable.entries.v", .partlyJudged("software and QEMU have bits of their own in it")),
        .init("hashTable.segmentShift", .judged),
        .init("hashTable.tableShift", .partlyJudged("a table of another size may have the same places")),
        .init(
            "hashTable.validCount",
            .informational(
                "it is at least the number of entries, and fits into the table; the others are processes' mappings")),
        .init("hashTable.virtualBitCount", .judged),
        .init("hashTableProblem", .judged),
        .init(
            "peakEntryCount",
            .informational(
                "it is at least the number of entries, and a bound of node pages; how long the list has been before, nothing else tells"
            )),
        .init("mirror", .judged),
        .init("mirror.header", .judged),
        .init("mirror.header[]", .judged),
        .init("mirror.header[].field", .judged),
        .init("mirror.header[].value", .partlyJudged("of the generation only whether it is odd says something")),
        .init("mirror.list", .judged),
        .init("mirror.list.end", .judged),
        .init("mirror.list.endLink", .judged),
        .init("mirror.list.entries", .judged),
        .init("mirror.list.entries.list", .judged),
        .init("mirror.list.entries.node", .judged),
        .init("mirror.list.entries.phys", .judged),
        .init("mirror.list.entries.virtAddr", .judged),
        .init("mirror.list.head", .judged),
        .init("mirror.provenance", .judged),
        .init(
            "mirror.provenance[]",
            .partlyJudged("an entry for memory of both kinds, of boot and later, may have come either way")),
        .init("mirror.statements", .judged),
        .init("mirror.statements[]", .judged),
        .init("mirror.statements[].field", .judged),
        .init("mirror.statements[].source", .informational("it is said in findings")),
        .init("mirror.statements[].value", .judged),
        .init("mirror.leafByteCounts", .judged),
        .init("mirror.leafByteCounts[]", .judged),
        .init("report", .judged),
        .init("report.blockByteCount", .judged),
        .init("report.blocks", .judged),
        .init("report.blocks.index", .judged),
        .init("report.blocks.state", .partlyJudged("sections of a block that goes offline may be either")),
        .init("report.list", .judged),
        .init("report.list.end", .judged),
        .init("report.list.endLink", .judged),
        .init("report.list.entries", .judged),
        .init("report.list.entries.list", .judged),
        .init("report.list.entries.node", .judged),
        .init("report.list.entries.phys", .judged),
        .init("report.list.entries.virtAddr", .judged),
        .init("report.list.head", .judged),
        .init("report.pageTables", .judged),
        .init("report.pageTables.faults", .judged),
        .init("report.pageTables.windows", .judged),
        .init("report.pageTables.windows.byteCount", .judged),
        .init("report.pageTables.windows.phys", .judged),
        .init("report.pageTables.windows.place", .judged),
        .init("report.pageTables.windows.virtAddr", .judged),
        .init("reportProblem", .judged),
        .init("readBack", .judged),
        .init("readBack.isCutShort", .judged),
        .init("readBack.nonce", .informational("it is random; the stamps are gone")),
        .init("readBack.runs", .judged),
        .init("readBack.runs.byteCount", .judged),
        .init("readBack.runs.phys", .judged),
        .init("readBack.runs.virtAddr", .judged),
        .init("readBack.stamped", .partlyJudged("more pages may have been stamped than were read")),
        .init("readBack.stamped.base", .partlyJudged("more pages may have been stamped than were read")),
        .init("readBack.stamped.byteCount", .partlyJudged("more pages may have been stamped than were read")),
        .init("readBackProblem", .informational("why the MMU was asked address by address")),
        .init("translations", .judged, isOrdered: false),
        .init("translations.answer", .judged),
        .init("translations.phys", .judged),
        .init("translations.virtAddr", .judged),
        .init("formerWindows", .partlyJudged("what `verify` holds against the snapshot before"), isOrdered: false),
        .init("formerWindows.byteCount", .partlyJudged("what `verify` holds against the snapshot before")),
        .init(
            "formerWindows.phys",
            .informational("what `verify` holds against the snapshot before"), isOrdered: false),
        .init("formerWindows.place", .informational("what `verify` holds against the snapshot before")),
        .init("formerWindows.virtAddr", .partlyJudged("what `verify` holds against the snapshot before")),
        .init("formerTranslations", .judged, isOrdered: false),
        .init("formerTranslations.answer", .judged),
        .init("formerTranslations.phys", .judged),
        .init(
            "formerTranslations.virtAddr",
            .partlyJudged("the same answer may be told of another address that was asked as well")),
        .init("structPages", .judged),
        .init("structPages.faultCount", .judged),
        .init("structPages.faults", .judged),
        .init(
            "structPages.formerBlockCount",
            .informational("how much of what is gone is memory that is still there, nothing else tells")),
        .init("structPages.formerFreeCount", .informational("what has become of a block that is gone, nothing tells")),
        .init("structPages.frameStride", .judged),
        .init("structPages.freePlaceCount", .judged),
        .init("structPages.freePlaces", .judged),
        .init(
            "structPages.provenBlockCount",
            .informational("which blocks hold a struct page with such links is the allocator's affair")),
        .init("structPages.readCount", .judged),
        .init("structPages.unreadableCount", .judged),
        .init("structPages.faults[].fault", .judged),
        .init("structPages.faults[].frame", .judged),
        .init("structPages.faults[].phys", .judged),
        .init("structPages.faults[].word", .judged),
        .init("structPages.freePlaces[].kind", .judged),
        .init("structPages.freePlaces[].phys", .judged),
        .init("structPages.freePlaces[].virtAddr", .judged),
        .init("history", .judged),
        .init("history.bootMemory", .judged, isOrdered: false),
        .init("history.bootMemory[]", .judged),
        .init("history.bootMemory[].base", .judged),
        .init("history.bootMemory[].byteCount", .judged),
        .init("history.bootMemory[].name", .informational("what libvirt calls it")),
        .init("history.steps", .partlyJudged("a plug that failed before anything was linked leaves nothing")),
        .init("history.steps[].base", .partlyJudged("a plug that failed before anything was linked leaves nothing")),
        .init(
            "history.steps[].byteCount",
            .partlyJudged("a plug that failed before anything was linked leaves nothing")),
        .init("history.steps[].change", .partlyJudged("a plug that failed before anything was linked leaves nothing")),
        .init(
            "history.steps[].hasAltmap",
            .partlyJudged("where a populate begins shows where memory begins in the middle of a block's")),
        .init("history.steps[].linkedCount", .partlyJudged("it shows in the nodes of what comes afterwards")),
        .init("history.gap", .judged),
        .init(
            "radixStarts",
            .informational(
                "what the verifications before have ruled out, which `verify` follows from verdict to verdict")),
        .init(
            "radixStarts[]",
            .informational(
                "what the verifications before have ruled out, which `verify` follows from verdict to verdict")),
        .init("vmcore", .judged),
        .init("vmcore.dumpByteCount", .judged),
        .init("vmcore.firstUnreachable", .judged),
        .init("vmcore.list", .judged),
        .init("vmcore.list.end", .judged),
        .init("vmcore.list.endLink", .judged),
        .init("vmcore.list.entries", .judged),
        .init("vmcore.list.entries.list", .judged),
        .init("vmcore.list.entries.node", .judged),
        .init("vmcore.list.entries.phys", .judged),
        .init("vmcore.list.entries.virtAddr", .judged),
        .init("vmcore.list.head", .judged),
        .init("vmcore.loadCount", .judged),
        .init("vmcore.sections", .judged),
        .init("vmcore.sections.number", .judged),
        .init("vmcore.sections.state", .judged),
        .init("vmcore.unreachableCount", .judged),
        .init("vmcore.pageTables", .judged),
        .init("vmcoreProblem", .judged),
        .init("interruptedAdd", .judged),
        .init("interruptedAdd.name", .judged),
        .init("interruptedAdd.base", .judged),
        .init("interruptedAdd.byteCount", .judged),
        .init("interruptedAdd.node", .informational("the struct pages were held against it when they were read")),
        .init("noteProblem", .judged),
        .init("crashHeader", .judged),
        .init("crashHeader.hashTableOrder", .partlyJudged("nobody knows it on radix, and it may not be known on hash")),
        .init("crashHeader.header", .judged),
        .init("crashHeader.header.address", .partlyJudged("it is in the reservation")),
        .init("crashHeader.header.hashTableOrders", .partlyJudged("it is hash's"), isOrdered: false),
        .init("crashHeader.header.hashTableOrders[]", .partlyJudged("it is hash's")),
        .init(
            "crashHeader.header.loads",
            .partlyJudged("a piece inside the reservation is not missed"), isOrdered: false),
        .init("crashHeader.header.loads[]", .judged),
        .init("crashHeader.header.loads[].byteCount", .judged),
        .init("crashHeader.header.loads[].fileByteCount", .judged),
        .init(
            "crashHeader.header.loads[].fileOffset",
            .partlyJudged("the copy of the first 64 KiB is anywhere in the reservation")),
        .init("crashHeader.header.loads[].physAddr", .partlyJudged("a piece inside the reservation is not missed")),
        .init("crashHeader.header.noteRelease", .judged),
        .init(
            "crashHeader.header.notes",
            .partlyJudged("noteRelease is what was read from the notes"), isOrdered: false),
        .init("crashHeader.header.notes[]", .judged),
        .init("crashHeader.header.notes[].byteCount", .informational("noteRelease is what was read from the notes")),
        .init(
            "crashHeader.header.notes[].fileByteCount",
            .informational("noteRelease is what was read from the notes")),
        .init("crashHeader.header.notes[].fileOffset", .informational("noteRelease is what was read from the notes")),
        .init("crashHeader.header.notes[].physAddr", .informational("noteRelease is what was read from the notes")),
        .init("crashHeader.header.treeAddress", .partlyJudged("it is in the reservation")),
        .init("crashHeader.reservationBase", .judged),
        .init(
            "crashHeader.reservationByteCount",
            .partlyJudged("it has what is loaded in it; how much more there is, nothing tells")),
        .init("crashHeader.problem", .judged),
    ]
}
