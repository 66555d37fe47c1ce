// SPDX-License-Identifier: Apache-2.0

import GuestMemory
import HarnessBasics
import VmemmapPopulate

/// A constant in a snapshot that no kernel and no machine has: somebody edited the file, or it is damaged.
public struct SnapshotProblem: Error, Equatable, Sendable, CustomStringConvertible {
    /// The snapshot's field.
    public let field: String
    /// What it says, after its verb.
    public let value: String
    /// What it can say.
    public let limit: String

    /// What a person reads.
    public var description: String { "the snapshot's \(field) \(value); it is \(limit)" }
}

extension Snapshot {
    /// The most pieces of memory: libvirt allows 256 DIMMs, and there is boot memory.
    public static let memoryRangeLimit = 257
    /// The most memory that the present sections may stand for: as much as a pseries guest's address space holds.
    static let sectionByteLimit: UInt64 = 16 << 40

    /// Refuses constants that the verifier's arithmetic and loops are not made for. The words of the witnesses may be
    /// anything.
    func checkConstants() throws(SnapshotProblem) {
        func check(_ field: String, _ value: UInt64, _ isPossible: Bool, _ limit: String) throws(SnapshotProblem) {
            guard isPossible else { throw SnapshotProblem(field: field, value: "is \(value)", limit: limit) }
        }
        let pageByteCount = kernel.pageByteCount
        try check("kernel.pageByteCount", pageByteCount, [4096, 65536].contains(pageByteCount), "4096 or 65536")
        let sectionBits = kernel.sectionSizeBits
        try check("kernel.sectionSizeBits", sectionBits, 20...32 ~= sectionBits, "20 to 32")
        let structByteCount = kernel.structPageByteCount
        try check(
            "kernel.structPageByteCount", structByteCount, 32...256 ~= structByteCount && structByteCount % 8 == 0,
            "a multiple of 8 from 32 to 256")
        if let shift = kernel.vmemmapPageShift {
            try check("kernel.vmemmapPageShift", shift, 12...34 ~= shift, "12 to 34, or absent")
        }
        try checkWitnesses()
        guard memory.count <= Self.memoryRangeLimit else {
            throw SnapshotProblem(
                field: "memory", value: "has \(memory.count) pieces", limit: "at most \(Self.memoryRangeLimit)")
        }
        let sectionCountLimit = Self.sectionByteLimit >> sectionBits
        guard sections.count <= sectionCountLimit else {
            throw SnapshotProblem(
                field: "sections", value: "has \(sections.count) elements",
                limit: "at most \(sectionCountLimit), which are \(Self.sectionByteLimit.hexadecimal) bytes of memory")
        }
        for (index, memory) in memory.enumerated() {
            try checkEnd("memory[\(index)]", memory.base, memory.byteCount)
        }
        try checkInterruptedAdd()
        try checkHistory()
        try checkPageTables()
        try checkHashTable()
        try checkReadBack()
        try checkStructPages()
        try checkCrashHeader()
        let sectionLimit = LinearMap.byteCount >> sectionBits
        for (index, section) in sections.enumerated() {
            try check("sections[\(index)]", section.number, section.number < sectionLimit, "below \(sectionLimit)")
            guard let flags = section.flags.map(SectionFlags.init) else { continue }
            guard flags.contains(.present), flags.contains(.online) == section.isOnline, flags.rawValue < 0x1000 else {
                throw SnapshotProblem(
                    field: "sections[\(index)].flags", value: "is \(flags.rawValue.hexadecimal)",
                    limit: "below 0x1000, those of a present section that is \(section.isOnline ? "online" : "offline")"
                )
            }
        }
        guard peakEntryCount >= kernelList.entries.count else {
            throw SnapshotProblem(
                field: "peakEntryCount", value: "is \(peakEntryCount)",
                limit: "at least \(kernelList.entries.count), the number of entries")
        }
    }

    /// A list or page tables are the kernel's account, and page tables are radix's.
    private func checkWitnesses() throws(SnapshotProblem) {
        let names = witnesses.prefix(16).map(\.rawValue).joined(separator: ", ")
        let accounts = Set(witnesses).intersection([.kernelList, .pageTables])
        guard !accounts.isEmpty, kernel.mmu == .radix || !accounts.contains(.pageTables),
            Set(witnesses).count == witnesses.count
        else {
            throw SnapshotProblem(
                field: "witnesses", value: "is \(names.isEmpty ? "empty" : names)",
                limit: "each at most once, the kernel's list or a radix kernel's page tables among them")
        }
    }

