// SPDX-License-Identifier: Apache-2.0

import GuestMemory
import HarnessBasics

/// A hash kernel's list against the hashed page table: what the list has is mapped so, once, and nothing else is.
struct HashTableChecks {
    /// Entries of the list that are mapped as they are to be.
    private(set) var agreeingCount = 0
    /// What is wrong.
    private(set) var findings: [Finding] = []

    private let pageShift: UInt64

    /// Judges each entry of the table and of the list.
    init(snapshot: Snapshot, table: HashTableSnapshot, pageShift: UInt64) {
        self.pageShift = pageShift
        var mapped: [(virtAddr: UInt64, entry: HashedEntry)] = []
        for (virtAddr, entry) in table.pages(of: snapshot.kernel, pageShift: pageShift) {
            guard let virtAddr else {
                findings.append(
                    Finding(
                        .hashTable, .misplacedEntry,
                        "HPTE \(Self.text(entry)) of the memory map stands where no processor looks for it"))
                continue
            }
            mapped.append((virtAddr, entry))
        }
        var mappings = AddressIndex(mapped.map(\.virtAddr))
        let windows = snapshot.accountEntries
        for window in windows {
            let entries = mappings.positions(of: window.virtAddr).map { mapped[$0].entry }
            guard !entries.isEmpty else {
                findings.append(
                    Finding(
                        .hashTable, .missingEntry,
                        "virt \(window.virtAddr.hexadecimal) has phys \(window.phys.hexadecimal) on the list, and no HPTE maps "
                            + "it"))
                continue
            }
            let faults = faults(of: entries, window)
            if faults.isEmpty { agreeingCount += 1 }
            findings += faults
        }
        var listed = AddressIndex(windows.map(\.virtAddr))
        for virtAddr in mappings.distinct where !listed.contains(virtAddr) {
            findings += mappings.positions(of: virtAddr).map { mapped[$0].entry }.map {
                Finding(
                    .hashTable, .staleEntry,
                    "virt \(virtAddr.hexadecimal) is not on the list, and HPTE \(Self.text($0)) maps it to "
                        + $0.phys(pageShift: pageShift).hexadecimal)
            }
        }
    }

    private func faults(of entries: [HashedEntry], _ window: BackedWindow) -> [Finding] {
        var virtText: String { "virt \(window.virtAddr.hexadecimal)" }
        guard entries.count == 1, let entry = entries.first else {
            return [
                Finding(
                    .hashTable, .duplicateVirtual,
                    "\(virtText) is mapped by \(entries.count) HPTEs: \(entries.map(Self.text).joined(separator: ", "))"
                )
            ]
        }
        var faults: [Finding] = []
        if !entry.mapsPage(shift: pageShift) {
            faults.append(
                Finding(
                    .hashTable, .wrongSize,
                    "HPTE \(Self.text(entry)) of \(virtText) maps no page of \(UInt64(1) << pageShift) bytes"))
        } else if entry.phys(pageShift: pageShift) != window.phys {
            faults.append(
                Finding(
                    .hashTable, .wrongPhysical,
                    "\(virtText) has phys \(window.phys.hexadecimal) on the list, and HPTE \(Self.text(entry)) maps it to "
                        + entry.phys(pageShift: pageShift).hexadecimal))
        }
        if !entry.isKernelData || !entry.isBolted {
            faults.append(
                Finding(
                    .hashTable, .attributes,
                    "HPTE \(Self.text(entry)) of \(virtText) is not a bolted one for the kernel's own data, writable and "
                        + "cached"))
        }
        return faults
    }

    private static func text(_ entry: HashedEntry) -> String {
        "\(entry.index) (\(entry.v.hexadecimal) \(entry.r.hexadecimal))"
    }
}

extension Verifier {
    /// Nil on radix, where there is no such table.
    static func judgeHashTable(_ snapshot: Snapshot) -> Judgement? {
        guard snapshot.kernel.mmu == .hash else { return nil }
        let entryCount = snapshot.accountEntries.count
        guard let table = snapshot.hashTable else {
            // An emulator has none, nor has a record from before there was such a witness.
            guard snapshot.witnesses.contains(.hashTable) || snapshot.hashTableProblem != nil else { return nil }
            return Judgement(
                .hashTable, silentAbout: entryCount, snapshot.hashTableProblem ?? "it was not asked")
        }
        guard let pageShift = snapshot.kernel.vmemmapPageShift, [12, 16, 24].contains(pageShift) else {
            return Judgement(
                .hashTable, silentAbout: entryCount, isAbsent: false,
                "the kernel's vmemmap page size is none of which its entries are known")
        }
        let checks = HashTableChecks(snapshot: snapshot, table: table, pageShift: pageShift)
        var judgement = Judgement(
            .hashTable,
            "the hashed page table, \(table.validCount) entries: each block is mapped once, to its page, for the kernel, "
                + "writable and cached, and of the memory map's segments nothing else is mapped")
        judgement.findings = checks.findings
        judgement.agreeingCount = checks.agreeingCount
        return judgement
    }
}
