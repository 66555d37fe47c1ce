// SPDX-License-Identifier: Apache-2.0

import AgentProtocol
import GuestMemory
import Verification
import VmemmapPopulate

/// Makes a guest's history out of its events.
struct HistoryKeeper {
    /// What is known so far.
    private(set) var history: HotplugHistory
    private let geometry: MemoryMapGeometry
    private let mapBytesPerSection: UInt64
    /// Whether the event source tells of each call of `vmemmap_populate` and `vmemmap_free`; without one the kernel's log
    /// still tells of LMBs.
    private let hasCalls: Bool

    /// A guest that has just booted with this memory.
    init(bootMemory: [MemoryRange], layout: KernelLayout, hello: Hello) {
        history = HotplugHistory(bootMemory: bootMemory)
        geometry = MemoryMapGeometry(
            vmemmapBase: hello.vmemmapBase, vmemmapPageShift: hello.vmemmapPageShift,
            pageByteCount: layout.pageByteCount, structPageByteCount: layout.structPageByteCount)
        mapBytesPerSection = layout.memoryMapBytesPerSection
        hasCalls = hello.eventSource != .snapshots
    }

    /// Takes an event in.
    mutating func take(_ event: AgentEvent) {
        switch event {
        case .populateCalled(let start, let end, _, let altmap) where hasCalls:
            note(.added, start, end, hasAltmap: altmap != 0)
        case .freeCalled(let start, let end) where hasCalls: note(.removed, start, end)
        case .lmbAdded(let base, _) where !hasCalls: note(.added, lmbAt: base)
        case .lmbRemoved(let base) where !hasCalls: note(.removed, lmbAt: base)
        case .hotplugFailed where !hasCalls: history.noteGap("a hot-plug failed, and nothing tells how far it came")
        case .mappingFailed: history.noteGap("a vmemmap mapping failed, and nothing tells what was undone")
        case .populateFailed(let errno):
            history.noteGap("a populate failed with error \(errno), in the middle of a section")
        case .lost(let recordCount): history.noteGap("the agent lost \(recordCount) events")
        default: break
        }
    }

    /// Takes in that the ring had events which were overwritten before they were read here.
    mutating func takeMissed(count: UInt64) {
        if count > 0 { history.noteGap("\(count) events were overwritten before they were read") }
    }

    private mutating func note(
        _ change: HotplugHistory.Step.Change, _ start: UInt64, _ end: UInt64, hasAltmap: Bool = false
    ) {
        guard let memory = geometry.memory(describedIn: start, end, mapBytesPerSection: mapBytesPerSection) else {
            return history.noteGap("a call's range, \(start.hexadecimal) to \(end.hexadecimal), is none")
        }
        history.note(change, memory, hasAltmap: hasAltmap)
    }

    private mutating func note(_ change: HotplugHistory.Step.Change, lmbAt base: UInt64) {
        let (end, overflows) = base.addingReportingOverflow(GuestConfiguration.lmbByteCount)
        guard !overflows else { return history.noteGap("there is no LMB at \(base.hexadecimal)") }
        history.note(change, base..<end)
    }
}
