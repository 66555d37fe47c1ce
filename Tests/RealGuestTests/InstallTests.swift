// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc
import RunRecord
import Subprocess
import SystemPackage
import Testing

extension RealGuest {
    /// What scripts/install installs, as `scripts/test --all` has had it done into .build/installed.
    @Suite struct Install {
        private static let checkout = URL(filePath: #filePath).deletingLastPathComponent()
            .appending(path: "../..").standardizedFileURL
        private static let installed = checkout.appending(path: ".build/installed")

        /// Runs the program, where root may do that with the folder that it was made in hidden from it.
        private static func run(_ arguments: [String], of prefix: URL, in folder: URL) async throws
            -> HarnessProcess.Ending
        {
            let hide = #"mount -t tmpfs none "$0" && cd "$1" && shift && exec "$@""#
            let isRoot = geteuid() == 0
            let hiding = ["/usr/bin/unshare", "--mount", "/bin/bash", "-c", hide, checkout.path, folder.path]
            let words =
                (isRoot ? hiding : ["/usr/bin/env", "--chdir", folder.path])
                + [prefix.appending(path: "bin/qemu-harness").path] + arguments
            let result = try await Subprocess.run(
                .path(FilePath(words[0])), arguments: Arguments(Array(words.dropFirst())), input: .none,
                output: .string(limit: 1 << 24), error: .string(limit: 1 << 20))
            return .init(
                status: result.terminationStatus, output: result.standardOutput, errors: result.standardError)
        }

        @Test(
            .long,
            .enabled("needs scripts/install .build/installed") {
                FileManager.default.fileExists(atPath: installed.appending(path: "bin/qemu-harness").path)
            })
        func needsNothingOfWhereItWasMade() async throws {
            let folder = FileManager.default.temporaryDirectory.appending(path: "qh-install-\(UUID().uuidString)")
                .resolvingSymlinksInPath()
            defer { try? FileManager.default.removeItem(at: folder) }
            try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: false)
            let prefix = folder.appending(path: "pre fix")
            try FileManager.default.copyItem(at: Self.installed, to: prefix)
            let share = prefix.appending(path: "share/qemu-harness").path
            func run(_ arguments: String...) async throws -> HarnessProcess.Ending {
                try await Self.run(arguments, of: prefix, in: folder)
            }

            let plans = try await run("plan", "list")
            #expect(plans.status == .exited(0), "\(plans.errors)")
            #expect(plans.output.contains("\nunplug-replug"))
            let unknown = try await run("run", "--kernel", "9.9")
            #expect(unknown.status == .exited(64))
            #expect(unknown.errors.contains("was fetched with \(share)/scripts/guest-kernel "), "\(unknown.errors)")
            let kernel = try await Subprocess.run(
                .path(FilePath("\(share)/scripts/guest-kernel")), arguments: ["6.1"], input: .none,
                output: .string(limit: 4096), error: .string(limit: 4096))
            #expect(kernel.standardOutput.hasSuffix("/6.1/vmlinux\n"), "\(kernel.standardError)")
            let doctor = try await run("doctor")
            #expect(doctor.status == .exited(0), "\(doctor.output)")
            #expect(doctor.output.contains("\(share)/guest/initramfs-ppc64le.cpio.gz"))
            let dry = try await run("run", "first-light", "--dry-run")
            #expect(dry.output.contains("\(share)/guest/initramfs-ppc64le.cpio.gz"), "\(dry.errors)")
            let guest = try await run("run", "first-light", "--slowdown", "4", "--progress", "none")
            #expect(guest.status == .exited(0), "\(guest.errors)\(guest.output)")
            #expect(try await run("verify", "runs/latest").status == .exited(0))
        }
    }
}
