// SPDX-License-Identifier: Apache-2.0

import Foundation
import GuestMemory
import Libvirt
import Plans
import RunRecord
import Subprocess
import Testing
import Verification

@testable import Guests
@testable import Runs
@testable import qemu_harness

extension RealGuest {
    /// What a guest does to its memory by itself: the list has to follow, or to stay as it is.
    @Suite struct GuestActions {
        private static let cpus: [DomainDescription.CPUModel] = [.power8, .power9]

        /// Offline blocks are present still: their `struct page`s stay, and so does the list.
        @Test(.long, arguments: cpus) func blocksGoOfflineAndOnline(
            cpu: DomainDescription.CPUModel
        ) async throws {
            let blocks = (4 as UInt64)..<8
            var steps: [any RunStep] = [VerifyStep(), PlugStep(byteCount: 1 << 30), VerifyStep()]
            for index in blocks {
                steps += [GuestStep(.block(index: index, isOnline: false)), VerifyStep()] as [any RunStep]
            }
            for index in blocks.reversed() {
                steps += [GuestStep(.block(index: index, isOnline: true)), VerifyStep()] as [any RunStep]
            }
            steps += [UnplugStep(number: 1), VerifyStep()] as [any RunStep]
            let run = try await Lab.run(try Lab.configuration(cpu: cpu), steps)
            let results = run.report.results
            #expect(results.outcome == .passed, "\(results)")
            // After the plug nothing comes and nothing goes, until the DIMM goes.
            let verified = results.steps.filter { $0.verdict != nil }
            for step in verified.dropFirst(2).dropLast() {
                #expect(step.newEntries == [] && step.goneEntries == [])
            }
            #expect(verified.last?.verdict?.entryCount == verified.first?.verdict?.entryCount)
        }

        /// The boot memory's first block holds the kernel.
        @Test func aBlockThatCannotGoIsAFinding() async throws {
            let run = try await Lab.run(
                try Lab.configuration(plugs: []), [GuestStep(.block(index: 0, isOnline: false)), VerifyStep()])
            let results = run.report.results
            #expect(results.outcome == .failed)
            #expect(results.steps.flatMap(\.allFindings).map(\.name) == ["guest-refused"])
            #expect(results.steps.last?.outcome == .passed)
        }

        /// An LMB that was released and is then added by its address alone has no node in the device tree any more: the kernel
        /// gives it the first one that is online, whichever the DIMM is in.
        @Test(.long, arguments: cpus) func aProbedLMBMayBeOfAnotherNode(cpu: DomainDescription.CPUModel) async throws {
            let harness = try HarnessProcess()
            defer { harness.cleanUp() }
            let plan = harness.runsDirectory.appending(path: "plan.yaml")
            try Data(
                """
                description: An LMB of node 1 is released and probed.
                guest: {memory: 512MiB, numa-nodes: 2}
                steps:
                  - plug: {size: 256MiB, node: 1, base: 11008MiB}
                  - verify
                  - guest: {dlpar: memory remove index 0x8000002b}
                  - guest: {probe: 43}
                  - verify: {struct-pages: all}
                """.utf8
            ).write(to: plan)
            let ending = try await harness.run([plan.path, "--cpu", cpu.rawValue])
            #expect(ending.status == .exited(0), "\(ending.errors)\(ending.output)")
        }

