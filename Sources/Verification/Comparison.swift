// SPDX-License-Identifier: Apache-2.0

/// The kernel's list against another account of it.
struct Comparison {
    let kernel: WalkedList
    let other: WalkedList
    let subject: Finding.Subject

    /// How many entries have the same window and the same block in both.
    let agreeingCount: Int
    /// What differs.
    let findings: [Finding]

    /// Compares two accounts entry by entry, then their order.
    init(kernel: WalkedList, other: WalkedList, subject: Finding.Subject) {
        self.kernel = kernel
        self.other = other
        self.subject = subject
        let otherPhys = Dictionary(
            other.entries.map { ($0.virtAddr, $0.phys) }, uniquingKeysWith: { first, _ in first })
        var kernelVirts: Set<UInt64> = []
        var agreeingCount = 0
        var findings: [Finding] = []
        for entry in kernel.entries where kernelVirts.insert(entry.virtAddr).inserted {
            let virt = entry.virtAddr.hexadecimal
            guard let phys = otherPhys[entry.virtAddr] else {
                findings.append(
                    Finding(
                        subject, .missingEntry,
                        "virt \(virt) → phys \(entry.phys.hexadecimal) is on the kernel's list and not in the \(subject)"
                    ))
                continue
            }
            guard phys == entry.phys else {
                findings.append(
                    Finding(
                        subject, .wrongPhysical,
                        "virt \(virt) has phys \(entry.phys.hexadecimal) on the kernel's list and phys "
                            + "\(phys.hexadecimal) in the \(subject)"))
                continue
            }
            agreeingCount += 1
        }
        for entry in other.entries where !kernelVirts.contains(entry.virtAddr) {
            findings.append(
                Finding(
                    subject, .extraEntry,
                    "virt \(entry.virtAddr.hexadecimal) → phys \(entry.phys.hexadecimal) is in the \(subject) and not on "
                        + "the kernel's list"))
        }
        if findings.isEmpty, kernel.entries.map(\.virtAddr) != other.entries.map(\.virtAddr) {
            let index = zip(kernel.entries, other.entries).enumerated().first { $1.0.virtAddr != $1.1.virtAddr }?.offset
            findings.append(
                Finding(
                    subject, .order,
                    "the \(subject) has the kernel's entries in another order from number \((index ?? 0) + 1) on"))
        }
        self.agreeingCount = agreeingCount
        self.findings = findings
    }
}
