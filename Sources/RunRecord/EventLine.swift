// SPDX-License-Identifier: Apache-2.0

import AgentProtocol
import HarnessBasics
import Verification

/// A line of `events.jsonl`: an event, with the fields of its kind beside those that every line has.
///
/// Numbers are numbers. Addresses and DRC indexes are strings of hexadecimal digits, because JSON readers lose bits above
/// 2^53. Readers ignore kinds that they do not know.
struct EventLine: Encodable {
    /// The version of the line's form.
    static let currentSchema = 2

    /// Counts the lines from 1.
    let seq: Int
    /// Seconds since the run began.
    let time: Double
    let event: RunEvent

    func encode(to encoder: any Encoder) throws {
        var line = encoder.container(keyedBy: EventField.self)
        try line.encode(Self.currentSchema, forKey: .schema)
        try line.encode(seq, forKey: .seq)
        try line.encode(time, forKey: .time)
        try line.encode(event.kind, forKey: .kind)
        try event.encodeFields(to: &line)
    }
}

/// The fields of all lines, and of single kinds.
enum EventField: String, CodingKey {
    case schema, seq, time, kind
    case step, title, outcome, findingCount, name, message, error
    case alias, base, byteCount, refusedLMBCount, result, action, errno, dimmCount, eventCount
    case reason, event, detail, line
    case ringSequence, guestMicroseconds, lagMicroseconds, eventKind
    case start, end, node, altmap, virtAddr, phys, mirrorNode, drcIndex, request, marker
    case recordCount, newEntryCount, fault, count, text
}

typealias EventFields = KeyedEncodingContainer<EventField>

extension EventFields {
    /// Writes an address or a DRC index.
    mutating func encode(word: UInt64, forKey key: EventField) throws {
        try encode(word.hexadecimal, forKey: key)
    }
}

extension RunEvent {
    /// The event's name: its subject, a dot, and what happened.
    var kind: String {
        switch self {
        case .stepStarted: "step.started"
        case .stepEnded: "step.ended"
        case .finding: "finding"
        case .plugSettled: "plug.settled"
        case .unplugPending: "unplug.pending"
        case .unplugSettled: "unplug.settled"
        case .actionSettled: "action.settled"
        case .rebootSettled: "reboot.settled"
        case .runEnded: "run.ended"
        case .eventsLeftOut: "events.left-out"
        case .consoleLeftOut: "console.left-out"
        case .machine(let event): event.kind
        case .guest(let event, _, _, _): event.kind
        case .unknownGuestEvent: "guest.unknown-event"
        case .agentAnnounced: "agent.announced"
        }
    }

    fileprivate func encodeFields(to line: inout EventFields) throws {
        switch self {
        case .stepStarted(let number, let title):
            try line.encode(number, forKey: .step)
            try line.encode(title, forKey: .title)
        case .stepEnded(let step):
            try line.encode(step.number, forKey: .step)
            try line.encode(step.title, forKey: .title)
            try line.encode(step.outcome, forKey: .outcome)
            try line.encode(step.allFindings.count, forKey: .findingCount)
        case .finding(let finding):
            try line.encode(finding.name, forKey: .name)
            try line.encode(finding.message, forKey: .message)
        case .plugSettled(let alias, let base, let byteCount, let refusedLMBCount):
            try line.encode(alias, forKey: .alias)
            try line.encode(word: base, forKey: .base)
            try line.encode(byteCount, forKey: .byteCount)
            try line.encode(refusedLMBCount, forKey: .refusedLMBCount)
        case .unplugPending(let alias, let message):
            try line.encode(alias, forKey: .alias)
            try line.encode(message, forKey: .message)
        case .unplugSettled(let alias, let result):
            try line.encode(alias, forKey: .alias)
            try line.encode(result.rawValue, forKey: .result)
        case .actionSettled(let action, let errno):
            try line.encode(action, forKey: .action)
            try line.encode(errno, forKey: .errno)
        case .rebootSettled(let dimmCount): try line.encode(dimmCount, forKey: .dimmCount)
        case .runEnded(let outcome, let error):
            try line.encode(outcome, forKey: .outcome)
            try line.encodeIfPresent(error, forKey: .error)
        case .eventsLeftOut(let count): try line.encode(count, forKey: .eventCount)
        case .consoleLeftOut(let byteCount): try line.encode(byteCount, forKey: .byteCount)
        case .machine(let event): try event.encodeFields(to: &line)
        case .guest(let event, let sequence, let microseconds, let lag):
            try line.encode(sequence, forKey: .ringSequence)
            try line.encode(microseconds, forKey: .guestMicroseconds)
            try line.encodeIfPresent(lag, forKey: .lagMicroseconds)
            try event.encodeFields(to: &line)
        case .unknownGuestEvent(let kind): try line.encode(kind, forKey: .eventKind)
        case .agentAnnounced(let text): try line.encode(text, forKey: .line)
        }
    }
}

