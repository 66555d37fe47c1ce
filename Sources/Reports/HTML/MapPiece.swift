// SPDX-License-Identifier: Apache-2.0

import HarnessBasics
import Verification
import VmemmapPopulate

/// A piece of the machine's memory, and the part of the memory map that describes it.
struct MapPiece {
    /// `boot`, or the DIMM's alias.
    let name: String
    let node: UInt64?
    /// Guest physical addresses.
    let memory: Range<UInt64>
    /// The effective addresses of its `struct page`s; nil where those are nowhere.
    let map: Range<UInt64>?

    /// How many pieces are drawn.
    private static let limit = 64

    /// The machine's memory, and behind it what is present beside that.
    static func all(of memory: StepMemory) -> [MapPiece] {
        var rest = MemoryRanges()
        for range in memory.presentMemory { rest.insert(range) }
        var pieces = memory.memory.prefix(limit).compactMap { range -> MapPiece? in
            let (end, overflows) = range.base.addingReportingOverflow(range.byteCount)
            guard !overflows, range.byteCount > 0 else { return nil }
            rest.remove(range.base..<end)
            return MapPiece(name: range.name, node: range.node, range.base..<end, memory.kernel)
        }
        guard memory.memory.count <= limit else { return pieces }
        for range in rest.ranges.prefix(limit - pieces.count) {
            pieces.append(MapPiece(name: "present, and not the machine's", node: nil, range, memory.kernel))
        }
        return pieces
    }

    private init(name: String, node: UInt64?, _ memory: Range<UInt64>, _ kernel: KernelFacts) {
        (self.name, self.node, self.memory) = (name, node, memory)
        map = StepMemory.map(of: memory, kernel)
    }
}

/// Entries that follow each other in the memory map, and whose blocks do in memory, upwards or downwards.
struct EntryRun {
    let first: BackedWindow
    private(set) var last: BackedWindow
    private(set) var count = 1
    let isNew: Bool
    let isInAltmap: Bool

    /// The windows' effective addresses.
    var windows: Range<UInt64> { first.virtAddr..<Self.end(last.virtAddr, last.byteCount) }

    /// The blocks' physical addresses.
    var blocks: Range<UInt64> {
        let (low, high) = first.phys <= last.phys ? (first, last) : (last, first)
        return low.phys..<Self.end(high.phys, high.byteCount)
    }

    private static func end(_ start: UInt64, _ byteCount: UInt64) -> UInt64 {
        let (end, overflows) = start.addingReportingOverflow(max(byteCount, 1))
        return overflows ? .max : end
    }

    /// The runs of a step's entries, ascending by effective address.
    static func all(of entries: [BackedWindow], in memory: StepMemory, new: Set<BackedWindow>) -> [EntryRun] {
        var runs: [EntryRun] = []
        for entry in entries where entry.virtAddr < .max && entry.phys < .max {
            let (isNew, isInAltmap) = (new.contains(entry), memory.isInAltmap(entry))
            if let run = runs.last, run.isNew == isNew, run.isInAltmap == isInAltmap, run.takes(entry) {
                runs[runs.count - 1].last = entry
                runs[runs.count - 1].count += 1
            } else {
                runs.append(EntryRun(first: entry, last: entry, isNew: isNew, isInAltmap: isInAltmap))
            }
        }
        return runs
    }

    /// Whether an entry goes on where this run ends, and in its direction.
    private func takes(_ entry: BackedWindow) -> Bool {
        guard entry.byteCount == last.byteCount, entry.byteCount > 0, entry.virtAddr &- last.virtAddr == entry.byteCount
        else { return false }
        let isUpwards = entry.phys &- last.phys == entry.byteCount
        let isDownwards = last.phys &- entry.phys == entry.byteCount
        guard count > 1 else { return isUpwards || isDownwards }
        return last.phys > first.phys ? isUpwards : isDownwards
    }
}
