// SPDX-License-Identifier: Apache-2.0

import Foundation
import GuestMemory
import Guests
import HarnessBasics

/// What a run asks of the guest's kernel and of the agent.
struct GuestChecks {
    let environment: [String: String]
    let executable: URL
    /// What `--kernel` would name.
    let kernelName: String

    func diagnoses() -> [Diagnosis] {
        [kernel(), kernelConfiguration(), agent()].compactMap { $0 }
    }

    private func kernel() -> Diagnosis {
        do {
            return .ok("guest kernel", try GuestImages.kernel(named: kernelName, environment: environment).path)
        } catch {
            return .fail("guest kernel", "\(error)", fix: Program.script("guest-kernel"))
        }
    }

    /// The kernel's configuration, where it lies beside the kernel: as `config`, as `config-VERSION` where distributions put
    /// it beside a `vmlinux-VERSION`, or as a build tree's `.config`.
    func kernelConfiguration() -> Diagnosis? {
        let name = "kernel configuration"
        guard let kernel = try? GuestImages.kernel(named: kernelName, environment: environment) else { return nil }
        let folder = kernel.deletingLastPathComponent()
        let version = kernel.lastPathComponent.drop { $0 != "-" }
        let files = ["config", "config\(version)", ".config"].map { folder.appending(path: $0) }
        guard let file = files.first(where: { FileManager.default.fileExists(atPath: $0.path) }),
            let data = try? RegularFile.beginning(of: file, byteCount: Self.configurationByteLimit)
        else {
            return .warn(
                name, "no file 'config' or '.config' beside the kernel: not checked",
                fix: "put it there to have it checked")
        }
        // Of a build tree the next build's options may be in it already.
        if file.lastPathComponent == ".config", Self.isNewer(file, than: kernel) {
            return .warn(
                name, "\(file.path) is newer than the kernel: not checked", fix: "build the kernel with these options")
        }
        let lacking = Self.lackingOptions(configuration: String(decoding: data, as: UTF8.self))
        guard lacking.isEmpty else {
            return .fail(
                name, "the kernel lacks \(lacking.joined(separator: ", "))", fix: "build the kernel with these options"
            )
        }
        return .ok(
            name,
            "has what a run needs: \(Self.neededOptions.map { $0.joined(separator: " or ") }.joined(separator: ", "))")
    }

    /// What is read of a configuration; they have some hundred KiB.
    private static let configurationByteLimit = 4 << 20

    private static func isNewer(_ file: URL, than other: URL) -> Bool {
        func date(_ file: URL) -> Date? {
            try? file.resourceValues(forKeys: [.contentModificationDateKey]).contentModificationDate
        }
        guard let first = date(file), let second = date(other) else { return false }
        return first > second
    }

    /// What has to be built in; of a row with several, one does.
    static let neededOptions = [
        ["MEMORY_HOTPLUG"], ["SPARSEMEM_VMEMMAP"], ["DYNAMIC_DEBUG", "KPROBE_EVENTS"], ["PROC_KCORE"], ["DEVTMPFS"],
        ["DEBUG_FS"], ["HVC_CONSOLE"], ["BLK_DEV_INITRD"], ["PPC_PSERIES"],
    ]

    /// The rows of ``neededOptions`` that a configuration does not meet.
    static func lackingOptions(configuration: String) -> [String] {
        let builtIn = Set(
            configuration.split(separator: "\n").compactMap { line in
                line.hasPrefix("CONFIG_") && line.hasSuffix("=y") ? String(line.dropFirst(7).dropLast(2)) : nil
            })
        return neededOptions.filter { row in !row.contains { builtIn.contains($0) } }.map {
            $0.map { "CONFIG_\($0)" }.joined(separator: " or ")
        }
    }

    private func agent() -> Diagnosis {
        let (name, fix) = ("agent", Program.script("build-agent", of: executable))
        do {
            // A kernel that cannot be read has a line of its own.
            let kernel = try? GuestImages.kernel(named: kernelName, environment: environment)
            let order = try kernel.map(GuestImages.byteOrder) ?? .little
            let initramfs = try GuestImages.initramfs(order, environment: environment, executable: executable)
            let machine = GuestImages.machine(order)
            let program = initramfs.deletingLastPathComponent().appending(path: "agent-\(machine)")
            guard let beginning = try? RegularFile.beginning(of: program, byteCount: ELFIdentity.byteCount),
                let identity = try? ELFIdentity([UInt8](beginning)), identity.isPPC64, identity.order == order
            else { return .fail(name, "\(program.path) is no \(machine) program", fix: fix) }
            return .ok(name, initramfs.path)
        } catch {
            return .fail(name, "\(error)", fix: fix)
        }
    }
}
