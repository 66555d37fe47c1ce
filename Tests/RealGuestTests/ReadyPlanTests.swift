// SPDX-License-Identifier: Apache-2.0

import Foundation
import Guests
import HarnessBasics
import RunRecord
import Subprocess
import Testing
import Verification

extension RealGuest {
    /// The plans that come with the program, each in a real guest.
    @Suite struct ReadyPlans {
        @Test func firstLightPasses() async throws {
            try await Self.expectToPass("first-light")
        }

        /// With the long tests: these take more slots, or a kernel of 4 KiB pages and thousands of entries, or show once more
        /// what a suite of its own shows.
        @Test(
            .long,
            arguments: [
                "failed-plug", "unplug-replug", "refused-unplug", "many-dimms", "disable-radix", "hash-16m", "4k-pages",
                "altmap",
                "half-added-block", "numa",
                "hpt-resize",
            ])
        func passesToo(plan: String) async throws {
            try await Self.expectToPass(plan)
        }

        /// The kernel's state changes all the time, and nothing that is verified does; the plan's last steps say how much was
        /// filled.
        @Test(
            .long,
            arguments: [
                ("POWER8", "6.1"), ("POWER9", "6.1"), ("POWER8", "6.12-4k"), ("POWER9", "6.12-4k"),
                ("POWER9", "6.12-64k"),
            ])
        func memoryPressurePasses(cpu: String, kernel: String) async throws {
            let harness = try HarnessProcess()
            defer { harness.cleanUp() }
            let ending = try await harness.run(
                ["memory-load", "--cpu", cpu, "--kernel", kernel, "--slowdown", "4"])
            #expect(ending.status == .exited(0), "\(ending.errors)\(ending.output)")
            let steps = try harness.results().steps
            #expect(steps.count { $0.verdict?.hasPassed == true } == 9)
            let note = try #require(steps.first { $0.title == "load none" }?.note)
            // How much is the machine's affair.
            let filled = try #require(Int(note.prefix { $0.isNumber }))
            #expect(note.hasSuffix("iB were filled in all") && filled > 0, "\(note)")
        }

        /// A guest that crashes, with the long tests one of each MMU: what the dump-capture kernel finds is what was there, and what makedumpfile
        /// wrote has it too.
        @Test(arguments: RealGuest.cases(["POWER8", "POWER9"], everyTime: 1))
        func crashPasses(cpu: String) async throws {
            let harness = try HarnessProcess()
            defer { harness.cleanUp() }
            let ending = try await harness.run(["kdump", "--cpu", cpu, "--keep-dumps", "--slowdown", "4"])
            #expect(ending.status == .exited(0), "\(ending.errors)\(ending.output)")
            let crash = try #require(try harness.results().steps.first { $0.title == "crash" })
            let snapshot = try JSONDecoder().decode(
                Snapshot.self,
                from: Data(contentsOf: harness.record.appending(path: "snapshot-\(crash.number).json")))
            let inspection = try await HarnessProcess.start(["inspect", harness.record.path, "--csv"])
            #expect(inspection.status == .exited(0), "\(inspection.errors)")
            let entries = snapshot.accountEntries.map {
                "\($0.virtAddr.hexadecimal),\($0.phys.hexadecimal),\($0.byteCount),\($0.place.hexadecimal)\n"
            }
            #expect(inspection.output == "virt,phys,bytes,node\n" + entries.joined())
        }

        /// The same with the other kernels, and a dump that lacks what was plugged after its kernel was loaded.
        @Test(
            .long,
            arguments: [
                ("kdump-hotplug", ["--cpu", "POWER8", "--kernel", "6.12-4k"]),
                ("kdump-hotplug", ["--cpu", "POWER9", "--kernel", "6.12-4k"]),
                ("kdump-hotplug", ["--cpu", "POWER9", "--kernel", "6.12-64k"]),
                ("kdump-stale", []), ("kdump-altmap", []), ("kdump-in-plug", []),
                ("kdump-in-plug", ["--cpu", "POWER9"]),
                ("kdump-unplug", []), ("kdump-hpt-resize", []),
                ("kdump-hpt-resize", ["--cpu", "POWER9", "--append", "disable_radix"]),
                ("kdump-hpt-resize-fixed", []),
                ("kdump-hpt-resize-fixed", ["--cpu", "POWER9", "--append", "disable_radix"]),
            ])
        func crashPassesToo(plan: String, options: [String]) async throws {
            try await Self.expectToPass(plan, options)
        }

