// SPDX-License-Identifier: Apache-2.0

import GuestMemory
import HarnessBasics
public import VmemmapPopulate

extension Snapshot {
    /// How this kernel records what backs its memory map.
    public var rules: PopulateRules {
        switch account {
        case .pageTables: .radixTables
        case .list: kernel.mmu == .radix ? .radixList : .hash
        }
    }
}

/// The kernel's account against what the emulator makes of the guest's history.
struct ModelChecks {
    /// What there is to compare.
    enum Prediction {
        /// The model.
        case model(ListModel)
        /// No model, and why.
        case none(String)
        /// No kernel can have this history, and why.
        case impossible(String)
    }

    let prediction: Prediction
    /// How many entries are where the model has them.
    private(set) var agreeingCount = 0
    /// How many entries there are of which the model cannot say whether they are as they must be.
    private(set) var unsaidCount = 0
    private(set) var findings: [Finding] = []
    /// The start rules of the kernel that this and every earlier verification leave possible; nil when all of them are, and
    /// where the kernel keeps a list.
    private(set) var radixStarts: [RadixStart]?
    /// The base pages for memory that never came which the kernel's start rule accounts for, by their addresses.
    private(set) var leaks: Set<UInt64> = []

    /// The most windows that are predicted: 1 TiB of the densest memory map. A snapshot can ask for any number.
    static let windowLimit: UInt64 = 4 << 20

    init(snapshot: Snapshot) {
        radixStarts = snapshot.radixStarts.flatMap { $0.isEmpty ? nil : $0 }
        prediction = Self.prediction(for: snapshot, radixStart: .pageAligned)
        switch prediction {
        case .none: break
        case .impossible(let reason):
            findings = [
                Finding(.model, .history, "the guest's own events tell of a history that no kernel can have: \(reason)")
            ]
        case .model(let model):
            switch snapshot.account {
            case .list: compare(model.entries, snapshot)
            case .pageTables: compareTables(model, snapshot)
            }
        }
    }

    /// Which start rule a kernel has, it shows: where they differ, one of them fits. It has the same one all its life, so
    /// those that an earlier verification has ruled out are no explanation any more.
    private mutating func compareTables(_ model: ListModel, _ snapshot: Snapshot) {
        let actual = snapshot.accountEntries
        let others: [RadixStart] = model.hasStartInMiddle ? [.asGiven, .blockAligned] : []
        var comparisons: [(rule: RadixStart, comparison: LeafComparison)] = [
            (.pageAligned, LeafComparison(model, actual))
        ]
        for rule in others {
            guard case .model(let other) = Self.prediction(for: snapshot, radixStart: rule) else { continue }
            comparisons.append((rule, LeafComparison(other, actual)))
        }
        // Where they do not differ, one stands for all.
        let held = comparisons.filter { others.isEmpty || radixStarts?.contains($0.rule) ?? true }
        let fitting = comparisons.filter(\.comparison.findings.isEmpty).map(\.rule)
        let best = held.filter { fitting.contains($0.rule) }
            .max { $0.comparison.agreeingCount < $1.comparison.agreeingCount }
        if let best {
            if !others.isEmpty { rule(out: Set(RadixStart.allCases).subtracting(fitting)) }
            take(best.comparison)
            return
        }
        // What is wrong is told by the rule that leaves least of it.
        if let least = held.min(by: { $0.comparison.findings.count < $1.comparison.findings.count }) {
            take(least.comparison)
        }
        guard let radixStarts, !fitting.isEmpty else { return }
        func names(_ rules: [RadixStart]) -> String { rules.map(\.name).joined(separator: " or ") }
        findings.append(
            Finding(
                .model, .otherRule,
                "the kernel's page tables are those of a kernel whose memory map begins \(names(fitting)), and an earlier "
                    + "verification has shown that it begins \(names(radixStarts))"))
    }

    private mutating func rule(out impossible: Set<RadixStart>) {
        let possible = (radixStarts ?? RadixStart.allCases).filter { !impossible.contains($0) }
        radixStarts = possible == RadixStart.allCases ? nil : possible
    }

    private mutating func take(_ comparison: LeafComparison) {
        (agreeingCount, unsaidCount, findings, leaks) =
            (comparison.agreeingCount, comparison.unsaidCount, comparison.findings, comparison.leaks)
    }

    private static func prediction(for snapshot: Snapshot, radixStart: RadixStart) -> Prediction {
        let kernel = snapshot.kernel
        guard let history = snapshot.history else { return .none("the record tells nothing of the guest's history") }
        if let interruption = snapshot.interruption {
            return .none("\(interruption), and nothing tells how far it came")
        }
        if let gap = history.gap { return .none("\(gap), so that the guest's history is not known") }
        guard kernel.mmu != .unknown else { return .none("the guest does not say which MMU it uses") }
        guard 1 << kernel.sectionSizeBits == EmulatedLayout.sectionByteCount else {
            return .none("no rules are known for sections of \(UInt64(1) << kernel.sectionSizeBits) bytes")
        }
        let rules = snapshot.rules
        // mm/memory_hotplug.c on powerpc: radix kernels since 6.6 only, which keep no list.
        if rules != .radixTables, let step = history.steps.first(where: \.hasAltmap) {
            return .impossible(
                "memory from \(step.base.hexadecimal) on brought its own memory map, which a kernel with a list does not let it"
            )
        }
        guard rules != .radixTables || snapshot.pageTables != nil else {
            return .none("the kernel's page tables were not read")
        }
        guard rules == .radixTables || kernel.vmemmapPageShift != nil else {
            return .none("the kernel's vmemmap page size cannot be read")
        }
        let layout: EmulatedLayout
        do throws(EmulatedLayout.Impossible) {
            layout = try EmulatedLayout(
                rules: rules, pageByteCount: kernel.pageByteCount,
                vmemmapPageByteCount: rules == .radixTables ? nil : kernel.vmemmapPageShift.map { 1 << $0 },
                structPageByteCount: kernel.structPageByteCount, vmemmapBase: kernel.vmemmapBase,
                radixStart: radixStart)
        } catch {
            return .none("no rules are known for such a kernel: \(error)")
        }
        guard windowCount(of: history, layout.geometry) <= windowLimit else {
            return .none("the history has more than \(windowLimit) windows")
        }
        do throws(HotplugError) {
            return .model(
                try ListModel(
                    layout: layout, bootMemory: history.bootMemory.map(\.range),
                    history: history.steps.map(\.modelStep)))
        } catch {
            return .impossible(reason(error))
        }
    }

