// SPDX-License-Identifier: Apache-2.0

import AgentProtocol
import Foundation
import RunRecord
import Synchronization
import TestSupport
import Testing
import Verification

/// What each event is in events.jsonl.
@Suite struct EventLineTests {
    private static func guest(_ event: AgentEvent) -> RunEvent { .guest(event, sequence: 7, microseconds: 2_345_901) }

    private static var endedStep: StepResult {
        var step = StepResult(number: 3, title: "plug 1 GiB", seconds: 0.5, outcome: .failed)
        step.findings = [Finding(.plug, .refused, "one LMB")]
        return step
    }

    /// Each kind, and its fields as JSON.
    static let events: [(event: RunEvent, kind: String, fields: String)] = [
        (.stepStarted(number: 1, title: "boot"), "step.started", #"{"step":1,"title":"boot"}"#),
        (
            .stepEnded(endedStep), "step.ended",
            #"{"step":3,"title":"plug 1 GiB","outcome":"failed","findingCount":1}"#
        ),
        (.finding(Finding(.list, .cycle, "back to 0x0")), "finding", #"{"name":"list-cycle","message":"back to 0x0"}"#),
        (
            .plugSettled(alias: "ua-dimm1", base: 1 << 30, byteCount: 1 << 28, refusedLMBCount: 1), "plug.settled",
            #"{"alias":"ua-dimm1","base":"0x40000000","byteCount":268435456,"refusedLMBCount":1}"#
        ),
        (
            .unplugPending(alias: "ua-dimm1", message: "a\nb\r\u{2028}\"\\/"), "unplug.pending",
            #"{"alias":"ua-dimm1","message":"a\nb\r\u2028\"\\/"}"#
        ),
        (.unplugSettled(alias: "ua-dimm1", .silent), "unplug.settled", #"{"alias":"ua-dimm1","result":"silent"}"#),
        (.actionSettled(action: "release", errno: 16), "action.settled", #"{"action":"release","errno":16}"#),
        (.rebootSettled(dimmCount: 2), "reboot.settled", #"{"dimmCount":2}"#),
        (.runEnded(.passed, error: nil), "run.ended", #"{"outcome":"passed"}"#),
        (.runEnded(.error, error: "lost"), "run.ended", #"{"outcome":"error","error":"lost"}"#),
        (.eventsLeftOut(count: 5), "events.left-out", #"{"eventCount":5}"#),
        (.consoleLeftOut(byteCount: 6), "console.left-out", #"{"byteCount":6}"#),
        (.machine(.started), "machine.started", "{}"), (.machine(.paused), "machine.paused", "{}"),
        (.machine(.resumed), "machine.resumed", "{}"), (.machine(.shutDown), "machine.shut-down", "{}"),
        (
            .machine(.emulatorShutDown(reason: "guest-reset")), "machine.qemu-shut-down",
            #"{"reason":"guest-reset"}"#
        ),
        (.machine(.crashed), "machine.crashed", "{}"),
        (.machine(.stopped(.shutdown)), "machine.stopped", #"{"reason":"shutdown"}"#),
        (.machine(.stopped(.destroyed)), "machine.stopped", #"{"reason":"destroyed"}"#),
        (.machine(.stopped(.crashed)), "machine.stopped", #"{"reason":"crashed"}"#),
        (.machine(.stopped(.failed)), "machine.stopped", #"{"reason":"failed"}"#),
        (.machine(.stopped(.unknown(-7))), "machine.stopped", #"{"reason":"unknown","detail":-7}"#),
        (.machine(.deviceAdded(alias: "a")), "machine.device-added", #"{"alias":"a"}"#),
        (.machine(.deviceRemoved(alias: "a")), "machine.device-removed", #"{"alias":"a"}"#),
        (.machine(.deviceRemovalFailed(alias: "a")), "machine.device-removal-failed", #"{"alias":"a"}"#),
        (.machine(.other(event: 9, detail: -1)), "machine.other", #"{"event":9,"detail":-1}"#),
        (
            guest(.populateCalled(start: 0xc00c_0000_0000_0000, end: 0xc00c_0000_0001_0000, node: 1)),
            "guest.populate", #"{"start":"0xc00c000000000000","end":"0xc00c000000010000","node":1}"#
        ),
        (
            guest(.populateCalled(start: 0, end: 1, node: .max, altmap: 0x10)), "guest.populate",
            #"{"start":"0x0","end":"0x1","node":-1,"altmap":"0x10"}"#
        ),
        (
            guest(
                .blockMirrored(
                    virtAddr: 0xc00c_0000_0000_0000, byteCount: 65536, phys: 0x2000_0000, mirrorNode: 0x18)),
            "guest.block-mirrored",
            #"{"virtAddr":"0xc00c000000000000","byteCount":65536,"phys":"0x20000000","mirrorNode":"0x18"}"#
        ),
        (
            .guest(.blockFreed(virtAddr: 16, phys: 32), sequence: 7, microseconds: 2_345_901, lag: 40),
            "guest.block-freed", #"{"virtAddr":"0x10","phys":"0x20","lagMicroseconds":40}"#
        ),
        (guest(.mappingFailed(errno: 12)), "guest.mapping-failed", #"{"errno":12}"#),
        (guest(.freeCalled(start: 1, end: .max)), "guest.free", #"{"start":"0x1","end":"0xffffffffffffffff"}"#),
        (guest(.blockFreed(virtAddr: 16, phys: 32)), "guest.block-freed", #"{"virtAddr":"0x10","phys":"0x20"}"#),
        (guest(.blockUnused(phys: 32)), "guest.block-unused", #"{"phys":"0x20"}"#),
        (guest(.populateFailed(errno: 12)), "guest.populate-failed", #"{"errno":12}"#),
        (
            guest(.lmbAdded(base: 0x4000_0000, drcIndex: 0x8000_0004)), "guest.lmb-added",
            #"{"base":"0x40000000","drcIndex":"0x80000004"}"#
        ),
        (guest(.lmbRemoved(base: 0x4000_0000)), "guest.lmb-removed", #"{"base":"0x40000000"}"#),
        (guest(.hotplugFailed(.add)), "guest.hotplug-failed", #"{"request":"add"}"#),
        (guest(.hotplugFailed(.remove)), "guest.hotplug-failed", #"{"request":"remove"}"#),
        (guest(.lost(recordCount: 3)), "guest.events-lost", #"{"recordCount":3}"#),
        (guest(.healed(entryCount: 4)), "guest.mirror-healed", #"{"newEntryCount":4}"#),
        (guest(.mirrorFull(virtAddr: 16, phys: 32)), "guest.mirror-full", #"{"virtAddr":"0x10","phys":"0x20"}"#),
        (guest(.kernelFault(.hungTask, count: 2)), "guest.kernel-fault", #"{"fault":"hung-task","count":2}"#),
        (guest(.faultText(0x4255_473a_2069_740a, 0, 0, 0)), "guest.fault-text", #"{"text":"BUG: it?"}"#),
        (
            guest(.logBeginningLost(recordCount: .max)), "guest.log-beginning-lost",
            #"{"recordCount":18446744073709551615}"#
        ),
        (guest(.synced(marker: 9)), "guest.synced", #"{"marker":9}"#),
        (.unknownGuestEvent(kind: 99), "guest.unknown-event", #"{"eventKind":99}"#),
        (.agentAnnounced(line: "0 trouble"), "agent.announced", #"{"line":"0 trouble"}"#),
    ]

    private func record(_ events: [RunEvent], in folder: TemporaryFolder) throws -> URL {
        let directory = try RunDirectory(parent: folder.url, identifier: "one", startedAt: Date())
        for event in events { try directory.observe(event) }
        return directory.url
    }

    @Test(arguments: events) func hasItsKindAndItsFields(event: RunEvent, kind: String, fields: String) throws {
        let folder = try TemporaryFolder()
        let text = try Data(contentsOf: record([event], in: folder).appending(path: "events.jsonl"))
        var line = try #require(try JSONSerialization.jsonObject(with: text) as? [String: Any])
        #expect(line["kind"] as? String == kind)
        #expect(line["schema"] as? Int == 2)
        if case .guest = event {
            #expect(line.removeValue(forKey: "ringSequence") as? Int == 7)
            #expect(line.removeValue(forKey: "guestMicroseconds") as? Int == 2_345_901)
        }
        for field in ["schema", "seq", "time", "kind"] { #expect(line.removeValue(forKey: field) != nil) }
        let expected = try #require(try JSONSerialization.jsonObject(with: Data(fields.utf8)) as? NSDictionary)
        #expect(expected.isEqual(to: line), "\(line)")
        // What holds 64 bits is written to the last one.
        if fields.contains("18446744073709551615") {
            #expect(String(decoding: text, as: UTF8.self).contains("18446744073709551615"))
        }
    }

    /// The schema has a form for each of them, and none that no event has.
    @Test func theSchemaHasAFormForEach() async throws {
        let folder = try TemporaryFolder()
        let schema = JSONSchema("events")
        let lines = try Data(
            contentsOf: record(Self.events.map(\.event), in: folder).appending(path: "events.jsonl"))
        let refusals = try await schema.refusals(of: lines)
        #expect(refusals.count == Self.events.count && refusals.allSatisfy { $0 == nil }, "\(refusals)")
        let text = try #require(
            try JSONSerialization.jsonObject(with: schema.text()) as? [String: Any])
        let forms = try #require(text["oneOf"] as? [[String: Any]])
        let kinds = forms.compactMap { ($0["properties"] as? [String: [String: Any]])?["kind"]?["const"] as? String }
        #expect(kinds.count == forms.count)
        #expect(Set(kinds) == Set(Self.events.map(\.kind)))
    }
}

@Suite struct RunEventsTests {
    private final class Observer: RunObserver {
        let taken = Mutex<[RunEvent]>([])
        let failure: POSIXError?

        init(failure: POSIXError?) { self.failure = failure }

        func observe(_ event: RunEvent) throws {
            taken.withLock { $0.append(event) }
            if let failure { throw failure }
        }
    }

    /// One observer's trouble keeps nothing from the others.
    @Test func everyObserverIsToldOfEverything() throws {
        let failures: [POSIXError?] = [nil, POSIXError(.ENOSPC), POSIXError(.EIO)]
        let observers = failures.map(Observer.init)
        let events = RunEvents(observers)
        let told: [RunEvent] = [.stepStarted(number: 1, title: "boot"), .runEnded(.passed, error: nil)]
        for event in told {
            #expect(throws: POSIXError(.ENOSPC)) { try events.note(event) }
        }
        for observer in observers { #expect(observer.taken.withLock { $0 } == told) }
    }
}
