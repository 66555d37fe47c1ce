// SPDX-License-Identifier: Apache-2.0

import GuestMemory
import HarnessBasics
import VmemmapPopulate

extension Verifier {
    static func judgeMirror(_ snapshot: Snapshot) -> Judgement {
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
        let unseenCount = leaveOutUnseen(&entries, &mirrored, InterruptedAdd(snapshot))
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
}
