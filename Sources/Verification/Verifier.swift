// SPDX-License-Identifier: Apache-2.0

import VmemmapPopulate

/// Judges a snapshot.
public enum Verifier {
    /// Holds the witnesses against each other, and the kernel's account against what is true of a good one.
    ///
    /// Throws when the snapshot holds constants that no kernel has; whatever else stands in it, there is a verdict.
    public static func verdict(on snapshot: Snapshot) throws(SnapshotProblem) -> Verdict {
        try snapshot.checkConstants()
        var findings = SectionChecks(snapshot: snapshot).findings()
        var witnesses: [WitnessStatement] = []
        var coveredSectionCount = 0
        for judgement in [
            judgeKernelList(snapshot), judgePageTables(snapshot), judgeMirror(snapshot), judgeReport(snapshot),
            judgeTranslations(snapshot), judgeModel(snapshot),
        ] {
            guard let judgement else { continue }
            findings += judgement.findings
            witnesses.append(judgement.statement)
            coveredSectionCount += judgement.coveredSectionCount
        }

        var provenance: [EntryProvenance: Int] = [:]
        for case let origin? in snapshot.mirror?.provenance ?? [] { provenance[origin, default: 0] += 1 }
        return Verdict(
            findings: findings, witnesses: witnesses, account: snapshot.account,
            entryCount: snapshot.accountEntries.count, provenance: provenance, sectionCount: snapshot.sections.count,
            coveredSectionCount: coveredSectionCount)
    }

    /// Where the MMU is to be asked about an entry: offsets into its window, in bytes.
    public static func probedOffsets(windowByteCount: UInt64) -> [UInt64] {
        TranslationChecks.probedOffsets(windowByteCount: windowByteCount)
    }

    private struct Judgement {
        var findings: [Finding]
        var statement: WitnessStatement
        /// How many sections the kernel's account covers, from the one judgement of that account.
        var coveredSectionCount = 0
    }

    private static func judgeKernelList(_ snapshot: Snapshot) -> Judgement {
        let list = snapshot.kernelList
        func statement(_ standing: WitnessStatement.Standing, _ detail: String) -> WitnessStatement {
            WitnessStatement(
                witness: .kernelList, standing: standing, agreeingCount: list.entries.count, unsaidCount: 0,
                detail: detail)
        }
        if list.entries.isEmpty, list.end == .terminated, snapshot.account == .pageTables {
            return Judgement(
                findings: [],
                statement: statement(.cannotSay, "the list is empty: this kernel keeps its account in page tables only")
            )
        }
        var findings = ListChecks(subject: .list, list: list, kernel: snapshot.kernel).findings()
        if list.entries.isEmpty, list.end == .terminated {
            findings.append(Finding(.list, .empty, "the list is empty"))
        }
        guard let geometry = snapshot.kernel.geometry else {
            return Judgement(
                findings: findings,
                statement: statement(
                    findings.isEmpty ? .cannotSay : .contradicts, "the kernel's vmemmap page size cannot be read"))
        }
        let checks = KernelListChecks(snapshot: snapshot, geometry: geometry)
        findings += checks.findings()
        let coverage = checks.coverage()
        findings += coverage.findings
        return Judgement(
            findings: findings,
            statement: statement(
                findings.isEmpty ? .agrees : .contradicts,
                "links, alignment, overlap, staleness; struct pages of \(coverage.coveredCount) of "
                    + "\(snapshot.sections.count) sections, read in guest RAM"),
            coveredSectionCount: snapshot.account == .list ? coverage.coveredCount : 0)
    }

    /// Nil where there is nothing to be had: a hash kernel's translations are in its hashed page table.
    private static func judgePageTables(_ snapshot: Snapshot) -> Judgement? {
        guard let tables = snapshot.pageTables else {
            guard snapshot.kernel.mmu == .radix else { return nil }
            return Judgement(
                findings: [], statement: absent(.pageTables, "the kernel does not say where its page tables are"))
        }
        let checks = PageTableChecks(snapshot: snapshot, tables: tables)
        func judgement(
            _ findings: [Finding], agreeing: Int, covered: Int = 0, _ detail: String
        ) -> Judgement {
            let all = checks.faults() + findings
            return Judgement(
                findings: all,
                statement: WitnessStatement(
                    witness: .pageTables,
                    standing: !all.isEmpty ? .contradicts : agreeing > 0 ? .agrees : .cannotSay,
                    agreeingCount: agreeing,
                    unsaidCount: 0, detail: detail), coveredSectionCount: covered)
        }
        switch snapshot.account {
        case .list:
            guard snapshot.kernel.geometry != nil else {
                return Judgement(
                    findings: checks.faults(),
                    statement: absent(.pageTables, "without a vmemmap page size the list has nothing to compare"))
            }
            let (agreeingCount, findings) = checks.againstList()
            return judgement(
                findings, agreeing: agreeingCount,
                "the kernel's other book, walked in guest RAM: what the list has is mapped so, and nothing else is")
        case .pageTables:
            let (coveredCount, findings) = checks.asAccount()
            return judgement(
                findings, agreeing: tables.windows.count, covered: coveredCount,
                "the kernel's own account, since it keeps no list: alignment, overlap, staleness; struct pages of "
                    + "\(coveredCount) of \(snapshot.sections.count) sections, walked in guest RAM")
        }
    }