    /// At most so many windows are populated in a history.
    private static func windowCount(of history: HotplugHistory, _ geometry: MemoryMapGeometry) -> UInt64 {
        let smallestWindow = min(geometry.vmemmapPageByteCount, geometry.pageByteCount)
        let described = smallestWindow / geometry.structPageByteCount * geometry.pageByteCount
        let sizes = history.bootMemory.map(\.byteCount) + history.steps.map(\.byteCount)
        return sizes.reduce(0) { $0 &+ $1 / described &+ 1 }
    }

    private static func reason(_ error: HotplugError) -> String {
        func text(_ range: Range<UInt64>) -> String {
            "memory from \(range.lowerBound.hexadecimal) to \(range.upperBound.hexadecimal)"
        }
        return switch error {
        case .unaligned(let range, _): "\(text(range)) is not made of whole sections"
        case .outOfReach(let range, let end): "\(text(range)) reaches past \(end.hexadecimal), where memory ends"
        case .overlaps(let range): "\(text(range)) was added, and was there already"
        case .notPresent(let range), .busy(let range): "\(text(range)) was removed, and was not there"
        case .tooSmallForVmemmapPages: "vmemmap pages of 16 MiB with less than 1 GiB at boot"
        case .populate(let failure): "its memory map cannot be populated (\(failure))"
        }
    }

    private mutating func compare(_ predicted: [ListModel.Entry], _ snapshot: Snapshot) {
        let actual = snapshot.kernelList.entries
        var virtAddrs = AddressIndex(actual.map(\.virtAddr))
        var predictedVirtAddrs = AddressIndex(predicted.map(\.virtAddr))
        for entry in actual where !predictedVirtAddrs.contains(entry.virtAddr) {
            findings.append(
                Finding(
                    .model, .missingEntry,
                    "virt \(entry.virtAddr.hexadecimal) → phys \(entry.phys.hexadecimal) is on the kernel's list, and "
                        + "nothing in the guest's history puts it there"))
        }
        for entry in predicted where !virtAddrs.contains(entry.virtAddr) {
            findings.append(
                Finding(
                    .model, .extraEntry,
                    "virt \(entry.virtAddr.hexadecimal) belongs on the kernel's list by the guest's history, and is not "
                        + "there"))
        }
        guard findings.isEmpty else { return }
        if let index = zip(actual, predicted).enumerated().first(where: { $1.0.virtAddr != $1.1.virtAddr })?.offset {
            findings.append(
                Finding(
                    .model, .order,
                    "the kernel's list has virt \(actual[index].virtAddr.hexadecimal) as its number \(index + 1), and "
                        + "its history puts virt \(predicted[index].virtAddr.hexadecimal) there"))
        }
        comparePlaces(actual, snapshot) { virtAddr in
            predictedVirtAddrs.firstPosition(of: virtAddr).map { predicted[$0].place }
        }
    }

    /// Which page of memory the kernel took for nodes is its own affair; which entries share one is not.
    private mutating func comparePlaces(
        _ actual: [ListEntry], _ snapshot: Snapshot, predicted: (UInt64) -> ListModel.Place?
    ) {
        var pages: [UInt64: UInt64] = [:]
        var ordinals: [UInt64: UInt64] = [:]
        // The page and its ordinal that were known last: most nodes are in the same one as their neighbors.
        var last: (page: UInt64, ordinal: UInt64)?
        for entry in actual {
            guard let place = predicted(entry.virtAddr) else { continue }
            let (page, offset) = entry.node.quotientAndRemainder(dividingBy: snapshot.kernel.pageByteCount)
            if let last, last == (page, place.page), offset == place.offset {
                agreeingCount += 1
                continue
            }
            let knownPage = pages[place.page] ?? page
            let knownOrdinal = ordinals[page] ?? place.page
            pages[place.page] = knownPage
            ordinals[page] = knownOrdinal
            if offset == place.offset, knownPage == page, knownOrdinal == place.page {
                agreeingCount += 1
                last = (page, place.page)
                continue
            }
            let expectedPage =
                knownPage == page && knownOrdinal == place.page
                ? "" : " of the node page at \((knownPage &* snapshot.kernel.pageByteCount).hexadecimal)"
            findings.append(
                Finding(
                    .model, .otherNode,
                    "virt \(entry.virtAddr.hexadecimal) is in node \(entry.node.hexadecimal), and its history puts it at "
                        + "offset \(place.offset.hexadecimal)\(expectedPage)"))
        }
    }
}

extension HotplugHistory.Step {
    /// The same for the model.
    fileprivate var modelStep: ListModel.Step {
        let range = base..<base + byteCount
        return switch change {
        case .added: .add(range, memmapOnMemory: hasAltmap)
        case .removed: .remove(range)
        case .failed: .failToAdd(range, linkedCount: linkedCount ?? 0)
        }
    }
}
