// SPDX-License-Identifier: Apache-2.0

import AgentProtocol
import Foundation
import GuestMemory
import Libvirt
import RunFixture
import RunRecord
import SystemPackage
import TestSupport
import Testing
import Verification

@testable import Runs

/// Whole plans from boot to power-off, on a machine that stands in for libvirt and QEMU: the agent, the witnesses, the
/// verdicts and the record are those of any run.
@Suite struct WholeRunTests {
    private static let plan = "[verify, {plug: 512MiB}, verify, {unplug: 1}, verify]"
    private static let titles = [
        "boot", "verify", "plug 512 MiB", "verify", "unplug DIMM 1", "verify", "power off",
    ]

    @Test("every witness agrees, from boot to power-off", arguments: [false, true])
    func passes(hasKprobes: Bool) async throws {
        let run = try await StandInRun.take(Self.plan, hasKprobes: hasKprobes)
        let results = run.report.results
        #expect(results.error == nil)
        #expect(results.outcome == .passed)
        #expect(run.report.exitCode == 0)
        #expect(run.report.leftover == nil)
        #expect(results.steps.map(\.title) == Self.titles)
        #expect(results.steps.allSatisfy { $0.outcome == .passed })
        // A block of 64 KiB holds the memory map of 64 MiB.
        #expect(run.verdicts.map { $0.verdict?.entryCount } == [16, 24, 16])
        #expect(run.verdicts.map { $0.verdict?.sectionCount } == [64, 96, 64])
        #expect(run.verdicts.map { $0.verdict?.provenance[.observed] ?? 0 } == [0, 8, 0])
        #expect(run.verdicts.map { $0.newEntries?.count } == [16, 8, 0])
        #expect(run.verdicts.map { $0.goneEntries?.count } == [0, 0, 8])
        #expect(run.verdicts.allSatisfy { $0.verdict?.unsaid.isEmpty == true })
        // The plug's blocks come and go in steps 3 and 5, or by the time that the next one verifies.
        let lags = results.steps.compactMap(\.mirrorLag)
        #expect(lags.reduce(0) { $0 + $1.blockCount } == 16)
        #expect(lags.allSatisfy { $0.medianMicroseconds <= $0.maximumMicroseconds })
        let guest = run.report.information.guest
        #expect(guest.eventSource == (hasKprobes ? "kprobe events" : "dynamic debug on /dev/kmsg"))
        #expect(guest.kernelRelease == "6.1.0-37-powerpc64le")
        #expect(guest.witnesses == Witness.given(by: .list, .hash))
        #expect(run.host.endings == [.removed(hasGuestEnded: true)])
        try run.expectCompleteRecord(snapshots: [2, 4, 6])
    }

    @Test("the memory map is read through the MMU, or asked about an address at a time", arguments: [true, false])
    func memoryMapIsRead(isRead: Bool) async throws {
        let run = try await StandInRun.take("[verify]", flaw: isRead ? nil : .savesNoMemory)
        #expect(run.report.exitCode == 0)
        let data = try Data(contentsOf: run.report.directory.appending(path: "snapshot-2.json"))
        let snapshot = try JSONDecoder().decode(Snapshot.self, from: data)
        #expect((snapshot.readBack != nil) == isRead)
        #expect(snapshot.translations.count == (isRead ? 0 : 32))
        let read = snapshot.readBack?.runs.reduce(0) { $0 + $1.byteCount }
        let expected: UInt64? = isRead ? 16 * 65536 : nil
        #expect(read == expected)
        let problem = "qemu refuses 'memsave': nothing stands in for it"
        #expect(snapshot.readBackProblem == (isRead ? nil : problem))
        let statement = run.verdicts.first?.verdict?.witnesses.first { $0.witness == .mmu }
        #expect(statement?.detail.contains(problem) == !isRead)
        let refusals = try await JSONSchema("snapshot").refusals(of: data)
        #expect(refusals == [nil])
        #expect(!FileManager.default.fileExists(atPath: run.folder.path("machine/memory-map")))
        try run.expectCompleteRecord(snapshots: [2])
    }

