// SPDX-License-Identifier: Apache-2.0

import GuestMemory
import HarnessBasics
import VmemmapPopulate

extension Verifier {
    static func judgeReport(_ snapshot: Snapshot) -> Judgement {
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
}
