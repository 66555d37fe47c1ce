// SPDX-License-Identifier: Apache-2.0

import GuestMemory
import HarnessBasics
import VmemmapPopulate

// What no taker of a snapshot writes, whatever the guest is like: one part of the document against another. Somebody edited
// the file, or it is damaged.

extension Snapshot {
    /// Refuses a snapshot whose parts do not belong together. Its constants are valid.
    func checkConsistency() throws(SnapshotProblem) {
        try checkWhoSpeaks()
        try checkMemory()
        try checkSections()
        try checkFormer()
        try checkReadBackPlaces()
        try pageTables?.checkConsistency(of: kernel, field: "pageTables")
        if let blocks = report?.blocks, let index = Self.descent(blocks.map(\.index)) {
            throw SnapshotProblem(
                field: "report.blocks[\(index)]", value: "is block \(blocks[index].index)",
                limit: "behind all with smaller numbers")
        }
        if let entry = hashTable?.entries.first(where: { $0.v & 1 == 0 }) {
            throw SnapshotProblem(
                field: "hashTable.entries", value: "has \(entry.v.hexadecimal) at \(entry.index)",
                limit: "valid entries")
        }
    }

    /// Nobody speaks who was not to be asked.
    private func checkWhoSpeaks() throws(SnapshotProblem) {
        let speaking: [(Witness, Bool)] = [
            (.mirror, mirror != nil), (.pageTables, pageTables != nil), (.hashTable, hashTable != nil),
            (.structPages, structPages != nil), (.report, report != nil),
            (.mmu, readBack != nil || !translations.isEmpty || !formerTranslations.isEmpty), (.model, history != nil),
            (.vmcore, vmcore != nil), (.crashHeader, crashHeader != nil),
        ]
        for (witness, speaks) in speaking where speaks && !witnesses.contains(witness) {
            throw SnapshotProblem(
                field: "witnesses", value: "lacks '\(witness.rawValue)'", limit: "all that something is told of")
        }
        if witnesses.contains(.hashTable), kernel.mmu != .hash {
            throw SnapshotProblem(field: "witnesses", value: "has 'hpt'", limit: "without it where the MMU is not hash")
        }
        if readBack != nil, readBackProblem != nil {
            throw SnapshotProblem(
                field: "readBackProblem", value: "is there, and readBack", limit: "why there is no readBack")
        }
    }

    /// The machine's memory is whole sections, each once.
    private func checkMemory() throws(SnapshotProblem) {
        var taken = MemoryRanges()
        let sectionByteCount: UInt64 = 1 << kernel.sectionSizeBits
        for (index, piece) in memory.enumerated() {
            // An NVDIMM may have less than a section, and has none then.
            let isWhole = piece.byteCount < sectionByteCount || piece.byteCount % sectionByteCount == 0
            guard piece.byteCount > 0, isWhole, piece.base % sectionByteCount == 0,
                !taken.intersects(piece.base...piece.range.upperBound - 1)
            else {
                throw SnapshotProblem(
                    field: "memory[\(index)]", value: "is \(piece.byteCount) bytes at \(piece.base.hexadecimal)",
                    limit: "whole sections of \(sectionByteCount) bytes that no piece before has")
            }
            taken.insert(piece.range)
        }
    }

    /// Sections ascend; flags are read of all of them or of none, and so are sub-sections in a guest. A dump may lack some.
    private func checkSections() throws(SnapshotProblem) {
        if let index = Self.descent(sections.map(\.number)) {
            throw SnapshotProblem(
                field: "sections[\(index)]", value: "is section \(sections[index].number)",
                limit: "at least \(sections[index - 1].number), the one before")
        }
        let withFlags = sections.count { $0.flags != nil }
        let withMaps = sections.count { $0.subsections != nil }
        for (name, count, isAny) in [("flags", withFlags, false), ("subsections", withMaps, mirror == nil)]
        where !isAny && count != 0 && count != sections.count {
            throw SnapshotProblem(
                field: "sections.\(name)", value: "is told of \(count) of \(sections.count) sections",
                limit: "told of all or of none")
        }
    }

    /// Windows that are gone have addresses, and nothing backs those; nothing else was asked of the MMU in their stead.
    private func checkFormer() throws(SnapshotProblem) {
        var backed = MemoryRanges()
        if !formerWindows.isEmpty { for range in accountEntries.compactMap(\.addresses) { backed.insert(range) } }
        var asked: Set<UInt64> = []
        for (index, window) in formerWindows.enumerated() {
            guard let range = window.addresses, !backed.intersects(range.lowerBound...range.upperBound - 1) else {
                throw SnapshotProblem(
                    field: "formerWindows[\(index)]",
                    value: "is \(window.byteCount) bytes at \(window.virtAddr.hexadecimal)",
                    limit: "a window that nothing backs any more")
            }
            asked.formUnion(MMUQuestions.addresses(of: window))
        }
        for (index, translation) in formerTranslations.enumerated() where !asked.contains(translation.virtAddr) {
            throw SnapshotProblem(
                field: "formerTranslations[\(index)]", value: "is of \(translation.virtAddr.hexadecimal)",
                limit: "of an address of a window that is gone")
        }
    }

    /// What was read is the account's windows.
    private func checkReadBackPlaces() throws(SnapshotProblem) {
        guard let readBack else { return }
        var windows = MemoryRanges()
        for entry in accountEntries {
            guard let addresses = entry.addresses else { continue }
            windows.insert(addresses)
        }
        for (index, run) in readBack.runs.enumerated()
        where !windows.contains(run.virtAddr..<run.virtAddr + run.byteCount) {
            throw SnapshotProblem(
                field: "readBack.runs[\(index)]", value: "is \(run.byteCount) bytes at \(run.virtAddr.hexadecimal)",
                limit: "in the windows of the kernel's account")
        }
    }

    /// The first element that is less than the one before it.
    private static func descent(_ numbers: [UInt64]) -> Int? {
        zip(numbers, numbers.dropFirst()).enumerated()
            .first { $0.element.1 < $0.element.0 }.map { $0.offset + 1 }
    }
}
