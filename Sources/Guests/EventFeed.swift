// SPDX-License-Identifier: Apache-2.0

import AgentProtocol
import GuestMemory
import HarnessBasics
import Verification

/// The host's place in the event ring.
struct EventFeed {
    private let ring: EventRing
    private let region: SharedRegion
    private var nextSequence: UInt64 = 1

    /// How many events were overwritten before they were read here.
    private(set) var missedCount: UInt64 = 0

    init(region: SharedRegion) {
        self.region = region
        ring = EventRing(region)
    }

    /// The events that are new since the last call.
    ///
    /// The header's count may be anything: no more than the ring's slots are read, and a count that runs backwards, or
    /// stands at the end of all numbers, gives nothing.
    mutating func drain() throws -> [(record: RingRecord, event: AgentEvent?)] {
        let count = try region.header(.eventCount)
        guard count >= nextSequence, count < .max else { return [] }
        if count - nextSequence >= SharedRegionLayout.ringSlotCount {
            let oldest = count - SharedRegionLayout.ringSlotCount + 1
            missedCount += oldest - nextSequence
            nextSequence = oldest
        }
        var events: [(RingRecord, AgentEvent?)] = []
        for sequence in nextSequence...count {
            switch try ring.read(sequence) {
            case .record(let record): events.append((record, AgentEvent(record)))
            case .lost: missedCount += 1
            }
        }
        nextSequence = count + 1
        return events
    }
}

extension AgentEvent {
    /// The event's kind and words for the record.
    var recorded: (kind: String, fields: [String: String]) {
        switch self {
        case .populateCalled(let start, let end, let node, let altmap):
            (
                "guest.populate",
                [
                    "start": start.hexadecimal, "end": end.hexadecimal, "node": node.hexadecimal,
                    "altmap": altmap.hexadecimal,
                ].filter { altmap != 0 || $0.key != "altmap" }
            )
        case .blockMirrored(let virtAddr, let byteCount, let phys, let mirrorNode):
            (
                "guest.block-mirrored",
                [
                    "virt_addr": virtAddr.hexadecimal, "bytes": "\(byteCount)", "phys": phys.hexadecimal,
                    "mirror_node": mirrorNode.hexadecimal,
                ]
            )
        case .mappingFailed(let errno): ("guest.mapping-failed", ["errno": "\(errno)"])
        case .freeCalled(let start, let end):
            ("guest.free", ["start": start.hexadecimal, "end": end.hexadecimal])
        case .lmbAdded(let base, let drcIndex):
            ("guest.lmb-added", ["base": base.hexadecimal, "drc_index": drcIndex.hexadecimal])
        case .lmbRemoved(let base): ("guest.lmb-removed", ["base": base.hexadecimal])
        case .hotplugFailed(let failure): ("guest.hotplug-failed", ["request": "\(failure)"])
        case .lost(let recordCount): ("guest.events-lost", ["records": "\(recordCount)"])
        case .healed(let entryCount): ("guest.mirror-healed", ["new_entries": "\(entryCount)"])
        case .mirrorFull(let virtAddr, let phys):
            ("guest.mirror-full", ["virt_addr": virtAddr.hexadecimal, "phys": phys.hexadecimal])
        case .blockFreed(let virtAddr, let phys):
            ("guest.block-freed", ["virt_addr": virtAddr.hexadecimal, "phys": phys.hexadecimal])
        case .blockUnused(let phys): ("guest.block-unused", ["phys": phys.hexadecimal])
        case .populateFailed(let errno): ("guest.populate-failed", ["errno": "\(errno)"])
        case .kernelFault(let fault, let count):
            ("guest.kernel-fault", ["fault": fault.finding.rawValue, "count": "\(count)"])
        case .faultText: ("guest.fault-text", ["text": text.printable])
        case .logBeginningLost(let recordCount): ("guest.log-beginning-lost", ["records": "\(recordCount)"])
        case .synced(let marker): ("guest.synced", ["marker": "\(marker)"])
        }
    }
}
