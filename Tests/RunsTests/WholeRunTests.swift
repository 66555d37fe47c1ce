// SPDX-License-Identifier: Apache-2.0

import AgentProtocol
import GuestMemory
import RunRecord
import TestSupport
import Testing
import Verification

@testable import Runs

/// Whole plans from boot to power-off, on a machine that stands in for libvirt and QEMU: the agent, the witnesses, the
/// verdicts and the record are those of any run.
@Suite struct WholeRunTests {
    private static let plan = "[verify, {plug: 512MiB}, verify, {unplug: 1}, verify]"

    @Test("every witness agrees, from boot to power-off", arguments: [false, true])
    func passes(hasKprobes: Bool) async throws {
        let run = try await StandInRun.take(Self.plan, hasKprobes: hasKprobes)
        let results = run.report.results
        #expect(results.error == nil)
        #expect(results.outcome == .passed)
        #expect(run.report.exitCode == 0)
        #expect(run.report.leftover == nil)
        #expect(
            results.steps.map(\.title)
                == ["boot", "verify", "plug 512 MiB", "verify", "unplug DIMM 1", "verify", "power off"])
        #expect(results.steps.allSatisfy { $0.outcome == .passed })
        // A block of 64 KiB holds the memory map of 64 MiB.
        #expect(run.verdicts.map { $0.verdict?.entryCount } == [16, 24, 16])
        #expect(run.verdicts.map { $0.verdict?.sectionCount } == [64, 96, 64])
        #expect(run.verdicts.map { $0.verdict?.provenance[.observed] ?? 0 } == [0, 8, 0])
        #expect(run.verdicts.map { $0.newEntries?.count } == [16, 8, 0])
        #expect(run.verdicts.map { $0.goneEntries?.count } == [0, 0, 8])
        #expect(run.verdicts.allSatisfy { $0.verdict?.unsaid.isEmpty == true })
        let information = run.report.information
        #expect(information.guest.eventSource == (hasKprobes ? "kprobe events" : "dynamic debug on /dev/kmsg"))
        #expect(run.host.endings == [.removed(hasGuestEnded: true)])
    }
}