    /// Memory that was being added is a piece of the machine's own, and its kernel is dead: it excuses what is not there.
    private func checkInterruptedAdd() throws(SnapshotProblem) {
        guard let added = interruptedAdd else { return }
        guard isOfCrash, added.name != "boot", added.byteCount > 0, memory.contains(added) else {
            throw SnapshotProblem(
                field: "interruptedAdd", value: "is \(added.name.prefix(40)) at \(added.base.hexadecimal)",
                limit: "a DIMM of a machine whose kernel has crashed, or absent")
        }
    }

    /// The model's arithmetic is made for addresses that memory can have, and its time for so many steps.
    private func checkHistory() throws(SnapshotProblem) {
        guard let history else { return }
        guard history.bootMemory.count <= Self.memoryRangeLimit else {
            throw SnapshotProblem(
                field: "history.bootMemory", value: "has \(history.bootMemory.count) pieces",
                limit: "at most \(Self.memoryRangeLimit)")
        }
        guard history.steps.count <= HotplugHistory.stepLimit else {
            throw SnapshotProblem(
                field: "history.steps", value: "has \(history.steps.count) elements",
                limit: "at most \(HotplugHistory.stepLimit)")
        }
        for (index, memory) in history.bootMemory.enumerated() {
            try checkEnd("history.bootMemory[\(index)]", memory.base, memory.byteCount)
        }
        for (index, step) in history.steps.enumerated() {
            try checkEnd("history.steps[\(index)]", step.base, step.byteCount)
            guard (step.change == .failed) == (step.linkedCount != nil) else {
                throw SnapshotProblem(
                    field: "history.steps[\(index)].linkedCount",
                    value: step.linkedCount.map { "is \($0)" } ?? "is missing",
                    limit: "a number where a populate failed, and nowhere else")
            }
        }
    }

    /// A walk gives windows where tables can have them, of the sizes that entries have, ascending.
    private func checkPageTables() throws(SnapshotProblem) {
        guard let tables = pageTables else { return }
        for (index, table) in (tables.tables ?? []).enumerated() where ![256, 4096].contains(table.byteCount) {
            throw SnapshotProblem(
                field: "pageTables.tables[\(index)]", value: "has \(table.byteCount) bytes", limit: "256 or 4096")
        }
        var end = RadixWalk.mappableRange.lowerBound
        for (index, window) in tables.windows.enumerated() {
            guard [kernel.pageByteCount, 2 << 20, 1 << 30].contains(window.byteCount) else {
                throw SnapshotProblem(
                    field: "pageTables.windows[\(index)]", value: "has \(window.byteCount) bytes",
                    limit: "a base page, 2 MiB or 1 GiB")
            }
            guard window.virtAddr % window.byteCount == 0, window.virtAddr >= end,
                window.virtAddr < RadixWalk.mappableRange.upperBound
            else {
                throw SnapshotProblem(
                    field: "pageTables.windows[\(index)]", value: "is at \(window.virtAddr.hexadecimal)",
                    limit: "a multiple of its size from \(end.hexadecimal) to "
                        + RadixWalk.mappableRange.upperBound.hexadecimal)
            }
            end = window.virtAddr + window.byteCount
        }
    }

    /// A hashed page table is hash's, of a size that can be, with entries in it, each once and ascending.
    private func checkHashTable() throws(SnapshotProblem) {
        guard let table = hashTable else { return }
        func check(_ field: String, _ value: UInt64, _ isPossible: Bool, _ limit: String) throws(SnapshotProblem) {
            guard isPossible else {
                throw SnapshotProblem(field: "hashTable.\(field)", value: "is \(value)", limit: limit)
            }
        }
        guard kernel.mmu == .hash else {
            throw SnapshotProblem(field: "hashTable", value: "is there", limit: "a hash kernel's")
        }
        try check("tableShift", table.tableShift, 18...30 ~= table.tableShift, "18 to 30")
        let known = HashedSegments.candidates.contains(
            HashedSegments(
                segmentShift: table.segmentShift, virtualBitCount: table.virtualBitCount, context: table.context))
        try check("context", table.context, known, "one of a kernel's, with segments of a kernel's")
        var next: UInt64 = 0
        for entry in table.entries {
            try check(
                "entries", entry.index, entry.index >= next && entry.index < 1 << (table.tableShift - 4),
                "\(next) to the table's end")
            next = entry.index + 1
        }
        let slotCount = 1 << (table.tableShift - 4)
        try check(
            "validCount", UInt64(clamping: table.validCount),
            table.entries.count...max(slotCount, table.entries.count) ~= table.validCount,
            "\(table.entries.count), the number of entries, to \(slotCount)")
    }

