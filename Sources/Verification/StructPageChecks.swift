// SPDX-License-Identifier: Apache-2.0

import HarnessBasics

/// What the `struct page`s of online memory come to.
struct StructPageChecks {
    let snapshot: Snapshot
    let pages: StructPagesSnapshot

    /// What is wrong with the pages, a finding for each way; and which of the kernel's bookkeeping is in free memory.
    func findings() -> [Finding] {
        let byFault = Dictionary(grouping: pages.faults) { $0.fault }
        let untold = pages.faultCount - pages.faults.count
        return StructPagesSnapshot.Fault.allCases.compactMap { fault in
            byFault[fault].flatMap { $0.first }.map { first in
                Finding(
                    .structPages, fault.fault,
                    "\(byFault[fault]?.count ?? 0) of the \(pages.readCount) struct pages \(fault.text): the first is page "
                        + "frame \(first.frame)'s at phys \(first.phys.hexadecimal), with \(first.word.hexadecimal)"
                        + (untold > 0 ? " (and \(untold) with faults that are not told one by one)" : ""))
            }
        } + freePlaces()
    }

    private func freePlaces() -> [Finding] {
        let untold = pages.freePlaceCount - pages.freePlaces.count
        return pages.freePlaces.enumerated().map { index, place in
            Finding(
                place.kind == .table || snapshot.account == .pageTables ? .pageTables : .list, .inFreeMemory,
                "the \(place.kind.rawValue) at phys \(place.phys.hexadecimal) of virt \(place.virtAddr.hexadecimal) is free memory "
                    + "to the kernel's allocator"
                    + (untold > 0 && index == 0 ? " (and \(untold) more that are not told one by one)" : ""))
        }
    }
}

extension StructPagesSnapshot.Fault {
    /// What it is in a finding's name.
    fileprivate var fault: Finding.Fault {
        switch self {
        case .poisoned, .zeroed: .notInitialised
        case .otherNode: .otherNUMANode
        case .refcount: .impossibleCount
        case .otherPage, .brokenLinks: .otherPage
        }
    }

    /// What it is said of.
    fileprivate var text: String {
        switch self {
        case .poisoned: "are poisoned, though their memory is online"
        case .zeroed: "are all zero, though their memory is online"
        case .otherNode: "are of another NUMA node than their memory"
        case .refcount: "have a _refcount that none can have"
        case .otherPage: "have the links of another page"
        case .brokenLinks: "are free, and not where their neighbours on the allocator's list have them"
        }
    }
}

extension Verifier {
    /// Nil where they were not looked at.
    static func judgeStructPages(_ snapshot: Snapshot) -> Judgement? {
        guard let pages = snapshot.structPages else {
            guard snapshot.witnesses.contains(.structPages) else { return nil }
            return Judgement(
                .structPages, silentAbout: snapshot.accountEntries.count, "the struct pages were not looked at")
        }
        let entryCount = snapshot.accountEntries.count
        let which = pages.frameStride == 1 ? "every" : "every \(pages.frameStride)th"
        var judgement = Judgement(
            .structPages,
            "\(which) struct page of online memory (\(pages.readCount)) is one that the kernel has made; \(pages.provenBlockCount) "
                + "of \(entryCount) blocks hold one whose links say that it is in its place"
                + (pages.formerBlockCount == 0
                    ? ""
                    : "; \(pages.formerFreeCount) of \(pages.formerBlockCount) blocks that went are free memory"))
        judgement.findings = StructPageChecks(snapshot: snapshot, pages: pages).findings()
        judgement.agreeingCount = pages.provenBlockCount
        judgement.leaveUnsaid(pages.unreadableCount, "struct pages in memory that cannot be read")
        return judgement
    }
}