    private static func judgeMirror(_ snapshot: Snapshot) -> Judgement {
        guard let mirror = snapshot.mirror else {
            return Judgement(findings: [], statement: absent(.mirror, "no shared region"))
        }
        var findings = mirror.header.compactMap { word -> Finding? in
            guard let expected = word.expected, word.value != expected.value else { return nil }
            return Finding(
                .mirror, .header,
                "header word \(word.field) is \(word.value.hexadecimal); \(expected.source) says "
                    + expected.value.hexadecimal)
        }
        findings += ListChecks(subject: .mirror, list: mirror.list, kernel: snapshot.kernel).findings()
        for (index, entry) in mirror.list.entries.enumerated() where !hasKnownOrigin(mirror, index, snapshot.account) {
            findings.append(
                Finding(
                    .mirror, .origin,
                    "the origin of virt \(entry.virtAddr.hexadecimal) at \(entry.node.hexadecimal) is "
                        + "none that the agent writes"))
        }
        let comparison = Comparison(
            kernel: snapshot.accountEntries, in: snapshot.account, other: snapshot.windows(of: mirror), subject: .mirror
        )
        findings += comparison.findings
        let observedCount = mirror.provenance.count { $0 == .observed }
        return Judgement(
            findings: findings,
            statement: WitnessStatement(
                witness: .mirror, standing: findings.isEmpty ? .agrees : .contradicts,
                agreeingCount: comparison.agreeingCount, unsaidCount: 0,
                detail:
                    "\(observedCount) entries observed as they were made; the others were read from the kernel's "
                    + (snapshot.account == .list ? "list" : "page tables")))
    }

    /// Whether an entry says how it came, and its size exactly where entries do.
    private static func hasKnownOrigin(_ mirror: MirrorSnapshot, _ index: Int, _ account: KernelAccount) -> Bool {
        guard index < mirror.provenance.count, mirror.provenance[index] != nil else { return false }
        let byteCounts = mirror.leafByteCounts ?? []
        let saysSize = index < byteCounts.count && byteCounts[index] != 0
        return saysSize == (account == .pageTables)
    }

    private static func judgeReport(_ snapshot: Snapshot) -> Judgement {
        if let problem = snapshot.reportProblem {
            return Judgement(
                findings: [Finding(.report, .unreadable, problem)],
                statement: WitnessStatement(
                    witness: .report, standing: .contradicts, agreeingCount: 0, unsaidCount: 0, detail: problem))
        }
        guard let report = snapshot.report else {
            return Judgement(findings: [], statement: absent(.report, "no report"))
        }
        var findings = ListChecks(subject: .report, list: report.list, kernel: snapshot.kernel).findings()
        let comparison: Comparison
        switch (snapshot.account, report.pageTables) {
        case (.list, nil):
            comparison = Comparison(
                kernel: snapshot.accountEntries, in: .list, other: snapshot.windows(of: report.list), subject: .report)
            findings += comparison.findings + otherNodes(report.list, than: snapshot.kernelList)
        case (.pageTables, let tables?):
            findings += PageTableChecks(snapshot: snapshot, tables: tables).faults(subject: .report)
            comparison = Comparison(
                kernel: snapshot.accountEntries, in: .pageTables, other: tables.windows, subject: .report)
            findings += comparison.findings + otherEntries(tables.windows, than: snapshot.accountEntries)
        case (let account, _):
            let finding = Finding(
                .report, .otherAccount,
                "the report holds the kernel's \(account == .list ? "page tables" : "list"), and the kernel's account is "
                    + account.place)
            return Judgement(
                findings: findings + [finding],
                statement: WitnessStatement(
                    witness: .report, standing: .contradicts, agreeingCount: 0, unsaidCount: 0, detail: finding.message)
            )
        }
        return Judgement(
            findings: findings,
            statement: WitnessStatement(
                witness: .report, standing: findings.isEmpty ? .agrees : .contradicts,
                agreeingCount: comparison.agreeingCount, unsaidCount: 0,
                detail:
                    "the same \(snapshot.account == .list ? "list" : "page tables") read through /proc/kcore: what the "
                    + "host sees is what the guest sees"))
    }