        /// QEMU keeps the LMB of a DIMM that it was not asked to unplug (hw/ppc/spapr_drc.c: `drc_isolate_logical`), so
        /// the guest cannot add it through the same door. It is still there to be added as any memory, or found at boot.
        @Test(.long, arguments: cpus) func aSingleLMBGoesAndComesBack(cpu: DomainDescription.CPUModel) async throws {
            let run = try await Lab.run(
                try Lab.configuration(cpu: cpu),
                [
                    PlugStep(byteCount: 1 << 30), VerifyStep(),
                    GuestStep(.dlpar("memory remove index 0x80000006")), VerifyStep(),
                    GuestStep(.dlpar("memory add index 0x80000006")), VerifyStep(),
                    GuestStep(.probe(base: 0x6000_0000)), VerifyStep(),
                    GuestStep(.block(index: 6, isOnline: true)), VerifyStep(),
                    RebootStep(), VerifyStep(),
                ])
            let results = run.report.results
            #expect(results.steps.flatMap(\.allFindings).map(\.name) == ["guest-refused"], "\(results)")
            let verdicts = results.steps.compactMap(\.verdict)
            #expect(verdicts.map(\.sectionCount) == [128, 112, 112, 128, 128, 128])
            try #require(verdicts.count == 6)
            // On hash the LMB's own blocks went, and were seen to come back; on radix they back other LMBs too.
            #expect(verdicts[3].entryCount == verdicts[0].entryCount)
            #expect(verdicts[4].entryCount == verdicts[0].entryCount)
            #expect((verdicts[1].entryCount < verdicts[0].entryCount) == (cpu == .power8))
        }

        /// The guest gives up what it has of a DIMM, and QEMU waits for the LMB that it does not have. A reset ends it: then
        /// nothing is known of an unplug any more, and the DIMM is gone.
        @Test(.long) func anUnplugMayHaveNoEnd() async throws {
            var timeouts = Timeouts(factor: 4)
            timeouts.unplug = .seconds(6)
            var silent = Plan.Expectation()
            silent.unplug = "silent"
            let limit = timeouts.unplug
            let run = try await Lab.run(
                try Lab.configuration(),
                [
                    PlugStep(byteCount: 1 << 30), GuestStep(.dlpar("memory remove index 0x80000006")),
                    UnplugStep(number: 1), ExpectStep(expectation: silent), VerifyStep(), SettleStep(),
                    ExpectStep(expectation: silent), UnplugStep(number: 1), RebootStep(),
                    ExpectStep(expectation: silent), VerifyStep(), UnplugStep(number: 1),
                ], timeouts: timeouts)
            let results = run.report.results
            #expect(results.outcome == .failed, "\(results)")
            #expect(
                results.steps.flatMap(\.allFindings) == [
                    .silentUnplug(of: "ua-dimm1", within: limit), .silentUnplug(of: "ua-dimm1", within: limit),
                    .silentUnplug(of: "ua-dimm1", within: limit),
                    Finding(.plan, .unmet, "the unplug was expected to be silent; nothing tells it"),
                    Finding(.plan, .unmet, "DIMM 1 is not plugged any more"),
                ])
            #expect(results.steps.compactMap(\.verdict).map(\.sectionCount) == [64, 64])
            #expect(results.steps.dropFirst().compactMap(\.note) == ["ua-dimm1 silent", "with 0 DIMMs"])
        }

        @Test(.long, arguments: cpus) func aRebootMakesDimmsBootMemory(cpu: DomainDescription.CPUModel) async throws {
            let run = try await Lab.run(
                try Lab.configuration(cpu: cpu, plugs: [1 << 30, 2 << 30, 1 << 30]),
                [
                    PlugStep(byteCount: 1 << 30), PlugStep(byteCount: 2 << 30), VerifyStep(), RebootStep(),
                    VerifyStep(), PlugStep(byteCount: 1 << 30), VerifyStep(), UnplugStep(number: 3), VerifyStep(),
                ])
            let results = run.report.results
            #expect(results.outcome == .passed, "\(results)")
            let verdicts = results.steps.compactMap(\.verdict)
            #expect(verdicts.map(\.sectionCount) == [256, 256, 320, 256])
            try #require(verdicts.count == 4)
            // What was plugged before is on the list that the new kernel made at boot.
            #expect(verdicts[1].provenance[.observed] == nil)
            #expect(results.steps.dropFirst().compactMap(\.note) == ["with 2 DIMMs", "removed"])
        }

