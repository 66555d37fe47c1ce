// SPDX-License-Identifier: Apache-2.0

import GuestMemory
import HarnessBasics
import VmemmapPopulate

/// What is true of a radix kernel's page tables over its memory map.
struct PageTableChecks {
    let snapshot: Snapshot
    let tables: WalkedTables
    /// The base pages for memory that never came which the kernel's start rule accounts for, by their addresses.
    var leaks: Set<UInt64> = []

    private var windows: [BackedWindow] { tables.windows }

    /// Entries that lead nowhere, or map memory as the kernel does not.
    func faults(subject: Finding.Subject = .pageTables) -> [Finding] {
        tables.faults.map { fault in
            let entry = "the page table entry at \(fault.entry.hexadecimal) for virt \(fault.virtAddr.hexadecimal)"
            let word = fault.word.map { " (it is \($0.wrappedValue.hexadecimal))" } ?? ""
            return switch fault.reason {
            case .unreadable where subject == .vmcore:
                Finding(subject, .notInDump, "\(entry) is not in the dump")
            case .unreadable: Finding(subject, .linkOutsideMemory, "\(entry) stands where no memory is")
            case .tableSize:
                Finding(subject, .tableSize, "\(entry) leads to a table of a size that none has there\(word)")
            case .tableAlignment:
                Finding(subject, .misalignedTable, "\(entry) leads to a table that is not aligned\(word)")
            case .wrongLevel:
                Finding(subject, .wrongLevel, "\(entry) is of a kind that has no place at its level\(word)")
            case .notValid:
                Finding(subject, .notValid, "\(entry) maps nothing, and is not clear\(word)")
            case .attributes:
                Finding(
                    subject, .attributes,
                    "\(entry) does not map memory for the kernel alone, to be read and written through the cache\(word)"
                )
            }
        }
    }

    /// Tables that stand where no memory is present, or in the memory of a block. Where the walk does not tell them, those that
    /// map something are known by their entries.
    func places(_ present: PresentMemory) -> [Finding] {
        let blocks = BlockMemory(snapshot.accountEntries)
        var seen: Set<UInt64> = []
        let known =
            tables.tables?.map { (base: $0.base, virtAddr: $0.virtAddr, byteCount: $0.byteCount) }
            // Nine bits' worth of entries, or five: 4096 bytes hold a table of the last two levels.
            ?? windows.filter { seen.insert($0.place / 4096).inserted }
            .map { (base: $0.place, virtAddr: $0.virtAddr, byteCount: 8) }
        // A table that cannot be read is told by the entry that leads there.
        let unreadable = Set(tables.faults.filter { $0.reason == .unreadable }.map { $0.entry.alignedDown(to: 4096) })
        return known.compactMap { table in
            guard !unreadable.contains(table.base.alignedDown(to: 4096)) else { return nil }
            var text: String {
                "the page table at \(table.base.hexadecimal) for virt \(table.virtAddr.hexadecimal)"
            }
            guard present.has(table.base, byteCount: table.byteCount) else {
                return Finding(.pageTables, .outsideMemory, "\(text) stands outside present memory")
            }
            return (blocks.block(at: table.base) ?? blocks.block(at: table.base + table.byteCount - 1)).map {
                Finding(
                    .pageTables, .placeInBlock,
                    "\(text) stands in the block of virt \($0.virtAddr.hexadecimal) (phys \($0.phys.hexadecimal))")
            }
        } + cut()
    }

    /// What the walk did not come to.
    private func cut() -> [Finding] {
        guard tables.isCut == true else { return [] }
        return [
            Finding(
                .pageTables, .tooLong,
                "there are more page tables over the memory map, or leaves, than any memory needs: the walk ended with "
                    + "\(tables.windows.count) leaves")
        ]
    }

    /// Windows of device memory that have the block of another such one: the tail pages of a compound page are alike, and the
    /// kernel has one page of them for many windows (`vmemmap_populate_compound_pages`, mm/sparse-vmemmap.c and
    /// radix_pgtable.c, since 6.6).
    private func sharedTails() -> Set<UInt64> {
        var devices = MemoryRanges()
        for section in snapshot.sections where section.isDeviceMemory { devices.insert(range(of: section)) }
        guard !devices.ranges.isEmpty else { return [] }
        let geometry = geometry
        let tails = windows.filter { window in
            window.addresses.flatMap(geometry.describedMemory).map(devices.contains) ?? false
        }
        let counts = Dictionary(tails.map { (TailBlock($0), 1) }, uniquingKeysWith: +)
        return Set(tails.filter { counts[TailBlock($0), default: 0] > 1 }.map(\.virtAddr))
    }

    private struct TailBlock: Hashable {
        let phys: UInt64
        let byteCount: UInt64

