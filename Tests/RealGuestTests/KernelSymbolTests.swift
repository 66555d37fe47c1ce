// SPDX-License-Identifier: Apache-2.0

import Foundation
import RunRecord
import Subprocess
import Testing
import Verification

@testable import Guests
@testable import Runs
@testable import qemu_harness

extension RealGuest {
    /// Kernels whose notes for dump tools lack a variable. There is no such kernel ready-made: in a copy of one the
    /// variable's name, which the kernel prints into its VMCOREINFO, is written in capitals.
    @Suite struct KernelSymbols {
        @Test(.long) func theKernelsFileTellsWhatVmcoreinfoLacks() async throws {
            let harness = try HarnessProcess()
            defer { harness.cleanUp() }
            let kernel = try kernelWithoutNote(of: "vmemmap_list", from: "6.12-4k", in: harness)
            let ending = try await harness.run(["--kernel", kernel, "--memory", "512MiB", "--plug", "256MiB"])
            #expect(ending.status == .exited(0), "\(ending.errors)")
            let verdict = try #require(try harness.results().steps.compactMap(\.verdict).last)
            #expect(verdict.entryCount == 3072)
            #expect(verdict.findings == [])
            #expect(
                try harness.information().guest.symbolSources == [
                    "vmemmap_list": "the kernel's file", "mmu_vmemmap_psize": "VMCOREINFO",
                    "mmu_psize_defs": "VMCOREINFO", "swapper_pg_dir": "VMCOREINFO",
                ])
        }

        /// Its /proc/kallsyms has functions only (no CONFIG_KALLSYMS_ALL), so the agent finds nothing either.
        @Test func anAgentThatFindsNoListSaysSo() async throws {
            let harness = try HarnessProcess()
            defer { harness.cleanUp() }
            let kernel = try kernelWithoutNote(of: "vmemmap_list", from: "6.1", in: harness)
            let ending = try await harness.run(["--kernel", kernel])
            #expect(ending.status == .exited(2))
            #expect(
                ending.errors.contains("the agent cannot work in this guest: it has no SYMBOL(vmemmap_list)"),
                "\(ending.errors)")
        }

        private func kernelWithoutNote(of symbol: String, from name: String, in harness: HarnessProcess) throws
            -> String
        {
            let original = try GuestImages.kernel(named: name, environment: ProcessInfo.processInfo.environment)
            var image = try Data(contentsOf: original)
            // The first one; the symbol table and its names stand at the file's end.
            let text = try #require(image.range(of: Data("\0\(symbol)\0".utf8)))
            image.replaceSubrange(text, with: Data("\0\(symbol.uppercased())\0".utf8))
            let copy = harness.runsDirectory.appending(path: "vmlinux")
            try image.write(to: copy)
            return copy.path
        }
    }
}
