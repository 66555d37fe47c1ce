// SPDX-License-Identifier: Apache-2.0

import Foundation
import GuestMemory
import RunRecord
import VmemmapPopulate

@testable import Verification

extension Harness {
    /// Snapshots, as they stand in a file, and changed word by word.
    static let snapshots = [
        Harness("snapshot", byteLimit: 16384) { bytes in
            let snapshot = try roundTrip(Snapshot.self, bytes)
            let verdict = try Verifier.verdict(on: snapshot)
            try roundTrip(Verdict.self, Array(RunDirectory.json(verdict)))
        },
        Harness("verdict", byteLimit: 512) { bytes in
            let recorded = SnapshotChanges.recorded
            guard !recorded.isEmpty else { return }
            var input = Input(bytes)
            var snapshot = recorded[Int(input.byte()) % recorded.count]
            let changes = SnapshotChanges(of: snapshot)
            while !input.isEmpty { changes.change(&snapshot, &input) }
            let verdict = try Verifier.verdict(on: snapshot)
            require(
                verdict.unsaid.allSatisfy { snapshot.witnesses.contains($0.witness) },
                "only who was to speak leaves something unsaid")
            require(
                verdict.coveredSectionCount <= verdict.sectionCount, "no more sections are covered than there are")
        },
    ]
}

