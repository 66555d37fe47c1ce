// SPDX-License-Identifier: Apache-2.0

import VmemmapPopulate

/// Judges a snapshot.
public enum Verifier {
    /// Holds the witnesses against each other, and the kernel's list against what is true of a good one.
    ///
    /// Throws when the snapshot holds constants that no kernel has; whatever else stands in it, there is a verdict.
    public static func verdict(on snapshot: Snapshot) throws(SnapshotProblem) -> Verdict {
        try snapshot.checkConstants()
        var findings = SectionChecks(snapshot: snapshot).findings()
        var witnesses: [WitnessStatement] = []
        var coveredSectionCount = 0

        let list = judgeKernelList(snapshot)
        findings += list.findings
        witnesses.append(list.statement)
        coveredSectionCount = list.coveredSectionCount

        let mirror = judgeMirror(snapshot)
        findings += mirror.findings
        witnesses.append(mirror.statement)

        let report = judgeReport(snapshot)
        findings += report.findings
        witnesses.append(report.statement)

        let mmu = judgeTranslations(snapshot)
        findings += mmu.findings
        witnesses.append(mmu.statement)

        let model = judgeModel(snapshot)
        findings += model.findings
        witnesses.append(model.statement)

        var provenance: [EntryProvenance: Int] = [:]
        for case let origin? in snapshot.mirror?.provenance ?? [] { provenance[origin, default: 0] += 1 }
        return Verdict(
            findings: findings, witnesses: witnesses, entryCount: snapshot.kernelList.entries.count,
            provenance: provenance, sectionCount: snapshot.sections.count, coveredSectionCount: coveredSectionCount)
    }

    /// Where the MMU is to be asked about an entry: offsets into its window, in bytes.
    public static func probedOffsets(windowByteCount: UInt64) -> [UInt64] {
        TranslationChecks.probedOffsets(windowByteCount: windowByteCount)
    }

    private struct Judgement {
        var findings: [Finding]
        var statement: WitnessStatement
        var coveredSectionCount = 0
    }

    private static func judgeKernelList(_ snapshot: Snapshot) -> Judgement {
        let list = snapshot.kernelList
        func statement(_ standing: WitnessStatement.Standing, _ detail: String) -> WitnessStatement {
            WitnessStatement(
                witness: .kernelList, standing: standing, agreeingCount: list.entries.count, unsaidCount: 0,
                detail: detail)
        }
        if list.entries.isEmpty, list.end == .terminated, snapshot.rules == .radixTables {
            return Judgement(
                findings: [],
                statement: statement(.cannotSay, "the list is empty: this kernel keeps its vmemmap in page tables only")
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
            coveredSectionCount: coverage.coveredCount)
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
        for (entry, origin) in zip(mirror.list.entries, mirror.provenance) where origin == nil {
            findings.append(
                Finding(
                    .mirror, .origin,
                    "the origin of virt \(entry.virtAddr.hexadecimal) at \(entry.node.hexadecimal) is "
                        + "none that the agent writes"))
        }
        let comparison = Comparison(kernel: snapshot.kernelList, other: mirror.list, subject: .mirror)
        findings += comparison.findings
        let observedCount = mirror.provenance.count { $0 == .observed }
        return Judgement(
            findings: findings,
            statement: WitnessStatement(
                witness: .mirror, standing: findings.isEmpty ? .agrees : .contradicts,
                agreeingCount: comparison.agreeingCount, unsaidCount: 0,
                detail:
                    "\(observedCount) entries observed as they were made; the others were read from the kernel's list"
            ))
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
        let checks = ListChecks(subject: .report, list: report.list, kernel: snapshot.kernel).findings()
        let comparison = Comparison(kernel: snapshot.kernelList, other: report.list, subject: .report)
        let findings = checks + comparison.findings + otherNodes(report.list, than: snapshot.kernelList)
        return Judgement(
            findings: findings,
            statement: WitnessStatement(
                witness: .report, standing: findings.isEmpty ? .agrees : .contradicts,
                agreeingCount: comparison.agreeingCount, unsaidCount: 0,
                detail: "the same list read through /proc/kcore: what the host sees is what the guest sees"))
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
        guard let geometry = snapshot.kernel.geometry, !snapshot.translations.isEmpty else {
            return Judgement(findings: [], statement: absent(.mmu, "not asked"))
        }
        let checks = TranslationChecks(snapshot: snapshot, windowByteCount: geometry.vmemmapPageByteCount)
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
            ))
    }

    private static func judgeModel(_ snapshot: Snapshot) -> Judgement {
        let checks = ModelChecks(snapshot: snapshot)
        func statement(_ standing: WitnessStatement.Standing, _ detail: String, unsaid: Int = 0) -> WitnessStatement {
            WitnessStatement(
                witness: .model, standing: standing, agreeingCount: checks.agreeingCount, unsaidCount: unsaid,
                detail: detail)
        }
        switch checks.prediction {
        case .none(let reason):
            let isAbsent = snapshot.history == nil
            return Judgement(
                findings: [],
                statement: statement(
                    isAbsent ? .absent : .cannotSay, reason, unsaid: isAbsent ? 0 : snapshot.kernelList.entries.count))
        case .impossible, .model:
            return Judgement(
                findings: checks.findings,
                statement: statement(
                    checks.findings.isEmpty ? .agrees : .contradicts,
                    "the emulator run over the guest's history: which windows, their order, and each node's place"))
        }
    }

    private static func absent(_ witness: Witness, _ why: String) -> WitnessStatement {
        WitnessStatement(witness: witness, standing: .absent, agreeingCount: 0, unsaidCount: 0, detail: why)
    }
}
