// SPDX-License-Identifier: Apache-2.0

import RunRecord
import Testing
import Verification
import VmemmapPopulate

@testable import qemu_harness

extension RealGuest {
    /// A guest whose list is spoiled after a good start: the run has to find it.
    @Suite struct DamagedGuest {
        @Test func wrongPhysIsFound() async throws {
            let configuration = try Lab.configuration()
            let damage = DamageStep(title: "write a wrong phys") { list in
                // Two blocks change places, so that both stay aligned, in memory and apart.
                let (first, second) = (list.walk.nodes[0], list.walk.nodes[1])
                try list.store(second.backing.phys, at: first.address + VmemmapBacking.physOffset)
                try list.store(first.backing.phys, at: second.address + VmemmapBacking.physOffset)
            }
            let report = try await Lab.run(
                configuration, [PlugStep(byteCount: 1 << 30), VerifyStep(), damage, VerifyStep()])

            let verdicts = report.results.steps.compactMap(\.verdict)
            #expect(verdicts.first?.findings == [])
            #expect(report.results.outcome == .failed)
            #expect(report.exitCode == 1)
            // Nothing is wrong with such a list in itself: only the mirror and the MMU know better.
            let names = try #require(verdicts.last).findings.map(\.name)
            #expect(names.count { $0 == "mirror-wrong-phys" } == 2)
            #expect(names.count { $0 == "mmu-contradiction" } == 4)
            #expect(names.count == 6)
        }
    }
}
