// SPDX-License-Identifier: Apache-2.0

import AgentProtocol
import Foundation
import HotplugAgent
import RunRecord
import Runs
import TestGuests
import TestSupport
import Testing
import Verification

/// Whole plans with a crash on a stand-in machine: the dump-capture kernel's agent is the real one, the dump is made up.
@Suite struct WholeCrashTests {
    private static let plan = "[{plug: 512MiB}, load-crash-kernel, verify, crash]"

    @Test("what the dump-capture kernel finds is what was there")
    func passes() async throws {
        let run = try await StandInRun.take(Self.plan, crashKernel: "256MiB")
        let results = run.report.results
        #expect(results.error == nil)
        #expect(results.outcome == .passed, "\(results)")
        #expect(run.verdicts.map { $0.verdict?.entryCount } == [24, 24])
        let crash = try #require(run.verdicts.last?.verdict)
        for witness in [Witness.mirror, .kernelList, .model, .vmcore, .crashHeader] {
            let statement = crash.witnesses.first { $0.witness == witness }
            #expect(statement?.standing == .agrees, "\(witness): \(String(describing: statement))")
        }
        #expect(crash.witnesses.first { $0.witness == .vmcore }?.agreeingCount == 24)
        // Nobody asks the MMU or the dead agent.
        #expect(crash.witnesses.first { $0.witness == .mmu }?.standing == .absent)
        #expect(run.host.endings == [.removed(hasGuestEnded: true)])
        try run.expectCompleteRecord(snapshots: [4, 5])
    }

    /// What is wrong with a crash kernel or a dump, and what is found where.
    struct Case: Sendable, CustomTestStringConvertible {
        let testDescription: String
        var plan = WholeCrashTests.plan
        var flaw: StandInKernel.Flaw?
        /// What the crash's verdict finds.
        let findings: Set<String>
    }

    @Test(
        "a dump that lacks something is found out",
        arguments: [
            Case(
                testDescription: "loaded before the plug", plan: "[load-crash-kernel, verify, {plug: 512MiB}, crash]",
                findings: ["crash-header-missing-memory"]),
            Case(
                testDescription: "kexec leaves the DIMM out", flaw: .leavesDIMMsOutOfHeader,
                findings: ["crash-header-missing-memory"]),
            Case(testDescription: "no note", flaw: .losesNote, findings: ["vmcore-unreadable"]),
            Case(
                testDescription: "no boot memory in the dump", flaw: .losesMemory(from: 0),
                findings: ["vmcore-unreadable"]),
        ])
    func findings(_ wrong: Case) async throws {
        let run = try await StandInRun.take(wrong.plan, crashKernel: "256MiB", flaw: wrong.flaw)
        #expect(run.report.results.error == nil)
        #expect(run.report.exitCode == 1)
        let crash = try #require(run.report.results.steps.first { $0.title == "crash" })
        #expect(Set(crash.allFindings.map(\.name)) == wrong.findings, "\(crash.allFindings)")
        #expect(run.host.endings == [.removed(hasGuestEnded: true)])
    }

    @Test("a kernel that dies while it adds a DIMM is found as far as it came", arguments: [5, nil])
    func diesInPlug(section: Int?) async throws {
        let run = try await StandInRun.take(
            "[load-crash-kernel, verify, {crash: {in-plug: 512MiB}}, {expect: {unsaid: [mirror, model, crash-header]}}]",
            crashKernel: "256MiB", flaw: section.map { .hangsInPlug(atSection: $0) })
        let results = run.report.results
        #expect(results.error == nil)
        let crash = try #require(results.steps.first { $0.title == "crash in the plug of 512 MiB" })
        if section != nil {
            #expect(results.outcome == .passed, "\(results)")
            #expect(crash.note?.hasPrefix("5 of 32 sections of the DIMM were there") == true, "\(crash)")
            #expect(crash.verdict?.witnesses.first { $0.witness == .vmcore }?.standing == .agrees)
        } else {
            // A test of a crash in a plug shows nothing where the plug was through.
            #expect(crash.allFindings.map(\.name) == ["plan-unmet"])
            #expect(results.outcome == .failed)
        }
        try run.expectCompleteRecord(snapshots: [3, 4])
    }

    /// Full or not there: what came of the dump is told even so.
    @Test("a dump that cannot be kept is an error, and what came of it is in the record")
    func dumpsThatCannotBeKept() async throws {
        let run = try await StandInRun.take(
            "[load-crash-kernel, crash, {dump: makedumpfile}]", crashKernel: "256MiB, dump-area: 1MiB",
            flaw: .dumps(.init(output: SampleFlattenedDump.stream)), keepsDumps: true, occupied: ["dumps/dump-4"])
        #expect(run.report.exitCode == 2)
        #expect(run.report.results.error?.contains("the dump cannot be kept as") == true)
        let dump = try #require(run.report.results.steps.last?.dump)
        #expect(dump.ending == .complete)
        #expect(dump.file == nil)
    }

    /// A tool, what its dump comes to, and whether it is kept.
    private static let tools: [(FakeGuest.Program, DumpResult.Ending, isKept: Bool)] = [
        (.init(output: SampleFlattenedDump.stream, errors: Array("done\n".utf8)), .complete, true),
        (.init(output: SampleFlattenedDump.stream, end: .exited(1)), .failed, true),
        (.init(errors: Array("Failed.\n".utf8), end: .exited(1)), .failed, false),
        (.init(output: SampleFlattenedDump.stream + [UInt8](repeating: 0, count: 1 << 20)), .cutOff, true),
    ]

    @Test("a dump is kept where it is one, and decides nothing", arguments: tools)
    func dumps(tool: FakeGuest.Program, ending: DumpResult.Ending, isKept: Bool) async throws {
        for keepsDumps in [true, false] {
            let run = try await StandInRun.take(
                "[load-crash-kernel, crash, {dump: makedumpfile}, {expect: {dump: \(ending.rawValue)}}]",
                crashKernel: "256MiB, dump-area: 1MiB", flaw: .dumps(tool), keepsDumps: keepsDumps)
            #expect(run.report.exitCode == 0, "\(run.report.results)")
            let dump = try #require(run.report.results.steps.compactMap(\.dump).first)
            #expect(dump.ending == ending)
            #expect(dump.package == "makedumpfile 1 x")
            let folder = run.report.directory.appending(path: "dumps")
            let files = (try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? []
            #expect(files == (isKept && keepsDumps ? ["dump-4"] : []))
            #expect(dump.file == files.first.map { "dumps/\($0)" })
            for file in files {
                let content = try Data(contentsOf: folder.appending(path: file))
                #expect(Array(content) == SampleFlattenedDump.file)
            }
            try run.expectCompleteRecord(snapshots: [3])
        }
    }

    @Test("a crash with nothing loaded is a panic")
    func panics() async throws {
        let run = try await StandInRun.take("[verify, crash]", crashKernel: "256MiB")
        #expect(run.report.exitCode == 1)
        #expect(run.report.results.steps.flatMap(\.allFindings).map(\.name) == ["guest-panic"])
    }
}
