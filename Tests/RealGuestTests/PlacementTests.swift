// SPDX-License-Identifier: Apache-2.0

import Foundation
import Plans
import RunRecord
import Subprocess
import TestSupport
import Testing
import Verification

@testable import Guests
@testable import Runs
@testable import qemu_harness

extension RealGuest {
    /// Where DIMMs go: what the plan says against what the machine does.
    @Suite struct Placement {
        private func run(
            _ guest: String, _ steps: String
        ) async throws -> (ending: HarnessProcess.Ending, plan: Plan, events: [RecordedEvent], error: String?) {
            let harness = try HarnessProcess()
            defer { harness.cleanUp() }
            let file = harness.runsDirectory.appending(path: "plan.yaml")
            try "description: A test's.\nguest: \(guest)\nsteps: [\(steps)]\n".write(
                to: file, atomically: true, encoding: .utf8)
            let ending = try await harness.run([file.path, "--slowdown", "4"])
            let events = try RecordedEvent.events(of: harness.record)
            let plan = try String(contentsOf: harness.record.appending(path: "plan.yaml"), encoding: .utf8)
            #expect(try harness.leftovers() == [])
            return (ending, try Plan(yaml: plan), events, try harness.information().error)
        }

        /// Plugs and unplugs that leave gaps, and DIMMs with places of their own among them: each lies where the plan's
        /// machine has it, and there is just as much room as that takes.
        @Test(.long) func theMachineIsAsThePlanHasIt() async throws {
            let (ending, plan, events, _) = try await run(
                "{memory: 1GiB, append: memhp_default_state=online_movable}",
                "{plug: 256MiB}, {plug: 256MiB}, {plug: 256MiB}, {unplug: 1}, {expect: {unplug: removed}}, {unplug: 3}, "
                    + "{expect: {unplug: removed}}, {plug: 512MiB}, {plug: {size: 256MiB, base: 3GiB}}, {plug: 256MiB}, "
                    + "{plug: 1GiB}, {unplug: last}, {expect: {unplug: removed}}, {plug: 512MiB}, {plug: 1GiB}, verify")
            #expect(ending.status == .exited(0), "\(ending.errors)\(ending.output)")
            let settled = events.filter { $0.kind == "plug.settled" }
            let places = try Plan.Machine(for: plan).places
            #expect(places.count == 9)
            #expect(settled.map { $0.word("base") } == places.map(\.lowerBound))
            #expect(settled.map { $0.number("byteCount") } == places.map { Double($0.upperBound - $0.lowerBound) })
        }

        /// A guest that gives nothing up leaves less room than its plan has.
        @Test(.long) func aRefusedUnplugTakesARoomThatThePlanHas() async throws {
            let (ending, _, _, error) = try await run(
                "{memory: 1GiB, slots: 4}", "{plug: 256MiB}, {guest: {hold: 1}}, {unplug: 1}, {plug: 256MiB}, verify")
            #expect(ending.status == .exited(2), "\(ending.errors)")
            #expect(
                error?.contains(
                    "there is no room for DIMM 2 of 256 MiB: nothing is free; the guest has not given up ua-dimm1; "
                        + "'maximum-memory' and 'slots' of a plan make more (virDomainAttachDeviceFlags failed: ")
                    == true,
                "\(error ?? "")")
        }

        /// Addresses that nothing is plugged to are no memory: a guest that can grow to 1 TiB needs what it has.
        @Test(.long) func aMaximumIsNoMemory() async throws {
            let (ending, _, _, _) = try await run("{memory: 1GiB, maximum-memory: 1TiB}", "verify")
            #expect(ending.status == .exited(0), "\(ending.errors)\(ending.output)")
        }
    }
}
