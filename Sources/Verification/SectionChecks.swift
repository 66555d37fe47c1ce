// SPDX-License-Identifier: Apache-2.0

import GuestMemory
import HarnessBasics
import VmemmapPopulate

/// Whether the kernel's sections, its memory blocks and the machine's memory are the same memory.
struct SectionChecks {
    let snapshot: Snapshot

    private var sectionByteCount: UInt64 { 1 << snapshot.kernel.sectionSizeBits }

    /// Those that the kernel was not adding when it died.
    private var settledSections: [PresentSection] {
        guard let added = snapshot.interruptedAdd?.range else { return snapshot.sections }
        return snapshot.sections.filter { !added.contains($0.number << snapshot.kernel.sectionSizeBits) }
    }

    func findings() -> [Finding] {
        bases() + flags() + subsections() + againstMemory() + againstBlocks()
    }

    /// A present section has a memory map, and it is early exactly where it was there at boot and never went.
    private func flags() -> [Finding] {
        let early = snapshot.history.map(EarlyMemory.init)
        return settledSections.compactMap { section in
            guard let flags = section.flags.map(SectionFlags.init) else { return nil }
            let start = section.number << snapshot.kernel.sectionSizeBits
            var faults: [String] = []
            if !flags.contains(.hasMemoryMap) { faults.append("it has no memory map") }
            if let early, let isEarly = early.isEarly(start..<start + sectionByteCount),
                isEarly != flags.contains(.early)
            {
                faults.append(isEarly ? "it was there at boot, and is not early" : "it came after boot, and is early")
            }
            // Of a dump nobody knows what else the machine had.
            if flags.contains(.deviceMemory), snapshot.history != nil,
                snapshot.memory.contains(where: {
                    $0.base <= start && start - $0.base < $0.byteCount
                        && $0.byteCount - (start - $0.base) >= sectionByteCount
                })
            {
                faults.append("all of it is the machine's memory, and some of it is told to be a device's")
            }
            if !flags.isSubset(of: .known) { faults.append("no kernel for ppc64 has all of these flags") }
            guard !faults.isEmpty else { return nil }
            return Finding(
                .sections, .sectionFlags,
                "section \(section.number) is present with flags \(flags.rawValue.hexadecimal): "
                    + faults.joined(separator: "; "))
        }
    }

    /// LMBs and boot memory are whole sections, so that a present section has all of its sub-sections.
    private func subsections() -> [Finding] {
        guard let whole = SubsectionMaps.whole(sectionSizeBits: snapshot.kernel.sectionSizeBits) else { return [] }
        return settledSections.compactMap { section in
            guard let map = section.subsections, map != whole else { return nil }
            return Finding(
                .sections, .subsections,
                "section \(section.number) is present with the sub-sections \(map.hexadecimal) of \(whole.hexadecimal)"
                    + (map == 0 ? ": its usage leads to no memory, is another section's as well, or has none" : ""))
        }
    }

    /// Every section encodes the same start of the memory map.
    private func bases() -> [Finding] {
        snapshot.sections.compactMap { section in
            guard section.vmemmapBase != snapshot.kernel.vmemmapBase else { return nil }
            return Finding(
                .sections, .baseDiffers,
                "section \(section.number) encodes the memory map at \(section.vmemmapBase.hexadecimal), the first "
                    + "section at \(snapshot.kernel.vmemmapBase.hexadecimal)")
        }
    }

    /// A section is present exactly where the machine has memory.
    private func againstMemory() -> [Finding] {
        let present = AddressIndex(snapshot.sections.map(\.number)).distinct
        var isBacked = [Bool](repeating: false, count: present.count)
        var findings: [Finding] = []
        for memory in snapshot.memory {
            let numbers = (memory.base / sectionByteCount)..<((memory.base + memory.byteCount) / sectionByteCount)
            let held = present.lowerBound(of: numbers.lowerBound)..<present.lowerBound(of: numbers.upperBound)
            for index in held { isBacked[index] = true }
            // Which of them are there was up to the moment of the crash.
            guard memory != snapshot.interruptedAdd, held.count < numbers.count else { continue }
            let gap = zip(numbers, held).first { $0 != present[$1] }?.0
            let first = gap ?? numbers.lowerBound + UInt64(held.count)
            findings.append(
                Finding(
                    .sections, .memoryWithoutSection,
                    "\(numbers.count - held.count) of the \(numbers.count) sections of \(memory.name) at \(memory.base.hexadecimal) "
                        + "are not present, the first at \((first * sectionByteCount).hexadecimal)"))
        }
        for (number, isBacked) in zip(present, isBacked) where !isBacked {
            findings.append(
                Finding(
                    .sections, .sectionWithoutMemory,
                    "section \(number) is present at \((number * sectionByteCount).hexadecimal), where the guest has "
                        + "taken no memory"))
        }
        return findings
    }

    /// The guest's memory blocks hold exactly the present sections, and online ones are online in both.
    private func againstBlocks() -> [Finding] {
        guard let report = snapshot.report else { return [] }
        guard report.blockByteCount >= sectionByteCount, report.blockByteCount % sectionByteCount == 0 else {
            return [
                Finding(
                    .sections, .blockDiffers,
                    "the guest reports memory blocks of \(report.blockByteCount) bytes; a section has \(sectionByteCount)"
                )
            ]
        }
        let sectionsPerBlock = report.blockByteCount / sectionByteCount
        let sectionsByBlock = Dictionary(grouping: snapshot.sections) { $0.number / sectionsPerBlock }
        var blockIndexes: Set<UInt64> = []
        var findings: [Finding] = []
        for block in report.blocks {
            if !blockIndexes.insert(block.index).inserted {
                findings.append(
                    Finding(.sections, .blockDiffers, "the guest reports memory block \(block.index) more than once"))
            }
            let sections = sectionsByBlock[block.index] ?? []
            let onlineCount = sections.count { $0.isOnline }
            if sections.count != sectionsPerBlock {
                findings.append(
                    Finding(
                        .sections, .blockDiffers,
                        "memory block \(block.index) exists, and \(sections.count) of its \(sectionsPerBlock) sections are "
                            + "present"))
            } else if block.state == "online" && onlineCount != sections.count
                || block.state == "offline" && onlineCount != 0
            {
                findings.append(
                    Finding(
                        .sections, .blockDiffers,
                        "memory block \(block.index) is \(block.state), and \(onlineCount) of its \(sectionsPerBlock) "
                            + "sections are online"))
            }
        }
        for index in Set(sectionsByBlock.keys).subtracting(blockIndexes).sorted() {
            findings.append(
                Finding(.sections, .blockDiffers, "sections of memory block \(index) are present, and the block is not")
            )
        }
        return findings
    }
}

/// Which memory was there at boot and never went: its sections are early (`SECTION_IS_EARLY`).
private struct EarlyMemory {
    private var boot = MemoryRanges()
    /// What came or went since. Whether it is early depends on more than can be seen where a change failed.
    private var changed = MemoryRanges()
    private let isWhole: Bool

    init(_ history: HotplugHistory) {
        for memory in history.bootMemory { boot.insert(memory.range) }
        for step in history.steps { changed.insert(step.base..<step.base + step.byteCount) }
        isWhole = history.gap == nil
    }

    /// Nil where that is not known.
    func isEarly(_ range: Range<UInt64>) -> Bool? {
        guard boot.contains(range) else { return false }
        return isWhole && !changed.intersects(range.lowerBound...range.upperBound - 1) ? true : nil
    }
}
