// SPDX-License-Identifier: Apache-2.0

import Foundation
import OfflineCommands
import TestSupport
import Testing

@testable import qemu_harness

/// What scripts/run is told to make and fetch, where the cache has the kernel 6.1 and nothing else.
struct NeedsCommandTests {
    private let folder: TemporaryFolder
    private let environment: [String: String]

    init() throws {
        folder = try TemporaryFolder()
        let plans = URL(filePath: #filePath).appending(path: "../../../plans").standardizedFileURL
        environment = ["XDG_CACHE_HOME": folder.url.path, ReadyPlans.variable: plans.path]
        // An ELF header of a little-endian ppc64 program (elf.h: EM_PPC64 is 21).
        let header: [UInt8] = [0x7f, 0x45, 0x4c, 0x46, 2, 1, 1] + Array(repeating: 0, count: 9) + [2, 0, 21, 0]
        try folder.write(header + Array(repeating: 0, count: 44), to: "qemu-harness/kernels/6.1/vmlinux")
        try folder.write(
            """
            kernels: ["6.1", 6.12-4k, ./vmlinux]
            cpus: [POWER8]
            plans: [first-light, half-added-block, kdump]
            """.utf8, to: "cells.yaml")
    }

    @Test(arguments: [
        ([], ["build-agent"]), (["--plug", "1GiB"], ["build-agent"]), (["run", "first-light"], ["build-agent"]),
        (["unplug-replug", "--kernel", "7-4k"], ["build-agent", "guest-kernel 7-4k"]),
        (["run", "--kernel=./vmlinux"], ["build-agent"]),
        (["half-added-block"], ["build-agent", "guest-kernel 6.12-4k"]),
        (["kdump-stale"], ["build-agent", "guest-tools kexec"]),
        (["kdump"], ["build-agent", "guest-tools kexec", "guest-tools makedumpfile"]),
        (
            ["matrix", "first-light", "kdump-stale", "--kernel", "6.1", "--kernel", "7-64k", "--kernel", "7-4k"],
            ["build-agent", "guest-kernel 7-64k", "guest-kernel 7-4k", "guest-tools kexec"]
        ),
        (["soak", "--kernel", "6.12-4k", "--kernel", "6.1"], ["build-agent", "guest-kernel 6.12-4k"]),
        (["score", "--damages", "1", "--kernel", "6.12-64k"], ["build-agent", "guest-kernel 6.12-64k"]),
        (["score", "runs/latest", "--mutants", "1"], []),
        // Others boot nothing, and what is wrong is said by the command itself.
        (["inspect", "vmcore"], []), (["verify", "runs/latest"], []), (["--help"], []),
        (["run", "--plug", "much"], []),
        (["no-such-plan"], []), (["matrix", "--cells", "no-such-file"], []), (["matrix", "--resume", "nowhere"], []),
    ])
    func needs(arguments: [String], expected: [String]) {
        #expect(NeedsCommand.needs(of: arguments, environment) == expected)
    }

    @Test func aMatrixIsReadFromItsFile() {
        #expect(
            NeedsCommand.needs(of: ["matrix", "--cells", folder.path("cells.yaml")], environment)
                == ["build-agent", "guest-kernel 6.12-4k", "guest-tools kexec", "guest-tools makedumpfile"])
    }

    /// Which tools a plan takes, its kernel says, once that is there.
    @Test func toolsAreAKernels() throws {
        let plan = try folder.write(
            "description: d\nguest: {crash-kernel: 512MiB}\nsteps: [load-crash-kernel, crash]\n".utf8, to: "crash.yaml")
        let lacking = NeedsCommand.needs(of: [plan, "--kernel", "6.1-be"], environment)
        #expect(lacking == ["build-agent", "guest-kernel 6.1-be"])
        var header = [UInt8](try Data(contentsOf: folder.url.appending(path: "qemu-harness/kernels/6.1/vmlinux")))
        // EI_DATA and the machine, big-endian.
        header[5] = 2
        header.replaceSubrange(16..<20, with: [0, 2, 0, 21])
        try folder.write(header, to: "qemu-harness/kernels/6.1-be/vmlinux")
        let fetched = NeedsCommand.needs(of: [plan, "--kernel", "6.1-be"], environment)
        #expect(fetched == ["build-agent", "guest-tools kexec-be"])
    }
}
