// SPDX-License-Identifier: Apache-2.0

import Foundation
import GuestMemory
import Libvirt
import Plans
import RunFixture
import RunRecord
import SystemPackage
import Testing

@testable import Guests
@testable import Runs
@testable import qemu_harness

/// Runs in this process, for tests that put steps of their own between the harness's.
///
/// A process can hold one private root only, so all of them share this one; it goes when the process ends.
enum Lab {
    private static let root = Result {
        // Every QEMU that libvirt starts opens the log anew, so it cannot go with the first run's record.
        let root = try PrivateRoot(
            id: .random(),
            capabilitiesCache: GuestImages.capabilitiesCache(ProcessInfo.processInfo.environment))
        atexit { Lab.removeRoot() }
        return root
    }

    private static func removeRoot() {
        try? root.get().remove()
    }

    /// The guest that most tests want: hash MMU, 1 GiB.
    ///
    /// `initramfs` is a file beside the agent's.
    static func configuration(
        cpu: DomainDescription.CPUModel = .power8, bootMemoryByteCount: UInt64 = 1 << 30, plugs: [UInt64] = [1 << 30],
        kernel: URL? = nil, initramfs: String? = nil, append: String = "", maximumMemory: UInt64? = nil
    ) throws -> GuestConfiguration {
        let environment = ProcessInfo.processInfo.environment
        let kernel = try kernel ?? GuestImages.kernel(named: "6.1", environment: environment)
        // Some tests want to see what libvirt says of a file that is no kernel.
        let order = (try? GuestImages.byteOrder(ofKernel: kernel)) ?? .little
        let agent = try GuestImages.initramfs(
            order, environment: environment, executable: HarnessProcess.program)
        var plan = Plan(
            description: "A test's guest.", steps: plugs.map { .plug(size: $0, node: nil, base: nil) })
        plan.guest.cpu = cpu.rawValue
        plan.guest.memory = bootMemoryByteCount
        plan.guest.append = append.isEmpty ? nil : append
        plan.guest.maximumMemory = maximumMemory
        return try GuestConfiguration(
            plan, kernel: kernel,
            initramfs: initramfs.map { agent.deletingLastPathComponent().appending(path: $0) } ?? agent)
    }

    /// A guest with memory for a crash kernel and what loads it, which keeps its hashed page table as it is.
    static func crashConfiguration(
        cpu: DomainDescription.CPUModel = .power8, kernel: String = "6.1", crashKernelByteCount: UInt64 = 512 << 20,
        append: String? = nil
    ) throws -> GuestConfiguration {
        let environment = ProcessInfo.processInfo.environment
        var plan = Plan(
            description: "A test's guest.",
            steps: [.plug(size: 1 << 30, node: nil, base: nil), .loadCrashKernel, .crash()])
        (plan.guest.cpu, plan.guest.memory) = (cpu.rawValue, 2 << 30)
        (plan.guest.crashKernel, plan.guest.hptResizing, plan.guest.append) = (crashKernelByteCount, false, append)
        return try GuestConfiguration(
            plan, kernel: GuestImages.kernel(named: kernel, environment: environment),
            initramfs: GuestImages.initramfs(.little, environment: environment, executable: HarnessProcess.program),
            tools: GuestTools(for: plan, .little, environment: environment))
    }

    /// What a run came to.
    struct Run {
        let report: Runner.Report
        /// `events.jsonl`.
        let events: String
        /// `harness.log`.
        let log: String
    }

    /// Takes steps in a fresh guest after its boot, expects the record to be complete and nothing to be left of the
    /// guest, and removes the record when `look` has looked into its folder.
    static func run(
        _ configuration: GuestConfiguration, _ steps: [any RunStep], timeouts: Timeouts = Timeouts(factor: 4),
        look: (URL) throws -> Void = { _ in }
    ) async throws -> Run {
        let parent = FileManager.default.temporaryDirectory.appending(path: "qh-lab-\(UUID().uuidString)")
        defer { try? FileManager.default.removeItem(at: parent) }
        // A killed test process leaves its root; its lock is free then.
        _ = await RunFixture.prune()
        let fixture = RunFixture(sharing: try root.get())
        let record = try RunDirectory(parent: parent, identifier: fixture.id.description, startedAt: Date())
        let runner = Runner(
            plan: Plan(description: "Steps of a test.", steps: [.verify]),
            steps: [BootStep(configuration: configuration)] + steps, configuration: configuration,
            timeouts: timeouts, observers: [], keepsGuest: false)
        let report = try await Interrupts.watching { interrupts in
            await runner.run(in: fixture, record: record, interrupts: interrupts, commandLine: ["lab"])
        }

        let information = try RunInformation(record: record.url)
        #expect(information.outcome == report.results.outcome)
        #expect(information.exitCode == report.exitCode)
        #expect(information.finishedAt != nil)
        #expect(information.error == report.results.error)
        let results = try JSONDecoder().decode(
            RunResults.self, from: Data(contentsOf: record.url.appending(path: "results.json")))
        #expect(results == report.results)
        try look(record.url)
        #expect(!FileManager.default.fileExists(atPath: fixture.id.sharedRegionFile.string))
        #expect(try qemuProcesses(of: [fixture.id.description]) == [])
        let events = try String(contentsOf: record.url.appending(path: RunDirectory.eventsName), encoding: .utf8)
        let log = try String(contentsOf: record.url.appending(path: RunDirectory.logName), encoding: .utf8)
        return Run(report: report, events: events, log: log)
    }
}

extension RunInformation {
    /// Reads `run.json` of a record.
    init(record: URL) throws {
        let decoder = JSONDecoder()
        decoder.dateDecodingStrategy = .iso8601
        self = try decoder.decode(Self.self, from: Data(contentsOf: record.appending(path: "run.json")))
    }
}