        init(_ window: BackedWindow) { (phys, byteCount) = (window.phys, window.byteCount) }
    }

    /// The windows of device memory whose sharing is not judged, as a person reads it; empty where there are none.
    var sharedTailText: String {
        let count = sharedTails().count
        return count == 0
            ? "" : "; \(count) windows of device memory share the pages of others' tails, which is not judged"
    }

    /// The tables that map nothing and were not freed, as a person reads it; empty where there are none.
    var emptyTableText: String {
        let count = tables.tables?.count { $0.state == .empty } ?? 0
        return count == 0 ? "" : "; \(count) tables map nothing"
    }

    // MARK: - Beside a list

    /// The kernel's list and its page tables are two records of one thing: what the one has is mapped so in the other, and
    /// nothing else is.
    ///
    /// A block goes onto the list before it is mapped: of those that the kernel was making when it died, some may be on the
    /// list only, which the count of the unsaid tells.
    func againstList() -> (agreeingCount: Int, unsaidCount: Int, findings: [Finding]) {
        let listed = snapshot.windows(of: snapshot.kernelList).sorted { $0.virtAddr < $1.virtAddr }
        var findings: [Finding] = []
        var mapped = MemoryRanges()
        var contradicted: Set<UInt64> = []
        for window in windows {
            if let range = window.addresses { mapped.insert(range) }
            guard let entry = Self.entry(in: listed, holding: window) else {
                findings.append(
                    Finding(
                        .pageTables, .extraEntry,
                        "virt \(window.virtAddr.hexadecimal) → phys \(window.phys.hexadecimal) (\(window.byteCount) "
                            + "bytes) is in the kernel's page tables and not on its list"))
                continue
            }
            guard window.phys != entry.phys &+ (window.virtAddr - entry.virtAddr),
                contradicted.insert(entry.virtAddr).inserted
            else { continue }
            findings.append(
                Finding(
                    .pageTables, .wrongPhysical,
                    "virt \(entry.virtAddr.hexadecimal) has phys \(entry.phys.hexadecimal) on the kernel's list, and its "
                        + "page tables map virt \(window.virtAddr.hexadecimal) to \(window.phys.hexadecimal)"))
        }
        var (agreeingCount, unsaidCount) = (0, 0)
        let interrupted = InterruptedAdd(snapshot)
        for entry in listed {
            let (end, overflows) = entry.virtAddr.addingReportingOverflow(entry.byteCount)
            if overflows || !mapped.contains(entry.virtAddr..<end) {
                if interrupted?.makes(entry) == true {
                    unsaidCount += 1
                    continue
                }
                findings.append(
                    Finding(
                        .pageTables, .missingEntry,
                        "virt \(entry.virtAddr.hexadecimal) → phys \(entry.phys.hexadecimal) is on the kernel's list, and "
                            + "its page tables do not map all of it"))
            } else if !contradicted.contains(entry.virtAddr) {
                agreeingCount += 1
            }
        }
        return (agreeingCount, unsaidCount, findings)
    }

    /// The listed window that a mapped one lies in.
    private static func entry(in listed: [BackedWindow], holding window: BackedWindow) -> BackedWindow? {
        var (low, high) = (0, listed.count)
        while low < high {
            let middle = (low + high) / 2
            if listed[middle].virtAddr <= window.virtAddr { low = middle + 1 } else { high = middle }
        }
        guard low > 0 else { return nil }
        let entry = listed[low - 1]
        let offset = window.virtAddr - entry.virtAddr
        return offset < entry.byteCount && window.byteCount <= entry.byteCount - offset ? entry : nil
    }

    // MARK: - As the kernel's only account

    /// What would be wrong of any account: places, overlaps and the memory map that has to be covered.
    func asAccount() -> (coveredSectionCount: Int, findings: [Finding]) {
        let coverage = coverage()
        let altmaps = AltmapChecks(snapshot: snapshot, geometry: geometry)?.findings() ?? []
        return (coverage.coveredCount, places() + overlaps() + altmaps + coverage.findings)
    }

    /// Base pages as windows: no page of the memory map is smaller.
    private var geometry: MemoryMapGeometry {
        MemoryMapGeometry(
            vmemmapBase: snapshot.kernel.vmemmapBase,
            vmemmapPageShift: UInt64(snapshot.kernel.pageByteCount.trailingZeroBitCount),
            pageByteCount: snapshot.kernel.pageByteCount, structPageByteCount: snapshot.kernel.structPageByteCount)
    }

    private func range(of section: PresentSection) -> Range<UInt64> {
        section.number << snapshot.kernel.sectionSizeBits..<(section.number + 1) << snapshot.kernel.sectionSizeBits
    }

