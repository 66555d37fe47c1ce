// SPDX-License-Identifier: Apache-2.0

import HarnessBasics

/// What the `struct page`s of online memory come to.
struct StructPageChecks {
    let snapshot: Snapshot
    let pages: StructPagesSnapshot

    /// What is wrong with the pages, a finding for each way; and which of the kernel's bookkeeping is in free memory.
    func findings() -> [Finding] {
        let byFault = Dictionary(grouping: pages.faults) { $0.fault }
        return StructPagesSnapshot.Fault.allCases.compactMap { fault in
            byFault[fault].flatMap { faulty in
                faulty.first.map { finding(fault, first: $0, toldCount: faulty.count) }
            }
        } + freePlaces()
    }

    private func finding(
        _ fault: StructPagesSnapshot.Fault, first: StructPagesSnapshot.Faulty, toldCount: Int
    ) -> Finding {
        let untold = pages.faultCount - pages.faults.count
        func message(_ what: String) -> String {
            "\(toldCount) of the \(pages.readCount) struct pages \(what): the first is page frame \(first.frame)'s at phys "
                + "\(first.phys.hexadecimal), with \(first.word.hexadecimal)"
                + (untold > 0 ? " (and \(untold) with faults that are not told one by one)" : "")
        }
        return switch fault {
        case .poisoned: Finding(.structPages, .notInitialised, message("are poisoned, though their memory is online"))
        case .zeroed: Finding(.structPages, .notInitialised, message("are all zero, though their memory is online"))
        case .otherNode:
            Finding(.structPages, .otherNUMANode, message("are of another NUMA node than their memory"))
        case .refcount: Finding(.structPages, .impossibleCount, message("have a _refcount that none can have"))
        case .otherPage: Finding(.structPages, .otherPage, message("have the links of another page"))
        case .brokenLinks:
            Finding(
                .structPages, .otherPage,
                message("are free, and not where their neighbours on the allocator's list have them"))
        }
    }

    private func freePlaces() -> [Finding] {
        let untold = pages.freePlaceCount - pages.freePlaces.count
        return pages.freePlaces.enumerated().map { index, place in
            let subject: Finding.Subject = snapshot.account == .pageTables ? .pageTables : .list
            return Finding(
                subject, .inFreeMemory,
                "the \(place.kind.rawValue) at phys \(place.phys.hexadecimal) of virt \(place.virtAddr.hexadecimal) is free memory "
                    + "to the kernel's allocator"
                    + (untold > 0 && index == 0 ? " (and \(untold) more that are not told one by one)" : ""))
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
