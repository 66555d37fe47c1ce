// SPDX-License-Identifier: Apache-2.0

import GuestMemory
import HarnessBasics
import VmemmapPopulate

extension Verifier {
    /// What the dump-capture kernel found of the dead one, against what the host reads in the guest's RAM. Nil for a guest
    /// that has not crashed.
    static func judgeVmcore(_ snapshot: Snapshot) -> Judgement? {
        guard let vmcore = snapshot.vmcore else {
            guard snapshot.isOfCrash else { return nil }
            if let problem = snapshot.vmcoreProblem {
                var judgement = Judgement(.vmcore, problem)
                judgement.findings = [Finding(.vmcore, .unreadable, problem)]
                return judgement
            }
            return Judgement(
                .vmcore, silentAbout: snapshot.accountEntries.count, "no dump-capture kernel has read the dump")
        }
        let checks = VmcoreChecks(snapshot: snapshot, vmcore: vmcore)
        var judgement = Judgement(
            .vmcore,
            "the dump-capture kernel's own reading of the dead kernel in /proc/vmcore (\(vmcore.loadCount) PT_LOADs, "
                + "\(ByteCount(vmcore.dumpByteCount).text)): the same sections, the same entries, each block in the dump"
        )
        judgement.findings = checks.findings
        judgement.agreeingCount = checks.agreeingCount
        return judgement
    }
}

/// The dead kernel in the dump against the dead kernel in guest RAM.
struct VmcoreChecks {
    private let snapshot: Snapshot
    private let vmcore: VmcoreSnapshot
    /// How many entries the dump has as guest RAM has them.
    private(set) var agreeingCount = 0
    private(set) var findings: [Finding] = []

    init(snapshot: Snapshot, vmcore: VmcoreSnapshot) {
        (self.snapshot, self.vmcore) = (snapshot, vmcore)
        compareSections()
        compareAccounts()
        if vmcore.unreachableCount > 0 {
            findings.append(
                Finding(
                    .vmcore, .notInDump,
                    "the blocks of \(vmcore.unreachableCount) entries are not wholly in the dump, the first behind virt "
                        + vmcore.firstUnreachable.hexadecimal))
        } else if vmcore.firstUnreachable != 0 {
            findings.append(
                Finding(
                    .vmcore, .notInDump,
                    "the block behind virt \(vmcore.firstUnreachable.hexadecimal) is told to be the first that is not in the "
                        + "dump, and none is counted"))
        }
        compareSizes()
    }

    /// A dump has the pieces that the crash kernel's header has (fs/proc/vmcore.c: `process_ptload_program_headers`). A
    /// kernel that dies while it adds memory may have changed that since it was read.
    private mutating func compareSizes() {
        guard snapshot.interruptedAdd == nil, let loads = snapshot.crashHeader?.header?.loads else { return }
        var byteCount: UInt64 = 0
        for load in loads {
            let (sum, overflows) = byteCount.addingReportingOverflow(load.byteCount)
            // What cannot be is a finding about the header.
            guard !overflows, load.fileByteCount == load.byteCount else { return }
            byteCount = sum
        }
        guard (vmcore.loadCount, vmcore.dumpByteCount) != (UInt64(loads.count), byteCount) else { return }
        findings.append(
            Finding(
                .vmcore, .notInDump,
                "the dump has \(vmcore.loadCount) pieces with \(vmcore.dumpByteCount) bytes; the crash kernel's header has "
                    + "\(loads.count) with \(byteCount)"))
    }

    private mutating func compareSections() {
        let inRAM = snapshot.sections.map { VmcoreSnapshot.Section(number: $0.number, isOnline: $0.isOnline) }
        guard vmcore.sections != inRAM else { return }
        let index = zip(inRAM, vmcore.sections).enumerated().first { $1.0 != $1.1 }?.offset
        let first = index ?? min(inRAM.count, vmcore.sections.count)
        func text(_ sections: [VmcoreSnapshot.Section]) -> String {
            guard first < sections.count else { return "none" }
            return "section \(sections[first].number), \(sections[first].isOnline ? "online" : "offline")"
        }
        findings.append(
            Finding(
                .vmcore, .otherSections,
                "the dump has \(vmcore.sections.count) sections, guest RAM \(inRAM.count); number \(first + 1) is "
                    + "\(text(vmcore.sections)) in the dump, and \(text(inRAM)) in guest RAM"))
    }

    private mutating func compareAccounts() {
        findings += ListChecks(subject: .vmcore, list: vmcore.list, kernel: snapshot.kernel).findings()
        let comparison: Comparison
        switch (snapshot.account, vmcore.pageTables) {
        case (.list, nil):
            let entries = reachedEntries
            noteUnreached()
            comparison = Comparison(
                kernel: entries, in: .list, other: snapshot.windows(of: vmcore.list), subject: .vmcore)
            findings += Verifier.otherNodes(vmcore.list, than: snapshot.kernelList, subject: .vmcore)
        case (.pageTables, let tables?):
            findings += PageTableChecks(snapshot: snapshot, tables: tables).faults(subject: .vmcore)
            comparison = Comparison(
                kernel: snapshot.accountEntries, in: .pageTables, other: tables.windows, subject: .vmcore)
            findings += Verifier.otherEntries(tables.windows, than: snapshot.accountEntries, subject: .vmcore)
            findings += Verifier.unordered(tables.windows, subject: .vmcore)
        case (let account, _):
            findings.append(
                Finding(
                    .vmcore, .otherAccount,
                    "the dump gives the kernel's \(account == .list ? "page tables" : "list"), and the kernel's account is "
                        + account.place))
            return
        }
        findings += comparison.findings
        agreeingCount = comparison.agreeingCount
    }

    /// Whether the walk in the dump ended at a node that the dump lacks, and guest RAM has.
    private var endsAtMissingNode: Bool {
        vmcore.list.end == .unreadable
            && snapshot.kernelList.entries.contains {
                vmcore.list.endLink &- $0.node < VmemmapBacking.byteCount
            }
    }

    /// The entries that a walk in the dump comes to: all of them, unless it ended at a node that the dump lacks.
    private var reachedEntries: [BackedWindow] {
        let entries = snapshot.accountEntries
        return endsAtMissingNode ? Array(entries.prefix(vmcore.list.entries.count)) : entries
    }

    /// Names each node that nobody comes to who has the dump alone.
    private mutating func noteUnreached() {
        guard endsAtMissingNode else { return }
        for entry in snapshot.kernelList.entries.dropFirst(vmcore.list.entries.count) {
            findings.append(
                Finding(
                    .vmcore, .notInDump,
                    "node \(entry.node.hexadecimal) (virt \(entry.virtAddr.hexadecimal) → phys "
                        + "\(entry.phys.hexadecimal)) cannot be reached in the dump"))
        }
    }
}