    /// Runs are whole pages, ascending, and lead to pages that were stamped: nothing else could be known of them.
    private func checkReadBack() throws(SnapshotProblem) {
        guard let readBack else { return }
        func isWhole(_ number: UInt64) -> Bool { number % ReadBack.pageByteCount == 0 }
        var stamped = MemoryRanges()
        var end: UInt64 = 0
        for (index, pages) in readBack.stamped.enumerated() {
            let field = "readBack.stamped[\(index)]"
            try checkEnd(field, pages.base, pages.byteCount)
            guard pages.base >= end, pages.byteCount > 0, isWhole(pages.base | pages.byteCount) else {
                throw SnapshotProblem(
                    field: field, value: "is \(pages.byteCount) bytes at \(pages.base.hexadecimal)",
                    limit: "whole pages of \(ReadBack.pageByteCount) bytes from \(end.hexadecimal) on")
            }
            end = pages.base + pages.byteCount
            stamped.insert(pages.base..<end)
        }
        end = 0
        for (index, run) in readBack.runs.enumerated() {
            let field = "readBack.runs[\(index)]"
            let runEnd = run.virtAddr.addingReportingOverflow(run.byteCount)
            guard run.virtAddr >= end, run.byteCount > 0, !runEnd.overflow,
                isWhole(run.virtAddr | run.phys | run.byteCount)
            else {
                throw SnapshotProblem(
                    field: field, value: "is \(run.byteCount) bytes at \(run.virtAddr.hexadecimal)",
                    limit: "whole pages of \(ReadBack.pageByteCount) bytes from \(end.hexadecimal) on")
            }
            try checkEnd(field, run.phys, run.byteCount)
            guard stamped.contains(run.phys..<run.phys + run.byteCount) else {
                throw SnapshotProblem(
                    field: field, value: "leads to \(run.phys.hexadecimal)", limit: "pages that were stamped")
            }
            end = runEnd.partialValue
        }
    }

    /// What was counted is what there was to be counted.
    private func checkStructPages() throws(SnapshotProblem) {
        guard let pages = structPages else { return }
        func check(
            _ field: String, _ value: Int, _ possible: ClosedRange<Int>, _ limit: String
        ) throws(SnapshotProblem) {
            guard possible ~= value else {
                throw SnapshotProblem(field: "structPages.\(field)", value: "is \(value)", limit: limit)
            }
        }
        let usual = max(1, 4096 / kernel.structPageByteCount)
        guard [1, usual].contains(pages.frameStride) else {
            throw SnapshotProblem(
                field: "structPages.frameStride", value: "is \(pages.frameStride)", limit: "1, or \(usual)")
        }
        let frameCount = onlineSections.count * Int(sampledFrameCount(stride: pages.frameStride))
        try check("readCount", pages.readCount, frameCount...frameCount, "\(frameCount), for the online sections")
        try check("unreadableCount", pages.unreadableCount, 0...frameCount, "0 to \(frameCount)")
        try check(
            "faultCount", pages.faultCount, 0...frameCount - pages.unreadableCount, "0 to the number of pages read")
        let toldCount = min(pages.faultCount, StructPagesSnapshot.toldLimit)
        try check("faults", pages.faults.count, toldCount...toldCount, "\(toldCount) elements")
        let entryCount = accountEntries.count
        try check(
            "provenBlockCount", pages.provenBlockCount, 0...entryCount, "0 to \(entryCount), the number of entries")
        try check("freePlaceCount", pages.freePlaceCount, 0...2 * entryCount, "0 to \(2 * entryCount)")
        let placeCount = min(pages.freePlaceCount, StructPagesSnapshot.toldLimit)
        try check("freePlaces", pages.freePlaces.count, placeCount...placeCount, "\(placeCount) elements")
        try check(
            "formerBlockCount", pages.formerBlockCount, 0...formerWindows.count,
            "0 to \(formerWindows.count), the number of windows that are gone")
        try check(
            "formerFreeCount", pages.formerFreeCount, 0...pages.formerBlockCount, "0 to \(pages.formerBlockCount)")
    }

    private func checkEnd(_ field: String, _ base: UInt64, _ byteCount: UInt64) throws(SnapshotProblem) {
        let (end, overflows) = base.addingReportingOverflow(byteCount)
        guard !overflows, end <= LinearMap.byteCount else {
            throw SnapshotProblem(
                field: field, value: "ends at \(base.hexadecimal) + \(byteCount) bytes",
                limit: "at most \(LinearMap.byteCount.hexadecimal)")
        }
    }
}
