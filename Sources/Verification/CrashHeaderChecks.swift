// SPDX-License-Identifier: Apache-2.0

import GuestMemory
import HarnessBasics
import VmemmapPopulate

/// Whether a crash at this moment would leave a dump that has the memory, and what is needed to make sense of it.
struct CrashHeaderChecks {
    private typealias Piece = CrashHeaderSnapshot.Piece

    private let snapshot: Snapshot
    private let crash: CrashHeaderSnapshot
    private let header: CrashHeaderSnapshot.Header
    /// The loads whose sizes can be, ascending.
    private let loads: [Range<UInt64>]
    /// What they hold together.
    private let dumped: MemoryRanges

    /// `sizeof(struct vmemmap_backing)`, and a page table entry.
    private var placeByteCount: UInt64 { snapshot.account == .list ? 24 : 8 }

    init(snapshot: Snapshot, crash: CrashHeaderSnapshot, header: CrashHeaderSnapshot.Header) {
        self.snapshot = snapshot
        self.crash = crash
        self.header = header
        loads = header.loads.compactMap(Self.range).sorted { $0.lowerBound < $1.lowerBound }
        var dumped = MemoryRanges()
        for load in loads { dumped.insert(load) }
        self.dumped = dumped
    }

    func findings() -> [Finding] {
        sizes() + offsets() + overlaps() + missingMemory() + goneMemory() + note() + hashTable()
    }

    /// The memory of a load; nil where its sizes cannot be.
    private static func range(of load: Piece) -> Range<UInt64>? {
        let (end, overflows) = load.physAddr.addingReportingOverflow(load.byteCount)
        let wraps = load.fileOffset.addingReportingOverflow(load.fileByteCount).overflow
        guard load.byteCount > 0, load.fileByteCount == load.byteCount, !overflows, !wraps, end <= LinearMap.byteCount
        else { return nil }
        return load.physAddr..<end
    }

    private func sizes() -> [Finding] {
        header.loads.filter { Self.range(of: $0) == nil }.map {
            Finding(
                .crashHeader, .loadSize,
                "the PT_LOAD at \($0.physAddr.hexadecimal) has \($0.byteCount.hexadecimal) bytes of memory and "
                    + "\($0.fileByteCount.hexadecimal) in the dump at \($0.fileOffset.hexadecimal), which cannot be")
        }
    }

    /// The capture kernel reads memory where it stands; the first 64 KiB, which it overwrites itself, in their copy in the
    /// reservation.
    private func offsets() -> [Finding] {
        header.loads.filter { load in
            guard Self.range(of: load) != nil, load.fileOffset != load.physAddr else { return false }
            return load.physAddr >= 65536 || !crash.reservation.contains(load.fileOffset)
        }.map {
            Finding(
                .crashHeader, .missingMemory,
                "the PT_LOAD at \($0.physAddr.hexadecimal) is read at \($0.fileOffset.hexadecimal), where that memory is not"
            )
        }
    }

    private func overlaps() -> [Finding] {
        var findings: [Finding] = []
        var highest: Range<UInt64>?
        for load in loads {
            if let lower = highest, load.lowerBound < lower.upperBound {
                findings.append(
                    Finding(
                        .crashHeader, .overlap,
                        "the PT_LOADs at \(lower.lowerBound.hexadecimal) (\(lower.byteCount.hexadecimal) bytes) and "
                            + "\(load.lowerBound.hexadecimal) (\(load.byteCount.hexadecimal) bytes) share memory"))
            }
            if load.upperBound > highest?.upperBound ?? 0 { highest = load }
        }
        return findings
    }

    /// Memory of the machine whose sections are online is in a load. The reservation needs none: it is the capture
    /// kernel's.
    private func missingMemory() -> [Finding] {
        let bits = snapshot.kernel.sectionSizeBits
        var online = MemoryRanges()
        for number in snapshot.sections.lazy.filter(\.isOnline).map(\.number).sorted() {
            let section = number << bits..<(number + 1) << bits
            // The header was read before this came.
            if snapshot.interruptedAdd?.range.overlaps(section) != true { online.insert(section) }
        }
        var covered = dumped
        covered.insert(crash.reservation)
        let missing = Self.difference(online.ranges, covered.ranges)
        return snapshot.memory.compactMap { memory in
            let parts = missing.lazy.map { $0.clamped(to: memory.range) }.filter { !$0.isEmpty }
            guard let first = parts.first else { return nil }
            let byteCount = parts.reduce(0) { $0 + $1.byteCount }
            return Finding(
                .crashHeader, .missingMemory,
                "\(byteCount.hexadecimal) of the \(memory.byteCount.hexadecimal) bytes of \(memory.name) at "
                    + "\(memory.base.hexadecimal) are in no PT_LOAD, the first at \(first.lowerBound.hexadecimal)")
        }
    }