        /// An unplug that never ends, and everything is as it was when the guest crashes in the middle of it.
        @Test(
            .long,
            .enabled("needs scripts/guest-kernel 7-64k") {
                (try? GuestImages.kernel(named: "7-64k", environment: ProcessInfo.processInfo.environment)) != nil
            })
        func anUnplugThatNeverEndsPasses() async throws {
            try await Self.expectToPass("slab-in-unplug")
        }

        /// What is held is found by its page, however the kernel maps it, and refuses the unplug.
        @Test(
            .long,
            .enabled("needs scripts/guest-kernel 7-4k and 7-64k") {
                ["7-4k", "7-64k"].allSatisfy {
                    (try? GuestImages.kernel(named: $0, environment: ProcessInfo.processInfo.environment)) != nil
                }
            },
            arguments: ["7-4k", "7-64k"])
        func heldMemoryRefusesOnTheNewestKernels(kernel: String) async throws {
            try await Self.expectToPass("refused-unplug", ["--kernel", kernel])
        }

        /// Guests that are no ready plan's, in the long tests too.
        @Test(
            .long,
            arguments: [
                // A hashed page table of 4 KiB pages under a kernel of 64 KiB pages: 256 entries a GiB.
                (
                    "{cpu: POWER8, memory: 1GiB, hpt-page-size: 4KiB}",
                    "- verify\n- expect: {entries: 256, vmemmap-page-size: 4KiB}\n- plug: 1GiB\n- verify\n"
                        + "- expect: {entries: 512}\n- reboot\n- verify\n- expect: {entries: 512, observed: 0}"
                ),
                // Plugged memory starts at 1 GiB, behind a hole.
                (
                    "{cpu: POWER8, memory: 512MiB, vcpus: 4}",
                    "- verify\n- plug: 256MiB\n- verify\n- expect: {entries: 12, sections: 48, covered: 48}\n"
                        + "- unplug: 1\n- expect: {unplug: removed}\n- verify\n- expect: {entries: 8}"
                ),
                (
                    "{cpu: POWER10, memory: 1GiB, vcpus: 2, numa-nodes: 2, maximum-memory: 16GiB, slots: 4}",
                    "- plug: {size: 2GiB, base: 4GiB, node: 1}\n- verify\n- reboot\n- verify\n- plug: 1GiB\n- verify\n"
                        + "- expect: {sections: 256, covered: 256}"
                ),
                (
                    "{cpu: POWER9, memory: 1GiB, append: disable_radix, vcpus: 2}",
                    "- plug: 1GiB\n- guest: {offline: 5}\n- verify\n- guest: {online: 5}\n- verify\n- wait: 1s\n"
                        + "- wait: settled\n- guest: {read: /proc/cmdline, contains: disable_radix}"
                ),
                // A dump with more bytes than there is room for.
                (
                    "{kernel: \"6.1\", memory: 2GiB, crash-kernel: 512MiB, hpt-resizing: off, dump-area: 1MiB}",
                    "- load-crash-kernel\n- crash\n- dump: makedumpfile\n- expect: {dump: cut-off}"
                ),
                // The kernel keeps the header true, and the device tree as it was at boot.
                (
                    "{kernel: 6.12-4k, cpu: POWER8, memory: 2GiB, crash-kernel: 512MiB}",
                    "- load-crash-kernel\n- plug: 4GiB\n- verify\n- expect: {findings: [crash-header-hpt-size]}\n"
                        + "- crash\n- expect: {findings: [vmcore-silent]}"
                ),
                // The kernel itself tells its crash kernel of the first DIMM, and dies while it adds the second.
                (
                    "{kernel: 6.12-4k, cpu: POWER9, memory: 2GiB, crash-kernel: 512MiB}",
                    "- load-crash-kernel\n- plug: 1GiB\n- verify\n- crash: {in-plug: 8GiB}\n"
                        + "- expect: {unsaid: [mirror, model, crash-header]}"
                ),
                // What is loaded again lacks all DIMMs until the next one comes.
                (
                    "{kernel: 6.12-4k, cpu: POWER8, memory: 2GiB, crash-kernel: 512MiB}",
                    "- load-crash-kernel\n- plug: 4GiB\n- guest: correct-hpt-size\n- load-crash-kernel\n"
                        + "- plug: 256MiB\n- verify\n- crash"
                ),
            ])
        func variantPasses(guest: String, steps: String) async throws {
            let harness = try HarnessProcess()
            defer { harness.cleanUp() }
            let file = harness.runsDirectory.appending(path: "variant.yaml")
            try "description: A variant.\nguest: \(guest)\nsteps:\n\(steps)\n".write(
                to: file, atomically: true, encoding: .utf8)
            let ending = try await harness.run([file.path, "--slowdown", Self.slowdown(steps)])
            #expect(ending.status == .exited(0), "\(ending.errors)\(ending.output)")
        }