/// What an input changes in a recorded snapshot.
private struct SnapshotChanges {
    /// The snapshots of the folder that the environment names.
    static let recorded: [Snapshot] = {
        guard let path = ProcessInfo.processInfo.environment["FUZZ_SNAPSHOTS"] else { return [] }
        let folder = URL(filePath: path, directoryHint: .isDirectory)
        let names = (try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? []
        return names.sorted().compactMap { name in
            (try? Data(contentsOf: folder.appending(path: name))).flatMap {
                try? JSONDecoder().decode(Snapshot.self, from: $0)
            }
        }
    }()

    private let known: [UInt64]

    init(of snapshot: Snapshot) {
        let kernel = snapshot.kernel
        known =
            [
                kernel.vmemmapBase, LinearMap.base, LinearMap.byteCount, UInt64(Int64.max), 1 << kernel.sectionSizeBits,
                kernel.pageByteCount, kernel.vmemmapPageShift.map { 1 << $0 } ?? 0,
            ] + snapshot.memory.flatMap { [$0.base, $0.range.upperBound] }
            + snapshot.kernelList.entries.prefix(4).flatMap { [$0.node, $0.phys, $0.virtAddr] }
    }

    func change(_ snapshot: inout Snapshot, _ input: inout Input) {
        switch input.byte() % 16 {
        case 0: change(&snapshot.kernel, &input)
        case 1: change(&snapshot.kernelList, &input)
        case 2:
            changeOptional(&snapshot.mirror, &input) { mirror, input in
                if input.byte() & 1 == 0 {
                    change(&mirror.list, &input)
                } else {
                    pick(&mirror.header, &input) { $0.value = word(&$1) }
                }
            }
        case 3:
            changeOptional(&snapshot.report, &input) { report, input in
                change(&report.list, &input)
                if input.byte() & 1 == 0 { report.blockByteCount = word(&input) }
                pick(&report.blocks, &input) { $0.index = word(&$1) }
            }
        case 4:
            pick(&snapshot.memory, &input) { range, input in
                if input.byte() & 1 == 0 { range.base = word(&input) } else { range.byteCount = word(&input) }
            }
        case 5:
            pick(&snapshot.sections, &input) { section, input in
                switch input.byte() % 4 {
                case 0: section.number = word(&input)
                case 1: section.vmemmapBase = word(&input)
                case 2: section.flags = word(&input)
                default: section.subsections = word(&input)
                }
            }
        case 6: changeOptional(&snapshot.pageTables, &input) { change(&$0, &$1) }
        case 7:
            changeOptional(&snapshot.hashTable, &input) { table, input in
                switch input.byte() % 5 {
                case 0: table.tableShift = word(&input)
                case 1: table.segmentShift = word(&input)
                case 2: table.virtualBitCount = word(&input)
                case 3: table.context = word(&input)
                default:
                    pick(&table.entries, &input) {
                        $0 = HashedEntry(index: word(&$1), v: $0.v ^ word(&$1), r: $0.r ^ word(&$1))
                    }
                }
            }
        case 8:
            changeOptional(&snapshot.readBack, &input) { readBack, input in
                pick(&readBack.runs, &input) {
                    $0 = ReadBack.Run(virtAddr: word(&$1), phys: word(&$1), byteCount: word(&$1))
                }
                pick(&readBack.stamped, &input) { $0 = ReadBack.Stamped(base: word(&$1), byteCount: word(&$1)) }
            }
        case 9: changeOptional(&snapshot.history, &input) { changeHistory(&$0, &$1) }
        case 10:
            changeOptional(&snapshot.vmcore, &input) { vmcore, input in
                change(&vmcore.list, &input)
                vmcore.unreachableCount = word(&input)
                pick(&vmcore.sections, &input) { $0.number = word(&$1) }
            }
        case 11:
            changeOptional(&snapshot.crashHeader, &input) { header, input in
                header.reservationBase = word(&input)
                header.reservationByteCount = word(&input)
                changeOptional(&header.header, &input) { header, input in
                    pick(&header.loads, &input) {
                        $0 = .init(
                            physAddr: word(&$1), fileOffset: word(&$1), byteCount: word(&$1), fileByteCount: word(&$1))
                    }
                }
            }
        case 12: pick(&snapshot.formerWindows, &input) { changeWindow(&$0, &$1) }
        case 13: snapshot.peakEntryCount = Int(truncatingIfNeeded: word(&input))
        case 14:
            snapshot.interruptedAdd = MemoryRange(name: "dimm9", base: word(&input), byteCount: word(&input))
        default: snapshot.witnesses.removeAll { [bits = input.byte()] in $0.rawValue.utf8.count & 7 == Int(bits & 7) }
        }
    }

    private func word(_ input: inout Input) -> UInt64 { input.word(near: known) }

    private func change(_ kernel: inout KernelFacts, _ input: inout Input) {
        switch input.byte() % 6 {
        case 0: kernel.pageByteCount = word(&input)
        case 1: kernel.sectionSizeBits = word(&input)
        case 2: kernel.structPageByteCount = word(&input)
        case 3: kernel.vmemmapPageShift = word(&input)
        case 4: kernel.vmemmapBase = word(&input)
        default: kernel.mmu = MMU.allCases[Int(input.byte()) % MMU.allCases.count]
        }
    }

    private func change(_ list: inout ListWalk, _ input: inout Input) {
        switch input.byte() % 8 {
        case 0: list.head = word(&input)
        case 1: list.end = ListWalk.End.allCases[Int(input.byte()) % ListWalk.End.allCases.count]
        case 2: list.endLink = word(&input)
        case 3: list.entries.removeLast(min(list.entries.count, Int(input.byte())))
        case 4: pick(&list.entries, &input) { $0.node = word(&$1) }
        case 5: pick(&list.entries, &input) { $0.list = word(&$1) }
        case 6: pick(&list.entries, &input) { $0.phys = word(&$1) }
        default: pick(&list.entries, &input) { $0.virtAddr = word(&$1) }
        }
    }

    private func change(_ tables: inout WalkedTables, _ input: inout Input) {
        if input.byte() & 1 == 0 {
            pick(&tables.windows, &input) { changeWindow(&$0, &$1) }
        } else {
            changeOptional(&tables.tables, &input) { tables, input in
                pick(&tables, &input) { table, input in
                    table.base = word(&input)
                    table.level = word(&input)
                    table.virtAddr = word(&input)
                    table.byteCount = word(&input)
                }
            }
        }
    }

    private func changeWindow(_ window: inout BackedWindow, _ input: inout Input) {
        switch input.byte() % 4 {
        case 0: window.place = word(&input)
        case 1: window.virtAddr = word(&input)
        case 2: window.phys = word(&input)
        default: window.byteCount = word(&input)
        }
    }

    private func changeHistory(_ history: inout HotplugHistory, _ input: inout Input) {
        let (base, byteCount) = (word(&input), word(&input))
        let (end, overflows) = base.addingReportingOverflow(byteCount)
        switch input.byte() % 4 {
        case 0: pick(&history.bootMemory, &input) { $0.byteCount = word(&$1) }
        case 1 where !overflows && byteCount > 0: history.note(.added, base..<end, hasAltmap: input.byte() & 1 == 1)
        case 2 where !overflows && byteCount > 0: history.note(.removed, base..<end)
        default: history.noteGap("a gap")
        }
    }

    private func changeOptional<Value>(
        _ value: inout Value?, _ input: inout Input, _ change: (inout Value, inout Input) -> Void
    ) {
        guard var changed = value else { return }
        if input.byte() == 0xff {
            value = nil
            return
        }
        change(&changed, &input)
        value = changed
    }

    /// Changes one element, or takes it out, or puts it in twice.
    private func pick<Element>(
        _ elements: inout [Element], _ input: inout Input, _ change: (inout Element, inout Input) -> Void
    ) {
        guard !elements.isEmpty else { return }
        let (kind, index) = (input.byte(), Int(input.number(2)) % elements.count)
        switch kind {
        case 0xff: elements.remove(at: index)
        case 0xfe: elements.append(elements[index])
        default: change(&elements[index], &input)
        }
    }
}