    private func goneMemory() -> [Finding] {
        var memory = MemoryRanges()
        for piece in snapshot.memory { memory.insert(piece.range) }
        return loads.compactMap { load in
            let gone = Self.difference([load], memory.ranges)
            guard let first = gone.first else { return nil }
            let byteCount = gone.reduce(0) { $0 + $1.byteCount }
            return Finding(
                .crashHeader, .memoryGone,
                "\(byteCount.hexadecimal) of the \(load.byteCount.hexadecimal) bytes of the PT_LOAD at "
                    + "\(load.lowerBound.hexadecimal) are no memory of the machine, the first at "
                    + first.lowerBound.hexadecimal)
        }
    }

    private func note() -> [Finding] {
        guard let release = header.noteRelease else {
            return [
                Finding(
                    .crashHeader, .note,
                    "none of the header's \(header.notes.count) notes is a whole VMCOREINFO note")
            ]
        }
        guard release != snapshot.kernel.release else { return [] }
        return [
            Finding(
                .crashHeader, .note,
                "the VMCOREINFO note is of kernel \(release); the guest runs \(snapshot.kernel.release)")
        ]
    }

    /// The capture kernel asks the hypervisor for a table of the size that its tree says, and has the old one.
    private func hashTable() -> [Finding] {
        guard snapshot.kernel.mmu == .hash, let real = crash.hashTableOrder else { return [] }
        let wrong = Set(header.hashTableOrders).subtracting([real]).sorted()
        guard !wrong.isEmpty || header.hashTableOrders.isEmpty else { return [] }
        let said =
            wrong.isEmpty ? "no ibm,pft-size" : "ibm,pft-size \(wrong.map(String.init).joined(separator: " and "))"
        return [
            Finding(
                .crashHeader, .hashTableSize,
                "the crash kernel's device tree has \(said), and the guest's hashed page table is of 2^\(real) bytes")
        ]
    }

    /// What of the kernel's account a dump would have: how many entries with their blocks, and what is wrong of the rest.
    func account() -> (agreeingCount: Int, findings: [Finding]) {
        let entries = snapshot.accountEntries
        let isList = snapshot.account == .list
        var agreeingCount = 0
        var places: [UInt64] = []
        var blocks: [UInt64] = []
        for entry in entries {
            let place = isList ? LinearMap.physical(entry.place)?.rawValue : entry.place
            let hasPlace = place.map { holds($0, placeByteCount) } ?? false
            let hasBlock = holds(entry.phys, max(entry.byteCount, 1))
            if !hasPlace { places.append(entry.place) }
            if !hasBlock { blocks.append(entry.phys) }
            if hasPlace, hasBlock { agreeingCount += 1 }
        }
        let findings = [(isList ? "nodes" : "page table entries", places), ("blocks", blocks)].compactMap {
            name, missing -> Finding? in
            guard let first = missing.first else { return nil }
            return Finding(
                .crashHeader, .notInDump,
                "\(missing.count) of \(entries.count) \(name) are not in a PT_LOAD, the first at \(first.hexadecimal)")
        }
        return (agreeingCount, findings)
    }

    private func holds(_ address: UInt64, _ byteCount: UInt64) -> Bool {
        let (end, overflows) = address.addingReportingOverflow(byteCount)
        return !overflows && dumped.contains(address..<end)
    }

    /// What is in the first ranges and in none of the others. Both ascend and do not touch.
    private static func difference(_ ranges: [Range<UInt64>], _ others: [Range<UInt64>]) -> [Range<UInt64>] {
        var rest: [Range<UInt64>] = []
        var index = 0
        for range in ranges {
            var start = range.lowerBound
            while index < others.count, others[index].upperBound <= start { index += 1 }
            var next = index
            while next < others.count, others[next].lowerBound < range.upperBound {
                if start < others[next].lowerBound { rest.append(start..<others[next].lowerBound) }
                start = max(start, others[next].upperBound)
                next += 1
            }
            index = max(index, next - 1)
            if start < range.upperBound { rest.append(start..<range.upperBound) }
        }
        return rest
    }
}

extension Range<UInt64> {
    fileprivate var byteCount: UInt64 { upperBound - lowerBound }
}
