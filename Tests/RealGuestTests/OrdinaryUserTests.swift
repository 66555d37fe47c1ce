// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc
import GuestMemory
import RunRecord
import Subprocess
import SystemPackage
import Testing
import Verification

@testable import qemu_harness

extension RealGuest {
    /// Runs of a user without privileges.
    @Suite struct OrdinaryUser {
        /// With the long tests: a fresh daemon looks at every emulator first, which takes minutes where nobody reaps
        /// orphans.
        @Test(
            .enabled(
                if: ProcessInfo.processInfo.environment["QEMU_HARNESS_ALL_TESTS"] != nil, "run by scripts/test --all"))
        func sessionDaemonRunsTheGuest() async throws {
            let home = try UserHome()
            defer { home.cleanUp() }
            let ending = try await home.run(["run", "--connect", "qemu:///session", "--slowdown", "4", "--json"])
            #expect(ending.terminationStatus == .exited(0), "\(ending.standardError)")
            let results = try JSONDecoder().decode(RunResults.self, from: Data(ending.standardOutput.utf8))
            #expect(results.steps.compactMap(\.verdict).map(\.entryCount) == [16, 32])
            #expect(results.outcome == .passed)
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
        _ arguments: [String]
    ) async throws -> ExecutionResult<Void, StringOutput<UTF8>, StringOutput<UTF8>> {
        let command = [
            "--reuid=\(user)", "--clear-groups", folder.appending(path: "qemu-harness").path,
        ]
        let environment: [Environment.Key: String] = [
            "PATH": "/usr/bin:/bin", "HOME": folder.path, "XDG_RUNTIME_DIR": folder.appending(path: "run").path,
            "QEMU_HARNESS_AGENT_DIR": folder.path,
        ]
        let options = ["--kernel", folder.appending(path: "vmlinux").path, "--progress", "none"]
        return try await Subprocess.run(
            .name("setpriv"), arguments: Arguments(command + arguments + options), environment: .custom(environment),
            workingDirectory: FilePath(folder.appending(path: "work").path), input: .none,
            output: .string(limit: 1 << 24), error: .string(limit: 1 << 20))
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
