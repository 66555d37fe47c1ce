// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc
import GuestMemory
import RunFixture
import RunRecord
import Subprocess
import SystemPackage
import Testing
import Verification

@testable import Guests
@testable import Runs
@testable import qemu_harness

extension RealGuest {
    /// Runs of a user without privileges.
    @Suite struct OrdinaryUser {
        /// With the long tests: a fresh daemon looks at every emulator first, which takes minutes where nobody reaps
        /// orphans.
        @Test(
            .long,
            .enabled("no daemon is here for libvirt to start: install libvirt-daemon") {
                ["/usr/sbin/libvirtd", "/usr/sbin/virtqemud"].contains {
                    FileManager.default.isExecutableFile(atPath: $0)
                }
            })
        func sessionDaemonRunsTheGuest() async throws {
            let home = try UserHome()
            defer { home.cleanUp() }
            let ending = try await home.run(["run", "--connect", "qemu:///session", "--slowdown", "4", "--json"])
            #expect(ending.terminationStatus == .exited(0), "\(ending.standardError)")
            let results = try JSONDecoder().decode(RunResults.self, from: Data(ending.standardOutput.utf8))
            #expect(results.steps.compactMap(\.verdict).map(\.entryCount) == [16, 32])
            #expect(results.outcome == .passed)

            // A daemon's guest names no file in the run's root, and prune ends it all the same.
            let kept = try await home.run(["run", "--connect", "qemu:///session", "--slowdown", "4", "--keep"])
            #expect(kept.terminationStatus == .exited(0), "\(kept.standardError)")
            let keptRun = try home.newestRun()
            #expect(try await home.run(["prune"]).standardOutput == "")
            #expect(try qemuProcesses(of: [keptRun]).count == 1)
            // To another program it is a domain like any other.
            for pause in [[], ["--pause"]] {
                let look = try await home.run(
                    ["inspect", "qh-\(keptRun)", "--connect", "qemu:///session", "--json"] + pause)
                #expect(look.terminationStatus == .exited(0), "\(look.standardError)")
                #expect(look.standardOutput.contains("guest's memory files"))
            }
            #expect(try await home.run(["prune", "--kept"]).standardOutput == "removed what run \(keptRun) left\n")
            #expect(try leftovers(of: [keptRun]) == [])

            // Nor does a second Ctrl-C wait for the daemon, which waits for a QEMU that hangs.
            let hung = try await home.run(["run", "--connect", "qemu:///session", "--slowdown", "4"]) { harness in
                while try home.newestRun() == keptRun || qemuProcesses(of: [home.newestRun()]).isEmpty {
                    if try home.newestRun() != keptRun { try home.expectToRun() }
                    try await Task.sleep(for: .milliseconds(50))
                }
                try await home.waitForEvent(#""kind":"step.ended""#)
                let qemu = try #require(try qemuProcesses(of: [home.newestRun()]).first)
                #expect(kill(qemu, SIGSTOP) == 0)
                #expect(kill(harness.value, SIGINT) == 0)
                try await home.waitForEvent(#""outcome":"interrupted""#)
                #expect(kill(harness.value, SIGINT) == 0)
            }
            #expect(hung.terminationStatus == .exited(130), "\(hung.standardError)")
            #expect(try leftovers(of: [home.newestRun()]) == [])
        }

        /// What cannot be removed is told and left, and the rest goes; it keeps nobody from a run.
        @Test(.long) func aLeftoverThatStaysIsTold() async throws {
            let home = try UserHome()
            defer { home.cleanUp() }
            let stuck = try home.makeDeadRun(isClosed: true)
            defer { home.removeDeadRun(stuck) }
            let others = [try home.makeDeadRun(isClosed: false), try home.makeDeadRun(isClosed: false)]

            let words = "left: '/tmp/qh-\(stuck)/inner/file': Permission denied\n"
            let prune = try await home.run(["prune"])
            #expect(prune.terminationStatus == .exited(2))
            for other in others { #expect(prune.standardOutput.contains("removed what run \(other) left\n")) }
            #expect(prune.standardError == "qemu-harness: cannot remove all that run \(stuck) " + words)
            #expect(try leftovers(of: others + [stuck]) == ["/tmp/qh-\(stuck)"])

            let dryRun = try await home.run(["run", "--dry-run"])
            #expect(dryRun.terminationStatus == .exited(0))
            #expect(dryRun.standardError == "")

            let ending = try await home.run(["run", "--memory", "512MiB", "--plug", "256MiB", "--slowdown", "4"])
            #expect(ending.terminationStatus == .exited(0), "\(ending.standardError)")
            #expect(
                ending.standardError.contains("qemu-harness: cannot remove all that the dead run \(stuck) " + words))
        }

        @Test func ordinaryUserNeedsNoDaemon() async throws {
            let home = try UserHome()
            defer { home.cleanUp() }
            let ending = try await home.run(["run", "--cpu", "POWER9", "--slowdown", "4", "--json"])
            #expect(ending.terminationStatus == .exited(0), "\(ending.standardError)")
            let results = try JSONDecoder().decode(RunResults.self, from: Data(ending.standardOutput.utf8))
            #expect(results.outcome == .passed)
        }
    }
}

/// A home for a user without privileges, with all that a run reads; the tests themselves may run as root.
private struct UserHome {
    private let folder: URL
    /// The user: this one, or `nobody` for root.
    private let user = geteuid() == 0 ? 65534 : geteuid()