    /// Where the report has a window in another page table entry: it was read from the same words.
    private static func otherEntries(_ report: [BackedWindow], than kernel: [BackedWindow]) -> [Finding] {
        let reported = Dictionary(report.map { ($0.virtAddr, $0.place) }, uniquingKeysWith: { first, _ in first })
        return kernel.compactMap { window in
            guard let place = reported[window.virtAddr], place != window.place else { return nil }
            return Finding(
                .report, .otherNode,
                "virt \(window.virtAddr.hexadecimal) is in the page table entry at \(place.hexadecimal) in the report, and "
                    + "in the one at \(window.place.hexadecimal) in guest RAM")
        }
    }

    /// Where the report has an entry of the kernel's list in another place: it was read from the same words.
    private static func otherNodes(_ report: WalkedList, than kernel: WalkedList) -> [Finding] {
        var findings: [Finding] = []
        if report.head != kernel.head {
            findings.append(
                Finding(
                    .report, .otherNode,
                    "the head is \(report.head.hexadecimal) in the report and \(kernel.head.hexadecimal) in guest RAM"))
        }
        let reported = Dictionary(report.entries.map { ($0.virtAddr, $0) }, uniquingKeysWith: { first, _ in first })
        var seen: Set<UInt64> = []
        for entry in kernel.entries where seen.insert(entry.virtAddr).inserted {
            guard let other = reported[entry.virtAddr], (other.node, other.list) != (entry.node, entry.list) else {
                continue
            }
            findings.append(
                Finding(
                    .report, .otherNode,
                    "virt \(entry.virtAddr.hexadecimal) is in node \(other.node.hexadecimal) with link "
                        + "\(other.list.hexadecimal) in the report, and in node \(entry.node.hexadecimal) with link "
                        + "\(entry.list.hexadecimal) in guest RAM"))
        }
        return findings
    }

    private static func judgeTranslations(_ snapshot: Snapshot) -> Judgement {
        let isAsked = !snapshot.translations.isEmpty || snapshot.formerTranslations?.isEmpty == false
        guard snapshot.account == .pageTables || snapshot.kernel.geometry != nil, isAsked else {
            return Judgement(findings: [], statement: absent(.mmu, "not asked"))
        }
        let checks = TranslationChecks(snapshot: snapshot)
        let standing: WitnessStatement.Standing =
            if !checks.findings.isEmpty {
                .contradicts
            } else if checks.agreeingCount > 0 {
                .agrees
            } else {
                .cannotSay
            }
        return Judgement(
            findings: checks.findings,
            statement: WitnessStatement(
                witness: .mmu, standing: standing, agreeingCount: checks.agreeingCount,
                unsaidCount: checks.unsaidCount,
                detail: "gva2gpa of each block's first and last 4 KiB: the kernel reaches its struct pages there"
                    + (checks.formerCount == 0
                        ? "" : ", and no longer at \(checks.formerCount) addresses of windows that are gone")
            ))
    }

    private static func judgeModel(_ snapshot: Snapshot) -> Judgement {
        let checks = ModelChecks(snapshot: snapshot)
        func statement(_ standing: WitnessStatement.Standing, _ detail: String) -> WitnessStatement {
            WitnessStatement(
                witness: .model, standing: standing, agreeingCount: checks.agreeingCount,
                unsaidCount: checks.unsaidCount, detail: detail)
        }
        switch checks.prediction {
        case .none(let reason):
            return Judgement(findings: [], statement: statement(snapshot.history == nil ? .absent : .cannotSay, reason))
        case .model where checks.findings.isEmpty && checks.agreeingCount == 0 && checks.unsaidCount > 0:
            return Judgement(
                findings: [],
                statement: statement(
                    .cannotSay, "base pages stand in for every block that the guest's history predicts"))
        case .impossible, .model:
            let detail =
                switch snapshot.account {
                case .list: "which windows, their order, and each node's place"
                case .pageTables: "which windows, and whether a block or base pages back them"
                }
            return Judgement(
                findings: checks.findings,
                statement: statement(
                    checks.findings.isEmpty ? .agrees : .contradicts,
                    "the emulator run over the guest's history: \(detail)"))
        }
    }

    private static func absent(_ witness: Witness, _ why: String) -> WitnessStatement {
        WitnessStatement(witness: witness, standing: .absent, agreeingCount: 0, unsaidCount: 0, detail: why)
    }
}