extension MachineEvent {
    fileprivate var kind: String {
        switch self {
        case .started: "machine.started"
        case .paused: "machine.paused"
        case .resumed: "machine.resumed"
        case .shutDown: "machine.shut-down"
        case .emulatorShutDown: "machine.qemu-shut-down"
        case .crashed: "machine.crashed"
        case .stopped: "machine.stopped"
        case .deviceAdded: "machine.device-added"
        case .deviceRemoved: "machine.device-removed"
        case .deviceRemovalFailed: "machine.device-removal-failed"
        case .other: "machine.other"
        }
    }

    fileprivate func encodeFields(to line: inout EventFields) throws {
        switch self {
        case .started, .paused, .resumed, .shutDown, .crashed: break
        case .emulatorShutDown(let reason): try line.encode(reason, forKey: .reason)
        case .stopped(let reason):
            try line.encode(reason.name, forKey: .reason)
            if case .unknown(let detail) = reason { try line.encode(detail, forKey: .detail) }
        case .deviceAdded(let alias), .deviceRemoved(let alias), .deviceRemovalFailed(let alias):
            try line.encode(alias, forKey: .alias)
        case .other(let event, let detail):
            try line.encode(event, forKey: .event)
            try line.encode(detail, forKey: .detail)
        }
    }
}

extension MachineEvent.StopReason {
    fileprivate var name: String {
        switch self {
        case .shutdown: "shutdown"
        case .destroyed: "destroyed"
        case .crashed: "crashed"
        case .failed: "failed"
        case .unknown: "unknown"
        }
    }
}

extension AgentEvent {
    fileprivate var kind: String {
        switch self {
        case .populateCalled: "guest.populate"
        case .blockMirrored: "guest.block-mirrored"
        case .mappingFailed: "guest.mapping-failed"
        case .freeCalled: "guest.free"
        case .lmbAdded: "guest.lmb-added"
        case .lmbRemoved: "guest.lmb-removed"
        case .hotplugFailed: "guest.hotplug-failed"
        case .lost: "guest.events-lost"
        case .healed: "guest.mirror-healed"
        case .mirrorFull: "guest.mirror-full"
        case .blockFreed: "guest.block-freed"
        case .blockUnused: "guest.block-unused"
        case .populateFailed: "guest.populate-failed"
        case .kernelFault: "guest.kernel-fault"
        case .faultText: "guest.fault-text"
        case .logBeginningLost: "guest.log-beginning-lost"
        case .synced: "guest.synced"
        }
    }

    fileprivate func encodeFields(to line: inout EventFields) throws {
        switch self {
        case .populateCalled(let start, let end, let node, let altmap):
            try line.encode(word: start, forKey: .start)
            try line.encode(word: end, forKey: .end)
            // The kernel's node is an int: NUMA_NO_NODE is -1.
            try line.encode(Int64(bitPattern: node), forKey: .node)
            if altmap != 0 { try line.encode(word: altmap, forKey: .altmap) }
        case .blockMirrored(let virtAddr, let byteCount, let phys, let mirrorNode):
            try line.encode(word: virtAddr, forKey: .virtAddr)
            try line.encode(byteCount, forKey: .byteCount)
            try line.encode(word: phys, forKey: .phys)
            try line.encode(word: mirrorNode, forKey: .mirrorNode)
        case .mappingFailed(let errno), .populateFailed(let errno): try line.encode(errno, forKey: .errno)
        case .freeCalled(let start, let end):
            try line.encode(word: start, forKey: .start)
            try line.encode(word: end, forKey: .end)
        case .lmbAdded(let base, let drcIndex):
            try line.encode(word: base, forKey: .base)
            try line.encode(word: drcIndex, forKey: .drcIndex)
        case .lmbRemoved(let base): try line.encode(word: base, forKey: .base)
        case .hotplugFailed(let failure): try line.encode("\(failure)", forKey: .request)
        case .lost(let recordCount), .logBeginningLost(let recordCount):
            try line.encode(recordCount, forKey: .recordCount)
        case .healed(let entryCount): try line.encode(entryCount, forKey: .newEntryCount)
        case .mirrorFull(let virtAddr, let phys), .blockFreed(let virtAddr, let phys):
            try line.encode(word: virtAddr, forKey: .virtAddr)
            try line.encode(word: phys, forKey: .phys)
        case .blockUnused(let phys): try line.encode(word: phys, forKey: .phys)
        case .kernelFault(let fault, let count):
            try line.encode(fault.finding.rawValue, forKey: .fault)
            try line.encode(count, forKey: .count)
        case .faultText: try line.encode(text.printable, forKey: .text)
        case .synced(let marker): try line.encode(marker, forKey: .marker)
        }
    }
}
