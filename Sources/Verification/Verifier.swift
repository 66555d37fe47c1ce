// SPDX-License-Identifier: Apache-2.0

import GuestMemory
import HarnessBasics
import VmemmapPopulate

/// Judges a snapshot.
public enum Verifier {
    /// Holds the witnesses against each other, and the kernel's account against what is true of a good one.
    ///
    /// Throws when the snapshot holds constants that no kernel has; whatever else stands in it, there is a verdict.
    public static func verdict(on snapshot: Snapshot) throws(SnapshotProblem) -> Verdict {
        try snapshot.checkConstants()
        try snapshot.checkConsistency()
        let model = ModelChecks(snapshot: snapshot)
        let judgements = [
            judgeKernelList(snapshot), judgePageTables(snapshot, leaks: model.leaks), judgeHashTable(snapshot),
            judgeStructPages(snapshot), judgeMirror(snapshot), judgeReport(snapshot),
            judgeTranslations(snapshot), judgeModel(model, snapshot), judgeCrashHeader(snapshot), judgeVmcore(snapshot),
        ].compactMap { $0 }
        let origins = snapshot.mirror?.provenance ?? []
        var provenance: [Provenance: Int] = [:]
        for origin in Provenance.allCases {
            let count = origins.count { $0 == origin }
            if count > 0 { provenance[origin] = count }
        }
        return Verdict(
            findings: noteFindings(snapshot) + SectionChecks(snapshot: snapshot).findings()
                + judgements.flatMap(\.findings),
            witnesses: judgements.map(\.statement),
            unsaid: judgements.filter { snapshot.witnesses.contains($0.witness) }.flatMap(\.unsaid),
            account: snapshot.account, entryCount: snapshot.accountEntries.count, provenance: provenance,
            sectionCount: snapshot.sections.count,
            coveredSectionCount: judgements.reduce(0) { $0 + $1.coveredSectionCount },
            radixStarts: model.radixStarts)
    }

    private static func noteFindings(_ snapshot: Snapshot) -> [Finding] {
        snapshot.noteProblem.map { [Finding(.guest, .note, $0)] } ?? []
    }

    private static func judgeKernelList(_ snapshot: Snapshot) -> Judgement {
        let list = snapshot.kernelList
        if snapshot.account == .pageTables { return judgeUnusedList(snapshot) }
        guard !snapshot.mayKeepNoList else {
            return Judgement(
                .kernelList, silentAbout: 0, isAbsent: false,
                "the list is empty, and nothing says whether this is a radix kernel, which may keep none")
        }
        var findings = ListChecks(subject: .list, list: list, kernel: snapshot.kernel).findings()
        if list.entries.isEmpty, list.end == .terminated {
            findings.append(Finding(.list, .empty, "the list is empty"))
        }
        guard let geometry = snapshot.kernel.geometry else {
            var judgement = Judgement(
                .kernelList, silentAbout: list.entries.count, isAbsent: false,
                "the kernel's vmemmap page size cannot be read")
            judgement.findings = findings
            return judgement
        }
        let checks = KernelListChecks(snapshot: snapshot, geometry: geometry)
        let coverage = checks.coverage()
        var judgement = Judgement(
            .kernelList,
            "links, alignment, overlap, staleness; struct pages of \(coverage.coveredCount) of "
                + "\(snapshot.sections.count) sections, read in guest RAM")
        judgement.findings = findings + checks.findings() + coverage.findings
        judgement.agreeingCount = list.entries.count
        judgement.coveredSectionCount = coverage.coveredCount
        return judgement
    }

    /// A list that the kernel does not keep: nothing is ever put on it.
    private static func judgeUnusedList(_ snapshot: Snapshot) -> Judgement {
        let list = snapshot.kernelList
        var judgement = Judgement(
            .kernelList, silentAbout: 0, isAbsent: false,
            "the list is empty: this kernel keeps its account in page tables only")
        judgement.findings = ListChecks(subject: .list, list: list, kernel: snapshot.kernel).findings()
        if !list.entries.isEmpty {
            judgement.findings.append(
                Finding(
                    .list, .otherAccount,
                    "the list has \(list.entries.count) entries, and this kernel has shown that it keeps its account in page "
                        + "tables only"))
        }
        return judgement
    }

