// SPDX-License-Identifier: Apache-2.0

extension Verifier {
    /// Nil where no crash kernel is loaded and nobody said that one would be.
    static func judgeCrashHeader(_ snapshot: Snapshot) -> Judgement? {
        guard let crash = snapshot.crashHeader else {
            guard snapshot.witnesses.contains(.crashHeader) else { return nil }
            return Judgement(.crashHeader, silentAbout: snapshot.accountEntries.count, "nobody looked for it")
        }
        guard let header = crash.header else {
            let problem = crash.problem ?? "no header"
            var judgement = Judgement(.crashHeader, problem)
            judgement.findings = [Finding(.crashHeader, .unreadable, problem)]
            return judgement
        }
        let checks = CrashHeaderChecks(snapshot: snapshot, crash: crash, header: header)
        let (agreeingCount, findings) = checks.account()
        var judgement = Judgement(
            .crashHeader,
            "the crash kernel's ELF core header and device tree, read in guest RAM: the \(header.loads.count) pieces of a "
                + "dump hold the machine's memory, and in it what the kernel's account says and where it stands")
        judgement.findings = checks.findings() + findings
        judgement.agreeingCount = agreeingCount
        if let interruption = snapshot.interruption {
            judgement.leaveUnsaid(1, "\(interruption): whether the header had it by then")
        }
        return judgement
    }
}