    init() throws {
        folder = URL(filePath: "/tmp/qu\(UUID().uuidString.prefix(6))")
        let files = FileManager.default
        let environment = ProcessInfo.processInfo.environment
        let kernel = try GuestImages.kernel(named: "6.1", environment: environment)
        let initramfs = try GuestImages.initramfs(.little, environment: environment, executable: HarnessProcess.program)
        for name in ["run", "work"] {
            try files.createDirectory(at: folder.appending(path: name), withIntermediateDirectories: true)
        }
        try files.copyItem(at: HarnessProcess.program, to: folder.appending(path: "qemu-harness"))
        try files.copyItem(at: kernel, to: folder.appending(path: "vmlinux"))
        try files.copyItem(at: initramfs, to: folder.appending(path: initramfs.lastPathComponent))
        for case let item as URL in files.enumerator(at: folder, includingPropertiesForKeys: nil) ?? .init() {
            try files.setAttributes([.ownerAccountID: user], ofItemAtPath: item.path)
        }
        try files.setAttributes([.ownerAccountID: user, .posixPermissions: 0o700], ofItemAtPath: folder.path)
    }

    func run(
        _ arguments: [String], body: @escaping @Sendable (ProcessIdentifier) async throws -> Void = { _ in }
    ) async throws -> ExecutionResult<Void, StringOutput<UTF8>, StringOutput<UTF8>> {
        let command = [
            "--reuid=\(user)", "--clear-groups", folder.appending(path: "qemu-harness").path,
        ]
        let environment: [Environment.Key: String] = [
            "PATH": "/usr/bin:/bin", "HOME": folder.path, "XDG_RUNTIME_DIR": folder.appending(path: "run").path,
            "QEMU_HARNESS_AGENT_DIR": folder.path,
        ]
        let isRun = arguments.first == "run"
        let options = isRun ? ["--kernel", folder.appending(path: "vmlinux").path, "--progress", "none"] : []
        return try await Subprocess.run(
            .name("setpriv"), arguments: Arguments(command + arguments + options), environment: .custom(environment),
            workingDirectory: FilePath(folder.appending(path: "work").path), input: .none,
            output: .string(limit: 1 << 24), error: .string(limit: 1 << 20)
        ) { execution in
            try await body(execution.processIdentifier)
        }
    }

    /// The newest record.
    private var record: URL { folder.appending(path: "work/runs/latest") }

    /// The identifier of the newest run.
    func newestRun() throws -> String {
        try String(FileManager.default.destinationOfSymbolicLink(atPath: record.path).suffix(8))
    }

    /// Waits until the newest record has an event with a text.
    func waitForEvent(_ text: String) async throws {
        let events = record.appending(path: RunDirectory.eventsName)
        while try !String(contentsOf: events, encoding: .utf8).contains(text) {
            try expectToRun()
            try await Task.sleep(for: .milliseconds(20))
        }
    }

    /// Fails when the newest run has ended: it writes no more events, and starts nothing.
    func expectToRun() throws {
        guard let information = try? RunInformation(record: record) else { return }
        try #require(information.finishedAt == nil, "\(information.error ?? "")")
    }

    /// What a killed run of this user's leaves, with a folder that this user cannot empty if `isClosed`; returns its
    /// identifier.
    func makeDeadRun(isClosed: Bool) throws -> String {
        let files = FileManager.default
        let identifier = RunID.random().description
        let root = URL(filePath: "/tmp/qh-\(identifier)")
        let inner = root.appending(path: "inner")
        try files.createDirectory(at: inner, withIntermediateDirectories: true)
        for file in [inner.appending(path: "file"), root.appending(path: "qemu-harness.lock")] {
            try Data().write(to: file)
            try files.setAttributes([.ownerAccountID: user, .posixPermissions: 0o600], ofItemAtPath: file.path)
        }
        try files.setAttributes(
            [.ownerAccountID: user, .posixPermissions: isClosed ? 0o500 : 0o700], ofItemAtPath: inner.path)
        try files.setAttributes([.ownerAccountID: user, .posixPermissions: 0o700], ofItemAtPath: root.path)
        return identifier
    }

    /// Removes what ``makeDeadRun(isClosed:)`` made.
    func removeDeadRun(_ identifier: String) {
        let root = "/tmp/qh-\(identifier)"
        try? FileManager.default.setAttributes([.posixPermissions: 0o700], ofItemAtPath: root + "/inner")
        try? FileManager.default.removeItem(atPath: root)
    }

    /// Ends the daemon that libvirt has started, by the number in its PID file, and removes everything.
    func cleanUp() {
        let file = folder.appending(path: "run/libvirt/libvirtd.pid")
        if let text = try? String(contentsOf: file, encoding: .utf8), let daemon = Int32(text.prefix { $0.isNumber }) {
            kill(daemon, SIGTERM)
            // It writes into the folder until it is gone.
            for _ in 0..<500 where kill(daemon, 0) == 0 { usleep(20_000) }
        }
        try? FileManager.default.removeItem(at: folder)
    }
}
