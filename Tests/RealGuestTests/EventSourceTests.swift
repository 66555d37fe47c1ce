// SPDX-License-Identifier: Apache-2.0

import Foundation
import GuestMemory
import Libvirt
import RunRecord
import Subprocess
import TestSupport
import Testing
import Verification

@testable import Guests
@testable import Runs
@testable import qemu_harness

extension RealGuest {
    /// Kernels that offer kprobe events, and what happens when they lose some.
    @Suite struct EventSources {
        /// 4 KiB pages: a block for each 256 KiB of memory, every one of them told by the kernel's own functions.
        @Test func kprobesTellOfEveryBlock() async throws {
            let harness = try HarnessProcess()
            defer { harness.cleanUp() }
            let ending = try await harness.run(["--kernel", "6.12-4k", "--vcpus", "2"])
            #expect(ending.status == .exited(0), "\(ending.errors)")
            let verdicts = try harness.results().steps.compactMap(\.verdict)
            #expect(verdicts.map(\.entryCount) == [4096, 8192])
            #expect(verdicts.last?.provenance == [.seeded: 4096, .observed: 4096])
            #expect(verdicts.allSatisfy { $0.findings == [] })
            let guest = try harness.information().guest
            #expect(guest.eventSource == "kprobe events")
            #expect(guest.eventSourceTrials == [.init(source: "kprobe events", refusals: [])])
            #expect(try harness.events(of: "guest.populate").count == 64)
            #expect(try harness.events(of: "guest.events-lost").isEmpty)
        }

        /// Page tables alone: what the kernel's own functions ask for and get is put where its own rule puts it.
        @Test(.long) func radixWithoutAListIsFollowed() async throws {
            let harness = try HarnessProcess()
            defer { harness.cleanUp() }
            let ending = try await harness.run([
                "--kernel", "6.12-64k", "--cpu", "POWER9", "--plug", "1GiB", "--plug", "2GiB",
            ])
            #expect(ending.status == .exited(0), "\(ending.errors)")
            let verdicts = try harness.results().steps.compactMap(\.verdict)
            #expect(verdicts.allSatisfy { $0.findings == [] })
            // 2 MiB describe 2 GiB: the first DIMM's memory map lies in the block that boot memory has.
            #expect(verdicts.map { $0.provenance[.seeded] } == [1, 1, 1])
            #expect(verdicts.map { $0.provenance[.observed] ?? 0 } == [0, 0, 1])
            #expect(try harness.information().guest.eventSource == "kprobe events")
            #expect(try harness.events(of: "guest.populate").count == 192)
            #expect(try harness.events(of: "guest.mirror-healed").isEmpty)
        }

        /// A populate that begins in the middle of an empty PMD entry's part gets base pages from 6.12.95, in 6.6 a block;
        /// what lies before it then finds a table there. The mirror follows, and the model takes the rule that it sees.
        @Test(.long) func aStartInTheMiddleIsFollowed() async throws {
            let kernel = try GuestImages.kernel(
                named: "6.12-64k", environment: ProcessInfo.processInfo.environment)
            let gibibyte: UInt64 = 1 << 30
            let run = try await Lab.run(
                try Lab.configuration(cpu: .power9, plugs: [gibibyte, 2 * gibibyte], kernel: kernel),
                [
                    VerifyStep(), PlugStep(byteCount: gibibyte, base: 3 * gibibyte), VerifyStep(),
                    PlugStep(byteCount: gibibyte, base: 2 * gibibyte), VerifyStep(), UnplugStep(number: 2),
                    VerifyStep(),
                ])
            let results = run.report.results
            #expect(results.outcome == .passed, "\(results)")
            let models = results.steps.compactMap(\.verdict).compactMap { verdict in
                verdict.witnesses.first { $0.witness == .model }
            }
            #expect(models.map(\.standing) == [.agrees, .agrees, .agrees, .agrees])
            #expect(models.map(\.unsaidCount) == [0, 0, 0, 0])
            #expect(!run.events.contains("guest.mirror-healed"))
        }

        /// Memory that carries its own memory map: base pages, which come and go with it.
        @Test(.long) func memoryMapsInTheirOwnMemory() async throws {
            let harness = try HarnessProcess()
            defer { harness.cleanUp() }
            let ending = try await harness.run([
                "--kernel", "6.12-64k", "--cpu", "POWER9", "--plug", "1GiB", "--plug", "2GiB", "--unplug", "2",
                "--append", "memory_hotplug.memmap_on_memory=force",
            ])
            #expect(ending.status == .exited(0), "\(ending.errors)")
            let verdicts = try harness.results().steps.compactMap(\.verdict)
            #expect(verdicts.allSatisfy { $0.findings == [] })
            #expect(verdicts.map { $0.provenance[.observed] ?? 0 } == [0, 0, 32, 0])
            let calls = try harness.events(of: "guest.populate")
            #expect(calls.allSatisfy { $0.word("altmap") != nil })
            #expect(try harness.events(of: "guest.block-freed").count == 32)
            #expect(try harness.events(of: "guest.mirror-healed").isEmpty)
        }

