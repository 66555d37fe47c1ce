// SPDX-License-Identifier: Apache-2.0

import Foundation
import Libvirt
import RunRecord
import SystemPackage

@testable import qemu_harness

/// Runs in this process, for tests that put steps of their own between the harness's.
///
/// A process can hold one private root only, so all of them share this one; it goes when the process ends.
enum Lab {
    /// Eight characters, as every run's.
    static let identifier = "labtests"

    private static let root = Result {
        let environment = ProcessInfo.processInfo.environment
        // A killed test process leaves its root; its lock is free then.
        _ = try Workplace.prune(includingKept: false)
        let root = try EmbeddedRoot(
            runID: identifier, parent: Workplace.rootParent, memoryParent: Workplace.memoryParent,
            capabilitiesCache: FilePath(GuestImages.cache(environment).appending(path: "capabilities").path))
        atexit { Lab.removeRoot() }
        return root
    }

    private static func removeRoot() {
        try? root.get().remove()
    }

    /// The guest that most tests want: hash MMU, 1 GiB.
    static func configuration(
        cpu: DomainDescription.CPUModel = .power8, plugs: [UInt64] = [1 << 30], append: String = ""
    ) throws -> GuestConfiguration {
        let environment = ProcessInfo.processInfo.environment
        return try GuestConfiguration(
            cpu: cpu, cpuCount: 1, bootMemoryByteCount: 1 << 30, plugs: plugs,
            kernel: GuestImages.kernel(named: "6.1", environment: environment),
            initramfs: GuestImages.initramfs(environment: environment, executable: HarnessProcess.program),
            append: append)
    }

    /// Takes steps in a fresh guest, and removes the record.
    static func run(_ configuration: GuestConfiguration, _ steps: [any RunStep]) async throws -> Runner.Report {
        let parent = FileManager.default.temporaryDirectory.appending(path: "qh-lab-\(UUID().uuidString)")
        defer { try? FileManager.default.removeItem(at: parent) }
        let record = try RunDirectory(parent: parent, identifier: identifier, startedAt: Date())
        let runner = Runner(
            steps: [BootStep(configuration: configuration)] + steps, configuration: configuration,
            connection: .embedded, patience: Patience(factor: 4), progress: Progress(style: .none), keepsGuest: false)
        let root = try root.get()
        return try await Interrupts.watching { interrupts in
            try await runner.run(record: record, root: root, interrupts: interrupts, commandLine: ["lab"])
        }
    }
}