    @Test("observers are told what the record says, in the same order")
    func observers() async throws {
        let run = try await StandInRun.take(Self.plan)
        let steps = run.events.compactMap { event -> String? in
            switch event {
            case .stepStarted(let number, let title): "\(number) \(title) begins"
            case .stepEnded(let step): "\(step.number) \(step.title) \(step.outcome.rawValue)"
            default: nil
            }
        }
        #expect(
            steps == Self.titles.enumerated().flatMap { ["\($0 + 1) \($1) begins", "\($0 + 1) \($1) passed"] })
        #expect(
            run.count {
                if case .plugSettled("ua-dimm1", 1 << 30, 512 << 20, refusedLMBCount: 0) = $0 { true } else { false }
            }
                == 1)
        #expect(run.events.contains(.unplugSettled(alias: "ua-dimm1", .removed)))
        #expect(run.count { if case .guest(.lmbAdded, _, _, _) = $0 { true } else { false } } == 2)
        #expect(run.count { if case .guest(.blockMirrored, _, _, _) = $0 { true } else { false } } == 8)
        #expect(run.count { if case .guest(.lmbRemoved, _, _, _) = $0 { true } else { false } } == 2)
        #expect(run.count { if case .guest(.blockFreed, _, _, _) = $0 { true } else { false } } == 8)
        #expect(run.events.contains(.machine(.emulatorShutDown(reason: "guest-shutdown"))))
        #expect(run.events.last == .runEnded(.passed, error: nil))
        let recorded = try RecordedEvent.events(of: run.report.directory)
        #expect(recorded.map(\.seq) == Array(1...run.events.count))
    }

    /// What a kernel does wrong, and what is found where.
    struct Case: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let flaw: StandInKernel.Flaw
        /// The step that finds it, and the names of what it finds.
        let step: Int
        let findings: Set<String>
    }

    /// The second block of the first LMB that is plugged.
    private static let damaged: UInt64 = 1 << 30 + 64 << 20

    @Test(
        "a kernel that does one thing wrong is found out",
        arguments: [
            Case(
                testDescription: "leaves a block off its list", flaw: .leavesOut(describing: damaged), step: 4,
                findings: ["list-coverage-hole", "mirror-extra-entry", "model-extra-entry"]),
            Case(
                testDescription: "leaves a freed block mapped", flaw: .leavesMapped(describing: damaged), step: 6,
                findings: ["mmu-stale-entry"]),
            Case(
                testDescription: "leaves a freed block on its list", flaw: .leavesListed(describing: damaged), step: 6,
                findings: ["list-stale-entry", "mirror-missing-entry", "model-missing-entry", "mmu-unmapped"]),
        ])
    func findings(_ wrong: Case) async throws {
        let run = try await StandInRun.take(Self.plan, flaw: wrong.flaw)
        #expect(run.report.results.outcome == .failed)
        #expect(run.report.results.error == nil)
        #expect(run.report.exitCode == 1)
        #expect(run.findings(ofStep: wrong.step) == wrong.findings)
        // The run goes on, and is ended as any other.
        #expect(run.report.results.steps.map(\.title) == Self.titles)
        #expect(run.report.results.steps.first { $0.outcome != .passed }?.number == wrong.step)
        #expect(run.host.endings == [.removed(hasGuestEnded: true)])
        try run.expectCompleteRecord(snapshots: [2, 4, 6])
    }

    @Test("an agent in the middle of a change is let finish it", arguments: [5, .max])
    func pausedInMidChange(pauseCount: Int) async throws {
        let run = try await StandInRun.take("[verify]", flaw: .pausesInMidChange(count: pauseCount))
        #expect(run.report.results.error == nil)
        // One that never does has stopped there.
        #expect(run.findings(ofStep: 2) == (pauseCount == .max ? ["mirror-header"] : []))
    }

    @Test("a refused unplug is no finding, and the guest has its memory again")
    func refusedUnplug() async throws {
        let run = try await StandInRun.take(
            "[verify, {plug: 512MiB}, {unplug: 1}, {expect: {unplug: refused}}, verify]", flaw: .refusesToRemove)
        #expect(run.report.results.error == nil)
        #expect(run.report.results.outcome == .passed)
        #expect(run.report.results.steps[3].note == "the guest refused, and has its memory again")
        #expect(run.verdicts.map { $0.verdict?.entryCount } == [16, 24])
        try run.expectCompleteRecord(snapshots: [2, 6])
    }

    @Test("a finding that is allowed makes no run fail, whether it is there or not")
    func whatIsAllowedMayBeThere() async throws {
        let run = try await StandInRun.take(
            "[verify, {plug: 512MiB}, {expect: {allowed: [plug-refused]}}, {guest: {read: /nothing/there}}, "
                + "{expect: {allowed: [guest-refused, plan-unmet]}}]")
        #expect(run.findings(ofStep: 5) == ["guest-refused"])
        #expect(run.report.results.outcome == .passed)
        #expect(run.report.results.failures.isEmpty)
        try run.expectCompleteRecord(snapshots: [2])
    }

    @Test(
        "memory pressure is told with what it has filled, and one for which there is no room is refused with the room")
    func load() async throws {
        let run = try await StandInRun.take(
            "[verify, {guest: {load: 64MiB}}, {plug: 512MiB}, verify, {guest: {load: none}}, {guest: {load: 1GiB}}]")
        let results = run.report.results
        #expect(
            results.steps.map(\.title).dropFirst(2) == [
                "load 64 MiB", "plug 512 MiB", "verify", "load none", "load 1 GiB", "power off",
            ])
        #expect(
            results.steps.map(\.outcome) == [.passed, .passed, .passed, .passed, .passed, .passed, .failed, .passed])
        #expect(results.steps[5].note == "5 MiB were filled in all")
        #expect(
            results.steps[6].findings?.first?.message
                == "the guest's kernel refused 'load 1 GiB': Cannot allocate memory (errno 12); it has room for a load of "
                + "384 MiB at most")
        try run.expectCompleteRecord(snapshots: [2, 5])
    }

    @Test("a run that is to end at its first failure takes no step behind it, and what is excused is none")
    func endsAtFailure() async throws {
        let plan =
            "[{guest: {read: /nothing/there}}, {expect: {allowed: [guest-refused]}}, verify, {guest: {read: /nor/here}}, "
            + "{expect: {allowed: [plan-unmet]}}, verify, {plug: 512MiB}]"
        let run = try await StandInRun.take(plan, endsAtFailure: true)
        let results = run.report.results
        #expect(results.steps.map(\.title).count == 6 && results.steps.last?.title.hasPrefix("expect") == true)
        #expect(results.outcome == .failed && run.report.exitCode == 1 && results.error == nil)
        #expect(results.failures.map(\.step) == [5])
        #expect(run.host.endings == [.removed(hasGuestEnded: true)])
        let log = try String(contentsOf: run.report.directory.appending(path: "harness.log"), encoding: .utf8)
        #expect(log.contains("3 steps were not taken behind the first failure"))
        try run.expectCompleteRecord(snapshots: [4])
        #expect(try await StandInRun.take(plan).report.results.steps.count == 9)
    }

    @Test("a machine that ends in the middle of a plug is an error of the harness's, and its record is complete")
    func endsInPlug() async throws {
        let run = try await StandInRun.take(Self.plan, flaw: .endsInPlug(.crashed))
        #expect(run.report.results.outcome == .error)
        #expect(run.report.exitCode == 2)
        let error = try #require(run.report.results.error)
        #expect(error.contains("qemu was ended by signal 11, which this program has not asked for"))
        #expect(run.report.results.steps.map(\.outcome) == [.passed, .passed, .error])
        #expect(run.events.contains(.machine(.stopped(.failed))))
        #expect(run.host.endings == [.removed(hasGuestEnded: true)])
        try run.expectCompleteRecord(snapshots: [2])
    }

    @Test("a panic is a finding, known from the console alone, and the steps behind it are not taken")
    func panicsInPlug() async throws {
        let run = try await StandInRun.take(Self.plan, flaw: .endsInPlug(.panicked))
        #expect(run.report.results.outcome == .failed)
        #expect(run.report.exitCode == 1)
        #expect(run.findings(ofStep: 3) == ["guest-panic"])
        let error = try #require(run.report.results.error)
        #expect(
            error.contains(
                "the guest's kernel has panicked ([    4.067351] Kernel panic - not syncing: Fatal exception)"))
        #expect(run.report.results.steps.map(\.outcome) == [.passed, .passed, .failed])
        #expect(run.host.endings == [.removed(hasGuestEnded: true)])
        try run.expectCompleteRecord(snapshots: [2])
    }

    @Test("an agent that never says hello is waited for, and no longer")
    func noHello() async throws {
        let run = try await StandInRun.take(Self.plan, flaw: .hasNoAgent)
        #expect(run.report.exitCode == 2)
        let error = try #require(run.report.results.error)
        #expect(error.contains("the agent has not said hello within 0.05 seconds"))
        #expect(run.report.results.steps.map(\.outcome) == [.error])
        #expect(run.host.endings == [.removed(hasGuestEnded: true)])
        try run.expectCompleteRecord(snapshots: [])
    }

    @Test("a monitor that never answers is waited for, and no longer: QEMU is killed")
    func noAnswer() async throws {
        let run = try await StandInRun.take(Self.plan, flaw: .answersNothing)
        #expect(run.report.exitCode == 2)
        let error = try #require(run.report.results.error)
        #expect(error.hasPrefix("qemu has not answered '"), "\(error)")
        #expect(error.contains("' within 0.5 seconds, and was killed; the console"), "\(error)")
        #expect(run.report.results.steps.last?.outcome == .error)
        #expect(run.host.endings == [.removed(hasGuestEnded: true)])
        try run.expectCompleteRecord(snapshots: [])
    }

    @Test("a run that is cancelled ends its guest, and its record is complete", arguments: [1, 3, 4])
    func cancelled(step: Int) async throws {
        let run = try await StandInRun.take(Self.plan, cancelledAtStep: step)
        #expect(run.report.results.outcome == .interrupted)
        #expect(run.report.exitCode == 130)
        let outcomes = run.report.results.steps.map(\.outcome)
        #expect(outcomes.count == step)
        #expect(outcomes.dropLast().allSatisfy { $0 == .passed })
        // A step that had nothing left to wait for is through; then the next one does not begin.
        #expect(outcomes.last == .interrupted || outcomes.last == .passed)
        #expect(run.host.endings == [.removed(hasGuestEnded: true)])
        try run.expectCompleteRecord(snapshots: step > 2 ? [2] : [])
    }

    @Test("a guest that is kept runs on, and nothing of it is removed")
    func keeps() async throws {
        let run = try await StandInRun.take("[verify]", keepsGuest: true)
        #expect(run.report.exitCode == 0)
        #expect(run.report.isGuestKept)
        #expect(run.host.endings == [.kept])
        #expect(FileManager.default.fileExists(atPath: run.host.id.sharedRegionFile.string))
        #expect(await run.host.remove().failures.isEmpty)
        #expect(!FileManager.default.fileExists(atPath: run.host.id.sharedRegionFile.string))
    }
}