        /// A ring that is too small, on purpose: what it lost is said and healed, and nothing is wrong. What mirror and model
        /// cannot say of it any more makes the run incomplete, unless that is allowed or expected.
        @Test(
            .long, arguments: [(["unsaid: [model, mirror]"], 0), (["--plug", "512MiB"], 4)] as [([String], Int32)])
        func lossesAreHealed(options: [String], code: Int32) async throws {
            try await Self.expectHealedLosses(options, code: code)
        }

        @Test(
            .long,
            arguments: [
                (["--plug", "512MiB", "--allow-unsaid", "model"], 4),
                (["--plug", "512MiB", "--allow-unsaid", "model", "--allow-unsaid", "mirror"], 0),
                (["unsaid: [model]"], 4), (["unsaid: [model, mirror, report]"], 1),
            ] as [([String], Int32)])
        func lossesAreExcusedByName(options: [String], code: Int32) async throws {
            try await Self.expectHealedLosses(options, code: code)
        }

        private static func expectHealedLosses(_ options: [String], code: Int32) async throws {
            let harness = try HarnessProcess()
            defer { harness.cleanUp() }
            var options = options
            if options.count == 1 {
                let file = harness.runsDirectory.appending(path: "plan.yaml")
                try """
                description: Losses that are expected.
                steps: [verify, plug: 512MiB, verify, expect: {\(options[0])}]
                """.write(to: file, atomically: true, encoding: .utf8)
                options = [file.path]
            }
            let ending = try await harness.run(
                options + ["--kernel", "6.12-4k", "--memory", "512MiB", "--append", "qemu_harness.trace_kib=4"])
            #expect(ending.status == .exited(code), "\(ending.errors)")
            let results = try harness.results()
            let verdict = try #require(results.steps.compactMap(\.verdict).last)
            #expect(verdict.findings == [])
            #expect(verdict.entryCount == 4096)
            #expect(verdict.provenance[.seeded] == 2048)
            let healedCount = verdict.provenance[.healed] ?? 0
            #expect(healedCount > 0)
            #expect(verdict.unsaid.map(\.witness) == [.mirror, .model])
            #expect(verdict.unsaid.map(\.count) == [healedCount, 4096])
            let mirror = try #require(verdict.witnesses.first { $0.witness == .mirror })
            #expect(mirror.standing == .incomplete)
            #expect(mirror.agreeingCount == 4096)
            #expect(try !harness.events(of: "guest.events-lost").isEmpty)
            #expect(try harness.events(of: "guest.mirror-healed").count == 1)
            #expect(try await HarnessProcess.start(["verify", harness.record.path]).status == .exited(code))
        }

        /// Somebody has switched dynamic debug on as well: each block is told twice and mirrored once.
        @Test(.long) func dynamicDebugBesideKprobes() async throws {
            let harness = try HarnessProcess()
            defer { harness.cleanUp() }
            let ending = try await harness.run([
                "--kernel", "6.12-64k", "--append", #"dyndbg="file arch/powerpc/mm/init_64.c +p""#,
            ])
            #expect(ending.status == .exited(0), "\(ending.errors)")
            let verdict = try #require(try harness.results().steps.compactMap(\.verdict).last)
            #expect(verdict.provenance == [.seeded: 16, .observed: 16])
            #expect(try harness.information().guest.eventSource == "kprobe events")
            #expect(try harness.events(of: "guest.populate").count == 64)
        }

        @Test func anInvalidRingSize() async throws {
            let harness = try HarnessProcess()
            defer { harness.cleanUp() }
            let ending = try await harness.run(["--append", "qemu_harness.trace_kib=small"])
            #expect(ending.status == .exited(2))
            #expect(
                ending.errors.contains(
                    "the agent cannot work in this guest: it has no size-in-qemu_harness.trace_kib"),
                "\(ending.errors)")
        }
    }
}

extension HarnessProcess {
    /// The newest record's events of a kind.
    fileprivate func events(of kind: String) throws -> [RecordedEvent] {
        try RecordedEvent.events(of: record).filter { $0.kind == kind }
    }
}
