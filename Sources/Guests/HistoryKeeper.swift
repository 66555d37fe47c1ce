// SPDX-License-Identifier: Apache-2.0

import AgentProtocol
import GuestMemory
import HarnessBasics
import Verification
import VmemmapPopulate

/// Makes a guest's history out of its events.
struct HistoryKeeper {
    /// A section whose populate is the newest call, and may turn out to have failed.
    private struct Call {
        let section: Range<UInt64>
        /// How many blocks it put on the list.
        var linkedCount: UInt64 = 0
        /// Set when it was said to have failed.
        var errno: UInt64?
    }

    private var known: HotplugHistory
    private var newest: Call?
    private let geometry: MemoryMapGeometry
    private let mapBytesPerSection: UInt64
    private let source: EventSource

    /// A guest that has just booted with this memory.
    init(bootMemory: [MemoryRange], layout: KernelLayout, hello: Hello) {
        known = HotplugHistory(bootMemory: bootMemory)
        geometry = MemoryMapGeometry(
            vmemmapBase: hello.vmemmapBase, vmemmapPageShift: hello.vmemmapPageShift,
            pageByteCount: layout.pageByteCount, structPageByteCount: layout.structPageByteCount)
        mapBytesPerSection = layout.memoryMapBytesPerSection
        source = hello.eventSource
    }

    /// What is known so far. Once the guest is at rest, a populate that failed has been undone.
    var history: HotplugHistory {
        var history = known
        if let errno = newest?.errno {
            history.noteGap("a populate failed with error \(errno), and nothing was seen to undo it")
        }
        return history
    }

    /// Whether the event source tells of each call of `vmemmap_populate` and `vmemmap_free`; without one the kernel's log
    /// still tells of LMBs.
    private var hasCalls: Bool { source != .snapshots }

    /// Takes an event in.
    mutating func take(_ event: AgentEvent) {
        switch event {
        case .populateCalled(let start, let end, _, let altmap) where hasCalls:
            known = history
            newest = note(.added, start, end, hasAltmap: altmap != 0).map { Call(section: $0) }
        case .blockMirrored: newest?.linkedCount += 1
        case .populateFailed(let errno): noteFailure(errno)
        // The log may say it before the trace does; a probe tells of the same failure, and in its place.
        case .mappingFailed where source == .kprobes: break
        case .mappingFailed(let errno): noteFailure(errno)
        case .freeCalled(let start, let end) where hasCalls: noteFree(start, end)
        case .lmbAdded(let base, _) where !hasCalls: note(.added, lmbAt: base)
        case .lmbRemoved(let base) where !hasCalls: note(.removed, lmbAt: base)
        case .hotplugFailed where !hasCalls: known.noteGap("a hot-plug failed, and nothing tells how far it came")
        case .lost(let recordCount): known.noteGap("the agent lost \(recordCount) events")
        default: break
        }
    }

    private mutating func noteFailure(_ errno: UInt64) {
        guard newest != nil else {
            return known.noteGap("a populate failed with error \(errno), and nothing tells which")
        }
        newest?.errno = errno
    }

    /// A section that goes right after it came did not come: the kernel undoes a populate that failed so
    /// (`section_deactivate`), and not every source says that it failed. An LMB has many sections, and its first one goes
    /// first.
    private mutating func noteFree(_ start: UInt64, _ end: UInt64) {
        if let call = newest, memory(start, end) == call.section {
            newest = nil
            return known.noteFailure(of: call.section, linkedCount: call.linkedCount)
        }
        known = history
        newest = nil
        _ = note(.removed, start, end)
    }

    /// Takes in that the ring had events which were overwritten before they were read here.
    mutating func takeMissed(count: UInt64) {
        if count > 0 { known.noteGap("\(count) events were overwritten before they were read") }
    }

    private func memory(_ start: UInt64, _ end: UInt64) -> Range<UInt64>? {
        geometry.memory(describedIn: start, end, mapBytesPerSection: mapBytesPerSection)
    }

    /// Notes what a call was about, and returns it; nil when that is not valid.
    private mutating func note(
        _ change: HotplugHistory.Step.Change, _ start: UInt64, _ end: UInt64, hasAltmap: Bool = false
    ) -> Range<UInt64>? {
        guard let memory = memory(start, end) else {
            known.noteGap("a call's range, \(start.hexadecimal) to \(end.hexadecimal), is not valid")
            return nil
        }
        known.note(change, memory, hasAltmap: hasAltmap)
        return memory
    }

    private mutating func note(_ change: HotplugHistory.Step.Change, lmbAt base: UInt64) {
        let (end, overflows) = base.addingReportingOverflow(LMB.byteCount)
        guard !overflows else { return known.noteGap("there is no LMB at \(base.hexadecimal)") }
        known.note(change, base..<end)
    }
}
