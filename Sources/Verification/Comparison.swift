// SPDX-License-Identifier: Apache-2.0

import HarnessBasics

/// The kernel's account against another one of the same.
struct Comparison {
    /// How many entries have the same window and the same block in both.
    private(set) var agreeingCount = 0
    /// What differs.
    private(set) var findings: [Finding] = []

    /// Compares two accounts entry by entry, then their order where the kernel's has one: a list is a history, page
    /// tables are not.
    init(kernel: [BackedWindow], in account: KernelAccount, other: [BackedWindow], subject: Finding.Subject) {
        var others = AddressIndex(other.map(\.virtAddr))
        var own = AddressIndex(kernel.map(\.virtAddr))
        for (position, entry) in kernel.enumerated() where own.isFirst(position, of: entry.virtAddr) {
            var virt: String { entry.virtAddr.hexadecimal }
            guard let other = others.firstPosition(of: entry.virtAddr).map({ other[$0] }) else {
                findings.append(
                    Finding(
                        subject, .missingEntry,
                        "virt \(virt) → phys \(entry.phys.hexadecimal) is \(account.place) and not in "
                            + "the \(subject)"))
                continue
            }
            if other.phys != entry.phys {
                findings.append(
                    Finding(
                        subject, .wrongPhysical,
                        "virt \(virt) has phys \(entry.phys.hexadecimal) \(account.place) and phys "
                            + "\(other.phys.hexadecimal) in the \(subject)"))
            } else if other.byteCount != entry.byteCount {
                findings.append(
                    Finding(
                        subject, .wrongSize,
                        "virt \(virt) has \(entry.byteCount) bytes \(account.place) and "
                            + "\(other.byteCount) in the \(subject)"))
            } else {
                agreeingCount += 1
            }
        }
        for entry in other where !own.contains(entry.virtAddr) {
            findings.append(
                Finding(
                    subject, .extraEntry,
                    "virt \(entry.virtAddr.hexadecimal) → phys \(entry.phys.hexadecimal) is in the \(subject) and not "
                        + "\(account.place)"))
        }
        if account == .list, findings.isEmpty, !kernel.elementsEqual(other, by: { $0.virtAddr == $1.virtAddr }) {
            let index = zip(kernel, other).enumerated().first { $1.0.virtAddr != $1.1.virtAddr }?.offset
            findings.append(
                Finding(
                    subject, .order,
                    "the \(subject) has the kernel's entries in another order from number \((index ?? 0) + 1) on"))
        }
    }
}
