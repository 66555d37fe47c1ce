// SPDX-License-Identifier: Apache-2.0

import Foundation
import Plans
import RunFixture
import RunRecord
import Synchronization
import SystemPackage
import TestSupport
import Testing
import Verification

@testable import Guests
@testable import Runs

/// A run of a whole plan on a stand-in machine, and what is left of it.
struct StandInRun {
    let report: Runner.Report
    let host: StandInHost
    /// What an observer was told, in order.
    let events: [RunEvent]
    /// Holds the record and the machine's files, until nobody needs them any more.
    let folder: TemporaryFolder

    /// Takes the steps of a plan, `steps` being its YAML, on a machine of 1 GiB. The run is cancelled where a step begins,
    /// if one is given. Where its record is to have a file of a name that is `occupied`, something else stands.
    static func take(
        _ steps: String, crashKernel: String? = nil, flaw: StandInKernel.Flaw? = nil, hasKprobes: Bool = false,
        keepsGuest: Bool = false,
        keepsDumps: Bool = false, cancelledAtStep: Int? = nil, occupied: [String] = [], endsAtFailure: Bool = false
    ) async throws -> StandInRun {
        let reservation = crashKernel.map { ", crash-kernel: \($0)" } ?? ""
        let plan = try Plan(
            yaml:
                "description: d\nguest: {cpu: POWER8, kernel: /vmlinux, memory: 1GiB\(reservation)}\nsteps: \(steps)\n")
        let folder = try TemporaryFolder()
        // What an initramfs is made of has to be there, where one is made.
        func image(_ name: String) throws -> URL { URL(filePath: try folder.write(Array(name.utf8), to: name)) }
        let configuration = try GuestConfiguration(
            plan, kernel: image("vmlinux"), initramfs: image("initramfs"),
            tools: GuestTools(
                kexec: .init(archive: image("kexec"), package: "kexec-tools 1 x"),
                dump: [.makedumpfile: .init(archive: image("makedumpfile"), package: "makedumpfile 1 x")]))
        let machineFolder = folder.url.appending(path: "machine")
        try FileManager.default.createDirectory(at: machineFolder, withIntermediateDirectories: false)
        let host = StandInHost(in: machineFolder, flaw: flaw, hasKprobes: hasKprobes)
        // All that these tests wait for comes, but for a hello and a monitor's answer: they may run beside others on a busy machine.
        var timeouts = Timeouts(factor: 20)
        if case .hasNoAgent = flaw { timeouts.boot = .milliseconds(50) }
        if case .answersNothing = flaw { timeouts.monitor = .milliseconds(500) }
        let observer = Listener(cancelsAtStep: cancelledAtStep)
        let runner = Runner(
            plan: plan, steps: plan.runSteps(configuration, keepsGuest: keepsGuest), configuration: configuration,
            timeouts: timeouts, observers: [observer], keepsGuest: keepsGuest, keepsDumps: keepsDumps,
            endsAtFailure: endsAtFailure)
        let record = try RunDirectory(
            parent: folder.url.appending(path: "runs"), identifier: host.id.description, startedAt: Date())
        for name in occupied {
            try FileManager.default.createDirectory(
                at: record.url.appending(path: name), withIntermediateDirectories: true)
        }
        // A task of its own, which can be cancelled without the test's.
        let run = Task {
            await runner.run(in: host, record: record, interrupts: Interrupts(), commandLine: ["test"])
        }
        let report = await run.value
        return StandInRun(report: report, host: host, events: observer.events, folder: folder)
    }

    /// The verdicts, in order.
    var verdicts: [StepResult] { report.results.steps.filter { $0.verdict != nil } }

    /// How many of the events are so.
    func count(_ isSo: (RunEvent) -> Bool) -> Int { events.count(where: isSo) }

    /// Expects a record with these steps' snapshots from which the same follows with no guest, and nothing left of what
    /// the run had outside of it.
    func expectCompleteRecord(snapshots: [Int]) throws {
        let verification = RecordVerification(directory: report.directory)
        #expect(verification.problems.isEmpty)
        #expect(verification.information?.outcome == report.information.outcome)
        #expect(verification.information?.exitCode == report.exitCode)
        #expect(verification.information?.guest == report.information.guest)
        #expect(verification.results == report.results)
        let names = try FileManager.default.contentsOfDirectory(atPath: report.directory.path)
        #expect(
            names.filter { $0.hasPrefix("snapshot-") }.sorted() == snapshots.map { "snapshot-\($0).json" })
        #expect(Set(["run.json", "results.json", "events.jsonl", "plan.yaml", "domain.xml"]).isSubset(of: names))
        for file in [host.id.sharedRegionFile, host.id.dumpAreaFile, host.controlSocket] {
            #expect(!FileManager.default.fileExists(atPath: file.string))
        }
    }

    /// The findings of a step, by name.
    func findings(ofStep number: Int) -> Set<String> {
        Set(report.results.steps.first { $0.number == number }?.allFindings.map(\.name) ?? [])
    }
}

/// Keeps what it is told, and cancels the run that tells it where a step begins.
private final class Listener: RunObserver {
    private let cancelsAtStep: Int?
    private let heard = Mutex<[RunEvent]>([])

    init(cancelsAtStep: Int?) {
        self.cancelsAtStep = cancelsAtStep
    }

    var events: [RunEvent] { heard.withLock { $0 } }

    func observe(_ event: RunEvent) {
        heard.withLock { $0.append(event) }
        guard case .stepStarted(let number, _) = event, number == cancelsAtStep else { return }
        withUnsafeCurrentTask { $0?.cancel() }
    }
}
