// SPDX-License-Identifier: Apache-2.0

import GuestMemory
import HarnessBasics
import Verification
import VmemmapPopulate

/// What an emulated kernel's bookkeeping looks like to the verifier: the kernel's list and the model, and no other witness.
struct EmulatedSnapshot {
    let boot: Range<UInt64>
    /// All plugs that were asked for, by number.
    let plugs: [Range<UInt64>]
    /// The numbers, from 1, of those that failed.
    let failedPlugs: Set<Int>
    /// The numbers of those that are gone again, in the order of their unplugs.
    let unplugged: [Int]
    /// What failed.
    let failures: [String]

    /// The most entries and sections together: what `verify` reads at most is some hundred MiB.
    private static let elementLimit: UInt64 = 1 << 20

    /// The bookkeeping as it stands. Throws a usage error when there is too much of it to write.
    func snapshot(of emulator: borrowing VmemmapEmulator) throws -> Snapshot {
        let layout = emulator.layout
        let state = emulator.list.state
        let sectionByteCount = EmulatedLayout.sectionByteCount
        let sectionCount = emulator.list.store.validByteCount / sectionByteCount
        guard state.liveCount + sectionCount <= Self.elementLimit else {
            throw HarnessError.usage(
                "--write: a snapshot holds at most \(Self.elementLimit) entries and sections; here are "
                    + "\(state.liveCount) and \(sectionCount)")
        }
        let isRadix = layout.rules == .radixList || layout.rules == .radixTables
        let geometry = layout.geometry
        let walk = ListWalk(
            head: state.head, in: emulator.list.store, pageByteCount: geometry.pageByteCount,
            limit: Int(state.liveCount))
        return Snapshot(
            witnesses: [layout.rules == .radixTables ? .pageTables : .kernelList, .model],
            kernel: KernelFacts(
                release: "emulated", isBigEndian: false, pageByteCount: geometry.pageByteCount,
                sectionSizeBits: UInt64(sectionByteCount.trailingZeroBitCount),
                structPageByteCount: geometry.structPageByteCount,
                // A kernel without a list leaves the variable as it was: 4 KiB.
                vmemmapPageShift: layout.rules == .radixTables ? 12 : geometry.vmemmapPageShift,
                vmemmapBase: geometry.vmemmapBase, mmu: isRadix ? .radix : .hash),
            memory: memory, sections: sections(of: emulator.list.store.valid, base: geometry.vmemmapBase),
            kernelList: walk,
            // Freed nodes are used before new ones: all that there are were in use at once.
            peakEntryCount: Int(state.liveCount + state.freedCount), history: history)
    }

    private func name(_ number: Int) -> String { "ua-dimm\(number)" }

    private var memory: [MemoryRange] {
        let plugged = plugs.enumerated().filter { index, _ in
            !failedPlugs.contains(index + 1) && !unplugged.contains(index + 1)
        }
        return [Self.range("boot", boot)] + plugged.map { Self.range(name($0.offset + 1), $0.element) }
    }

    private static func range(_ name: String, _ range: Range<UInt64>) -> MemoryRange {
        MemoryRange(name: name, base: range.lowerBound, byteCount: range.upperBound - range.lowerBound)
    }

    private func sections(of valid: MemoryRanges, base: UInt64) -> [PresentSection] {
        let byteCount = EmulatedLayout.sectionByteCount
        return valid.ranges.flatMap { range in
            (range.lowerBound / byteCount..<range.upperBound / byteCount).map {
                PresentSection(number: $0, vmemmapBase: base, isOnline: true)
            }
        }
    }

    private var history: HotplugHistory {
        var history = HotplugHistory(bootMemory: [Self.range("boot", boot)])
        if let failure = failures.first { history.noteGap("something failed (\(failure))") }
        for (index, range) in plugs.enumerated() where !failedPlugs.contains(index + 1) { history.note(.added, range) }
        for number in unplugged { history.note(.removed, plugs[number - 1]) }
        return history
    }
}