    /// Each window by itself: of a size that the kernel uses there, aligned, inside memory, and describing some.
    private func places() -> [Finding] {
        var present = MemoryRanges()
        for section in snapshot.sections { present.insert(range(of: section)) }
        // A section's memory map is populated before the section is present.
        if let added = snapshot.interruptedAdd { present.insert(added.range) }
        let geometry = geometry
        return windows.flatMap { window in
            var findings: [Finding] = []
            var virt: String {
                "virt \(window.virtAddr.hexadecimal) in the page table entry at \(window.place.hexadecimal)"
            }
            if window.byteCount > EmulatedLayout.pmdByteCount {
                findings.append(
                    Finding(
                        .pageTables, .wrongLevel,
                        "\(virt) is mapped with \(window.byteCount) bytes at once; the kernel maps its memory map with "
                            + "\(EmulatedLayout.pmdByteCount) at most"))
            }
            if window.phys % window.byteCount != 0 {
                findings.append(
                    Finding(
                        .pageTables, .misalignedPhysical,
                        "phys \(window.phys.hexadecimal) of \(virt) is no multiple of \(window.byteCount.hexadecimal)"))
            }
            let (end, overflows) = window.phys.addingReportingOverflow(window.byteCount)
            if overflows || !present.contains(window.phys..<end) {
                findings.append(
                    Finding(
                        .pageTables, .physicalOutsideMemory,
                        "phys \(window.phys.hexadecimal) of \(virt) lies outside present memory"))
            }
            guard let described = window.addresses.flatMap(geometry.describedMemory) else {
                findings.append(
                    Finding(
                        .pageTables, .virtualOutsideVmemmap,
                        "\(virt) lies outside the memory map, which starts at \(geometry.vmemmapBase.hexadecimal)"))
                return findings
            }
            if !present.intersects(described.lowerBound...described.upperBound - 1) {
                let text =
                    "\(virt) describes \(described.lowerBound.hexadecimal) to \(described.upperBound.hexadecimal), where no "
                    + "section is present"
                findings.append(
                    leaks.contains(window.virtAddr)
                        ? Finding(
                            .pageTables, .leakedEntry,
                            "\(text): the kernel had no block for memory behind it, and began before it")
                        : Finding(.pageTables, .staleEntry, text))
            }
            return findings
        }
    }

    /// Two blocks share no memory, except where they are a device's tail pages.
    private func overlaps() -> [Finding] {
        var findings: [Finding] = []
        var last: BackedWindow?
        let tails = sharedTails()
        var seenTails: Set<TailBlock> = []
        let alone = windows.filter { !tails.contains($0.virtAddr) || seenTails.insert(TailBlock($0)).inserted }
        for window in alone.sorted(by: { $0.phys < $1.phys }) {
            guard let lower = last, window.phys - lower.phys < lower.byteCount else {
                last = window
                continue
            }
            findings.append(
                Finding(
                    .pageTables, .overlap,
                    "the blocks of virt \(lower.virtAddr.hexadecimal) (phys \(lower.phys.hexadecimal), "
                        + "\(lower.byteCount) bytes) and virt \(window.virtAddr.hexadecimal) (phys "
                        + "\(window.phys.hexadecimal)) share memory"))
            // Whichever reaches further may share memory with the next as well.
            if window.byteCount > lower.byteCount - (window.phys - lower.phys) { last = window }
        }
        return findings
    }

    /// The base pages of each present section's memory map that nothing backs. A section without such is covered.
    private func coverage() -> (coveredCount: Int, findings: [Finding]) {
        var mapped = MemoryRanges()
        for range in windows.compactMap(\.addresses) { mapped.insert(range) }
        let geometry = geometry
        var findings: [Finding] = []
        var coveredCount = 0
        for section in snapshot.sections {
            let memory = range(of: section)
            let missing = geometry.windows(describing: memory).filter {
                !mapped.intersects($0...($0 | (geometry.vmemmapPageByteCount - 1)))
            }
            guard let first = missing.first else {
                coveredCount += 1
                continue
            }
            findings.append(
                Finding(
                    .pageTables, .hole,
                    "section \(section.number) (memory at \(memory.lowerBound.hexadecimal)) has no block behind its struct "
                        + "pages at virt \(first.hexadecimal)"
                        + (missing.count > 1 ? " and \(missing.count - 1) more" : "")))
        }
        return (coveredCount, findings)
    }
}

extension MemoryMapGeometry {
    /// The memory that a range of the memory map describes, nil when none of it is below a whole `struct page`.
    func describedMemory(_ range: Range<UInt64>) -> Range<UInt64>? {
        guard let first = address(describedAt: max(range.lowerBound, vmemmapBase)),
            let end = address(describedAt: range.upperBound), first < end
        else { return nil }
        return first.rawValue..<end.rawValue
    }
}
