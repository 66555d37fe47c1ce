// SPDX-License-Identifier: Apache-2.0

import GuestMemory
import HarnessBasics
import KernelState
import VmemmapPopulate

/// What is true of the kernel's own list in its guest: places in memory, and the memory map that it has to cover.
struct KernelListChecks {
    let snapshot: Snapshot
    let geometry: MemoryMapGeometry
    private let present: PresentMemory

    init(snapshot: Snapshot, geometry: MemoryMapGeometry) {
        self.snapshot = snapshot
        self.geometry = geometry
        present = PresentMemory(snapshot)
    }

    private var entries: [ListEntry] { snapshot.kernelList.entries }
    private var windowByteCount: UInt64 { geometry.vmemmapPageByteCount }

    func findings() -> [Finding] {
        nodePages() + nodePlaces() + places() + overlaps()
            + (snapshot.freeNodes.map { FreeNodeChecks(snapshot: snapshot, nodes: $0).findings() } ?? [])
    }

    /// Nodes come out of whole pages that are never given back: no more pages than the peak needs. Where the history is not
    /// whole, blocks may have come and gone that nobody saw, and with them the peak.
    private func nodePages() -> [Finding] {
        guard snapshot.history?.gap == nil else { return [] }
        let perPage = Int(snapshot.kernel.pageByteCount / VmemmapBacking.byteCount)
        let (fullPages, rest) = snapshot.peakEntryCount.quotientAndRemainder(dividingBy: perPage)
        let allowed = rest == 0 ? fullPages : fullPages + 1
        let used = AddressIndex(entries.map { $0.node / snapshot.kernel.pageByteCount }).distinct.count
        guard used > allowed else { return [] }
        return [
            Finding(
                .list, .nodePages,
                "nodes stand in \(used) pages; a peak of \(snapshot.peakEntryCount) entries needs \(allowed)")
        ]
    }

    /// A node stands in memory that the kernel has, and that it has given to nobody: neither to a block nor to a page table. The
    /// free ones will be written to.
    private func nodePlaces() -> [Finding] {
        let blocks = BlockMemory(snapshot.accountEntries)
        let tables = Dictionary(
            (snapshot.pageTables?.windows ?? []).map { ($0.place / 4096, $0) }, uniquingKeysWith: { first, _ in first })
        let free = snapshot.freeNodes?.freed ?? []
        return (0..<entries.count + free.count).compactMap { index in
            let place = index < entries.count ? entries[index].node : free[index - entries.count]
            var node: String {
                index < entries.count
                    ? "node \(place.hexadecimal) of virt \(entries[index].virtAddr.hexadecimal)"
                    : "the free node \(place.hexadecimal)"
            }
            guard let phys = LinearMap.physical(place)?.rawValue,
                present.has(phys, byteCount: VmemmapBacking.byteCount)
            else { return Finding(.list, .outsideMemory, "\(node) stands outside present memory") }
            if let block = blocks.block(at: phys) {
                return Finding(
                    .list, .placeInBlock,
                    "\(node) stands in the block of virt \(block.virtAddr.hexadecimal) (phys \(block.phys.hexadecimal))"
                )
            }
            return tables[phys / 4096].map {
                Finding(
                    .list, .placeInBlock,
                    "\(node) stands in the page table with the entry at \($0.place.hexadecimal)")
            }
        }
    }

    /// Each entry by itself: aligned, inside memory, and describing some.
    private func places() -> [Finding] {
        entries.flatMap { entry in
            var findings: [Finding] = []
            var node: String { entry.node.hexadecimal }
            var virt: String { entry.virtAddr.hexadecimal }
            if entry.virtAddr % windowByteCount != 0 {
                findings.append(
                    Finding(
                        .list, .misalignedVirtual,
                        "virt \(virt) in node \(node) is no multiple of \(windowByteCount.hexadecimal)"))
            }
            if entry.phys % windowByteCount != 0 {
                findings.append(
                    Finding(
                        .list, .misalignedPhysical,
                        "phys \(entry.phys.hexadecimal) of virt \(virt) in node \(node) is no multiple of "
                            + windowByteCount.hexadecimal))
            }
            if !present.has(entry.phys, byteCount: windowByteCount) {
                findings.append(
                    Finding(
                        .list, .physicalOutsideMemory,
                        "phys \(entry.phys.hexadecimal) of virt \(virt) in node \(node) lies outside present memory"))
            }
            if let described = describedRange(entry) {
                if !present.overlaps(described) {
                    findings.append(
                        Finding(
                            .list, .staleEntry,
                            "virt \(virt) in node \(node) describes \(described.lowerBound.hexadecimal) to "
                                + "\(described.upperBound.hexadecimal), where no section is present"))
                }
            } else {
                findings.append(
                    Finding(
                        .list, .virtualOutsideVmemmap,
                        "virt \(virt) in node \(node) lies outside the memory map, which starts at "
                            + geometry.vmemmapBase.hexadecimal))
            }
            return findings
        }
    }

    private func describedRange(_ entry: ListEntry) -> Range<UInt64>? {
        guard let start = geometry.address(describedAt: entry.virtAddr)?.rawValue else { return nil }
        let (end, overflows) = start.addingReportingOverflow(geometry.describedByteCount)
        return overflows ? nil : start..<end
    }

    /// Two blocks share no memory.
    private func overlaps() -> [Finding] {
        let sorted = entries.sorted { $0.phys < $1.phys }
        return zip(sorted, sorted.dropFirst()).compactMap { lower, upper in
            guard upper.phys - lower.phys < windowByteCount else { return nil }
            return Finding(
                .list, .overlap,
                "the blocks of virt \(lower.virtAddr.hexadecimal) (phys \(lower.phys.hexadecimal)) and virt "
                    + "\(upper.virtAddr.hexadecimal) (phys \(upper.phys.hexadecimal)) share memory; a block has "
                    + "\(windowByteCount.hexadecimal) bytes")
        }
    }

    /// The windows of each present section that no entry covers. A section without such is covered.
    func coverage() -> (coveredCount: Int, findings: [Finding]) {
        var windows = AddressIndex(entries.map(\.virtAddr))
        let sectionByteCount: UInt64 = 1 << snapshot.kernel.sectionSizeBits
        var findings: [Finding] = []
        var coveredCount = 0
        for section in snapshot.sections {
            let start = section.number << snapshot.kernel.sectionSizeBits
            let missing = windows.missing(of: geometry.windows(describing: start..<(start + sectionByteCount)))
            guard let first = missing.first else {
                coveredCount += 1
                continue
            }
            findings.append(
                Finding(
                    .list, .hole,
                    "section \(section.number) (memory at \(start.hexadecimal)) has no block behind its struct pages at "
                        + "virt \(first.hexadecimal)" + (missing.count > 1 ? " and \(missing.count - 1) more" : "")))
        }
        return (coveredCount, findings)
    }
}
