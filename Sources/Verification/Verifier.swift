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
                    + checks.emptyTableText)
            judgement.findings = checks.faults() + checks.places(PresentMemory(snapshot)) + findings
            judgement.agreeingCount = tables.windows.count
            judgement.coveredSectionCount = coveredCount
            return judgement
        }
    }

    private static func judgeMirror(_ snapshot: Snapshot) -> Judgement {
        guard let mirror = snapshot.mirror else {
            return Judgement(.mirror, silentAbout: snapshot.accountEntries.count, "no shared region")
        }
        let header = MirrorHeaderChecks(
            mirror: mirror, kernel: snapshot.kernel, isInterrupted: snapshot.interruptedAdd != nil)
        var findings = header.findings()
        findings += ListChecks(mirror: mirror, layout: header.layout, kernel: snapshot.kernel).findings()
        let entryCount = mirror.list.entries.count
        for (name, count) in [
            ("origins", mirror.provenance.count), ("sizes", mirror.leafByteCounts?.count ?? entryCount),
        ] where count != entryCount {
            findings.append(Finding(.mirror, .origin, "\(count) \(name) are told of \(entryCount) entries"))
        }
        for (index, entry) in mirror.list.entries.enumerated() where !hasKnownOrigin(mirror, index, snapshot.account) {
            findings.append(
                Finding(
                    .mirror, .origin,
                    "the origin of virt \(entry.virtAddr.hexadecimal) at \(entry.node.hexadecimal) is "
                        + "none that the agent writes"))
        }
        findings += OriginChecks(snapshot: snapshot).findings()
        var (entries, mirrored) = (snapshot.accountEntries, snapshot.windows(of: mirror))
        let unseenCount = Self.leaveOutUnseen(&entries, &mirrored, InterruptedAdd(snapshot))
        let comparison = Comparison(kernel: entries, in: snapshot.account, other: mirrored, subject: .mirror)
        let account = snapshot.account == .list ? "list" : "page tables"
        let observedCount = mirror.provenance.count { $0 == .observed }
        var judgement = Judgement(
            .mirror,
            "\(observedCount) entries observed as they were made; the others were read from the kernel's \(account)")
        judgement.findings = findings + comparison.findings
        judgement.agreeingCount = comparison.agreeingCount
        judgement.leaveUnsaid(
            mirror.provenance.count { $0 == .healed },
            "the agent has not seen them being made, and read them from the kernel's \(account) afterwards")
        if let interruption = snapshot.interruption {
            judgement.leaveUnsaid(
                unseenCount + 1,
                "\(interruption), and the agent with it: the header's counts, and what it had yet to do")
        }
        return judgement
    }

    /// Leaves out what one of the two has and the other does not, of the entries that the kernel was making when it died;
    /// returns how many they are.
    private static func leaveOutUnseen(
        _ kernel: inout [BackedWindow], _ mirror: inout [BackedWindow], _ interrupted: InterruptedAdd?
    ) -> Int {
        guard let interrupted else { return 0 }
        let both = Set(kernel.map(\.virtAddr)).intersection(mirror.map(\.virtAddr))
        let count = kernel.count + mirror.count
        func isCompared(_ window: BackedWindow) -> Bool {
            both.contains(window.virtAddr) || !interrupted.makes(window)
        }
        (kernel, mirror) = (kernel.filter(isCompared), mirror.filter(isCompared))
        return count - kernel.count - mirror.count
    }

    /// Whether an entry says how it came, and its size exactly where entries do.
    private static func hasKnownOrigin(_ mirror: MirrorSnapshot, _ index: Int, _ account: KernelAccount) -> Bool {
        // That there are too few is said once.
        guard index < mirror.provenance.count else { return true }
        guard mirror.provenance[index] != nil else { return false }
        let byteCounts = mirror.leafByteCounts ?? []
        let saysSize = index < byteCounts.count && byteCounts[index] != 0
        return saysSize == (account == .pageTables)
    }

    private static func judgeReport(_ snapshot: Snapshot) -> Judgement {
        if let problem = snapshot.reportProblem {
            var judgement = Judgement(.report, problem)
            judgement.findings = [Finding(.report, .unreadable, problem)]
            return judgement
        }
        guard let report = snapshot.report else {
            return Judgement(.report, silentAbout: snapshot.accountEntries.count, "no report")
        }
        var judgement = Judgement(
            .report,
            "the same \(snapshot.account == .list ? "list" : "page tables") read through /proc/kcore: what the host sees is "
                + "what the guest sees")
        judgement.findings = ListChecks(subject: .report, list: report.list, kernel: snapshot.kernel).findings()
        let comparison: Comparison
        switch (snapshot.account, report.pageTables) {
        case (.list, nil):
            comparison = Comparison(
                kernel: snapshot.accountEntries, in: .list, other: snapshot.windows(of: report.list), subject: .report)
            judgement.findings +=
                comparison.findings + otherNodes(report.list, than: snapshot.kernelList, subject: .report)
        case (.pageTables, let tables?):
            judgement.findings += PageTableChecks(snapshot: snapshot, tables: tables).faults(subject: .report)
            comparison = Comparison(
                kernel: snapshot.accountEntries, in: .pageTables, other: tables.windows, subject: .report)
            judgement.findings +=
                comparison.findings + otherEntries(tables.windows, than: snapshot.accountEntries, subject: .report)
                + unordered(tables.windows, subject: .report)
        case (let account, _):
            judgement.findings.append(
                Finding(
                    .report, .otherAccount,
                    "the report holds the kernel's \(account == .list ? "page tables" : "list"), and the kernel's account "
                        + "is \(account.place)"))
            return judgement
        }
        judgement.agreeingCount = comparison.agreeingCount
        return judgement
    }

    /// A walk of page tables comes to windows in the order of their addresses, and to each once.
    static func unordered(_ windows: [BackedWindow], subject: Finding.Subject) -> [Finding] {
        let index = zip(windows, windows.dropFirst()).enumerated().first {
            $0.element.1.virtAddr <= $0.element.0.virtAddr
        }?
        .offset
        return index.map {
            [
                Finding(
                    subject, .order,
                    "the \(subject) has virt \(windows[$0 + 1].virtAddr.hexadecimal) behind virt "
                        + windows[$0].virtAddr.hexadecimal)
            ]
        } ?? []
    }

    /// Where a report, or a dump, has a window in another page table entry: it was read from the same words.
    static func otherEntries(
        _ report: [BackedWindow], than kernel: [BackedWindow], subject: Finding.Subject
    ) -> [Finding] {
        var reported = AddressIndex(report.map(\.virtAddr))
        return kernel.compactMap { window in
            guard let place = reported.firstPosition(of: window.virtAddr).map({ report[$0].place }),
                place != window.place
            else { return nil }
            return Finding(
                subject, .otherNode,
                "virt \(window.virtAddr.hexadecimal) is in the page table entry at \(place.hexadecimal) in the \(subject), and "
                    + "in the one at \(window.place.hexadecimal) in guest RAM")
        }
    }

    /// Where a report, or a dump, has an entry of the kernel's list in another place: it was read from the same words.
    static func otherNodes(_ report: ListWalk, than kernel: ListWalk, subject: Finding.Subject) -> [Finding] {
        var findings: [Finding] = []
        if report.head != kernel.head {
            findings.append(
                Finding(
                    subject, .otherNode,
                    "the head is \(report.head.hexadecimal) in the \(subject) and \(kernel.head.hexadecimal) in guest RAM"
                ))
        }
        var reported = AddressIndex(report.entries.map(\.virtAddr))
        var own = AddressIndex(kernel.entries.map(\.virtAddr))
        for (position, entry) in kernel.entries.enumerated() where own.isFirst(position, of: entry.virtAddr) {
            guard let other = reported.firstPosition(of: entry.virtAddr).map({ report.entries[$0] }),
                (other.node, other.list) != (entry.node, entry.list)
            else {
                continue
            }
            findings.append(
                Finding(
                    subject, .otherNode,
                    "virt \(entry.virtAddr.hexadecimal) is in node \(other.node.hexadecimal) with link "
                        + "\(other.list.hexadecimal) in the \(subject), and in node \(entry.node.hexadecimal) with link "
                        + "\(entry.list.hexadecimal) in guest RAM"))
        }
        return findings
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