        /// Who waits for what never comes waits no longer than has to be.
        private static func slowdown(_ plan: String) -> String {
            plan.contains("vmcore-silent") || ["kdump-hpt-resize", "slab-in-unplug"].contains(plan) ? "1" : "4"
        }

        /// What a plan expects, and what it does not, decides what the run comes to; the record says the same again.
        @Test(.long) func expectationsDecide() async throws {
            let harness = try HarnessProcess()
            defer { harness.cleanUp() }
            func run(_ steps: String) async throws -> (code: Int32?, results: RunResults) {
                let file = harness.runsDirectory.appending(path: "plan.yaml")
                try "description: A test's.\nguest: {memory: 512MiB}\nsteps:\n\(steps)\n".write(
                    to: file, atomically: true, encoding: .utf8)
                let ending = try await harness.run([file.path, "--slowdown", "4"])
                guard case .exited(let code) = ending.status else { return (nil, try harness.results()) }
                let verification = try await HarnessProcess.start(["verify", harness.record.path])
                #expect(verification.status == .exited(code), "\(verification.output)")
                return (code, try harness.results())
            }
            let met = try await run("- guest: {offline: 0}\n- expect: {findings: [guest-refused]}\n- verify")
            #expect(met.code == 0)
            #expect(met.results.outcome == .passed)
            let missing = try await run("- verify\n- expect: {findings: [list-cycle], sections: 32, entries: 1}")
            #expect(missing.code == 1)
            #expect(missing.results.steps.flatMap(\.allFindings).map(\.name) == ["plan-unmet", "plan-unmet"])
            let surplus = try await run("- guest: {offline: 0}\n- verify\n- expect: {sections: 32}")
            #expect(surplus.code == 1)
            let unverified = try await run("- guest: release")
            #expect(unverified.code == 4)
            #expect(unverified.results.outcome == .incomplete)
        }

        private static func expectToPass(_ plan: String, _ options: [String] = []) async throws {
            let harness = try HarnessProcess()
            defer { harness.cleanUp() }
            let ending = try await harness.run([plan, "--slowdown", slowdown(plan)] + options)
            #expect(ending.status == .exited(0), "\(ending.errors)\(ending.output)")
            #expect(try harness.results().outcome == .passed)
            // The resolved plan is part of the record, and a plan like any other.
            let file = harness.record.appending(path: "plan.yaml").path
            #expect(try harness.information().digests?["plan.yaml"] != nil)
            #expect(try await HarnessProcess.start(["plan", "validate", file]).status == .exited(0))
            #expect(try await HarnessProcess.start(["verify", harness.record.path]).status == .exited(0))
            #expect(try harness.leftovers() == [])
        }
    }
}