    /// Nil where there is nothing to be had: a hash kernel's translations are in its hashed page table.
    private static func judgePageTables(_ snapshot: Snapshot, leaks: Set<UInt64>) -> Judgement? {
        let entryCount = snapshot.accountEntries.count
        guard let tables = snapshot.pageTables else {
            guard snapshot.kernel.mmu == .radix else { return nil }
            return Judgement(
                .pageTables, silentAbout: entryCount, "the kernel does not say where its page tables are")
        }
        let checks = PageTableChecks(snapshot: snapshot, tables: tables, leaks: leaks)
        switch snapshot.account {
        case .list:
            guard snapshot.kernel.geometry != nil else {
                var judgement = Judgement(
                    .pageTables, silentAbout: entryCount,
                    "without a vmemmap page size the list has nothing to compare")
                judgement.findings = checks.faults()
                return judgement
            }
            let (agreeingCount, unsaidCount, findings) = checks.againstList()
            var judgement = Judgement(
                .pageTables,
                "the kernel's page tables, walked in guest RAM: what the list has is mapped so, and nothing else is"
                    + checks.emptyTableText)
            judgement.findings = checks.faults() + checks.places(PresentMemory(snapshot)) + findings
            judgement.agreeingCount = agreeingCount
            if let interruption = snapshot.interruption { judgement.leaveUnsaid(unsaidCount, interruption) }
            return judgement
        case .pageTables:
            let (coveredCount, findings) = checks.asAccount()
            guard !tables.windows.isEmpty else {
                var judgement = Judgement(
                    .pageTables, silentAbout: 0, isAbsent: false, "the kernel's page tables map no memory map")
                judgement.findings = checks.faults() + findings
                return judgement
            }
            var judgement = Judgement(
                .pageTables,
                "the kernel's own account, since it keeps no list: alignment, overlap, staleness; struct pages of "
                    + "\(coveredCount) of \(snapshot.sections.count) sections, walked in guest RAM"
                    + checks.emptyTableText + checks.sharedTailText)
            judgement.findings = checks.faults() + checks.places(PresentMemory(snapshot)) + findings
            judgement.agreeingCount = tables.windows.count
            judgement.coveredSectionCount = coveredCount
            return judgement
        }
    }

    private static func judgeTranslations(_ snapshot: Snapshot) -> Judgement {
        guard snapshot.account == .pageTables || snapshot.kernel.geometry != nil else {
            return Judgement(
                .mmu, silentAbout: snapshot.accountEntries.count,
                "without a vmemmap page size nothing tells what to ask")
        }
        guard snapshot.readBack != nil || !(snapshot.translations.isEmpty && snapshot.formerTranslations.isEmpty)
        else {
            return Judgement(
                .mmu, silentAbout: snapshot.accountEntries.count + snapshot.formerWindows.count, "it was not asked")
        }
        let checks = TranslationChecks(snapshot: snapshot)
        var judgement = Judgement(
            .mmu,
            (snapshot.readBack == nil
                ? "gva2gpa of each block's first and last 4 KiB"
                : "every 4 KiB of each block, read by QEMU through the MMU")
                + ": the kernel reaches its struct pages there"
                + (snapshot.readBackProblem.map { " (no more is read: \($0))" } ?? "")
                + (checks.formerCount == 0
                    ? "" : ", and no longer at \(checks.formerCount) addresses of windows that are gone"))
        judgement.findings = checks.findings
        judgement.agreeingCount = checks.agreeingCount
        for (count, reason) in checks.unsaid { judgement.leaveUnsaid(count, reason) }
        if snapshot.readBack?.isCutShort == true, checks.unsaid.isEmpty, checks.findings.isEmpty {
            judgement.leaveUnsaid(1, "not all of it was found out, and nothing tells what was not")
        }
        return judgement
    }

    private static func judgeModel(_ checks: ModelChecks, _ snapshot: Snapshot) -> Judgement {
        if case .none(let reason) = checks.prediction {
            return Judgement(
                .model, silentAbout: snapshot.accountEntries.count, isAbsent: snapshot.history == nil, reason)
        }
        let detail =
            switch snapshot.account {
            case .list: "which windows, their order, and each node's place"
            case .pageTables: "which windows, and whether a block or base pages back them"
            }
        var judgement = Judgement(.model, "the emulator run over the guest's history: \(detail)")
        judgement.findings = checks.findings
        judgement.agreeingCount = checks.agreeingCount
        judgement.leaveUnsaid(
            checks.unsaidCount, "base pages stand in for a block that the guest's history predicts")
        return judgement
    }
}