        @Test func filesAreRead() async throws {
            let run = try await Lab.run(
                try Lab.configuration(plugs: []),
                [
                    GuestStep(.read(path: "/proc/cpuinfo", expected: "pSeries")),
                    GuestStep(.read(path: "/proc/kallsyms", expected: "")),
                    GuestStep(.read(path: "/proc/cpuinfo", expected: "x86")),
                    GuestStep(.read(path: "/nosuch", expected: "")),
                    GuestStep(.read(path: "/proc/kallsyms", expected: "no such symbol")), VerifyStep(),
                ])
            let steps = run.report.results.steps
            #expect(steps.dropFirst().map(\.outcome) == [.passed, .passed, .failed, .failed, .failed, .passed])
            #expect(steps.flatMap(\.allFindings).map(\.name) == ["plan-unmet", "guest-refused", "plan-unmet"])
            #expect(steps.dropLast().last?.findings?.first?.message.contains("first 65536 bytes") == true)
        }
    }

    /// Unplugs that the guest says no to, because memory is held there on purpose.
    @Suite struct RefusedUnplug {
        /// The DIMM is as it was, and can be unplugged once its memory is free again; in between there is room for more.
        /// That goes first: what describes it lies in the DIMM that is held.
        @Test(.long, arguments: [DomainDescription.CPUModel.power8, .power9])
        func aHeldDimmStays(cpu: DomainDescription.CPUModel) async throws {
            let run = try await Lab.run(
                try Lab.configuration(cpu: cpu, plugs: [1 << 30, 1 << 30]),
                [
                    VerifyStep(), PlugStep(byteCount: 1 << 30), VerifyStep(), GuestStep(.hold(dimm: 1)),
                    UnplugStep(number: 1), VerifyStep(), UnplugStep(number: 1), VerifyStep(),
                    PlugStep(byteCount: 1 << 30), VerifyStep(), GuestStep(.action(.release)), UnplugStep(number: 2),
                    VerifyStep(), UnplugStep(number: 1), VerifyStep(),
                ])
            let results = run.report.results
            #expect(results.outcome == .passed, "\(results)")
            let refused = "the guest refused, and has its memory again"
            let notes = results.steps.dropFirst().compactMap(\.note)
            // How many pages of the buffer lie there is the kernel's affair.
            #expect(notes.first?.hasSuffix(" pages are held there") == true)
            #expect(notes.dropFirst() == [refused, refused, "removed", "removed"])
            #expect(results.steps.compactMap(\.verdict).map(\.sectionCount) == [64, 128, 128, 128, 192, 128, 64])
        }

        /// What was given up before the LMB that is held comes back, with new blocks behind it. Those may lie in the DIMM
        /// itself, and keep it where it is for good.
        @Test(.long, arguments: [DomainDescription.CPUModel.power8, .power9])
        func aDimmHeldAtItsEndComesBack(cpu: DomainDescription.CPUModel) async throws {
            let run = try await Lab.run(
                try Lab.configuration(cpu: cpu, plugs: [1 << 30]),
                [
                    PlugStep(byteCount: 1 << 30), VerifyStep(), GuestStep(.hold(0x7000_0000..<0x8000_0000)),
                    UnplugStep(number: 1), VerifyStep(), GuestStep(.action(.release)), UnplugStep(number: 1),
                    VerifyStep(),
                ])
            let results = run.report.results
            #expect(results.outcome == .passed, "\(results)")
            let notes = results.steps.dropFirst().compactMap(\.note)
            let refused = "the guest refused, and has its memory again"
            #expect(notes.first?.hasSuffix(" pages are held there") == true)
            #expect(notes.dropFirst() == [refused, refused] || notes.dropFirst() == [refused, "removed"])
            // QEMU has heard of it too; or, when the first LMB could not go either, it waits on, and takes no request.
            #expect(
                run.events.contains(#""kind":"machine.device-removal-failed""#)
                    || run.events.contains(#""kind":"unplug.pending""#))
        }
    }
}
