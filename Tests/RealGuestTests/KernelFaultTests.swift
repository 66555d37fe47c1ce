// SPDX-License-Identifier: Apache-2.0

import GuestMemory
import Plans
import RunRecord
import Testing
import Verification

@testable import Guests
@testable import Runs
@testable import qemu_harness

extension RealGuest {
    /// Kernels that come to grief themselves: a finding of the step in which it was.
    @Suite struct KernelFaults {
        /// Leads the kernel's list out of memory: the kernel walks into it when it next takes a block off.
        private struct SpoilList: RunStep {
            var title: String { "spoil the list" }

            func perform(in context: inout RunContext, result: inout StepResult) async throws {
                let guest = try context.runningGuest()
                let list = try DamagedList(
                    memory: await guest.memory.ram, kernel: try await guest.runningKernel().kernel)
                try list.setHead(list.outside)
            }
        }

        /// An exception in a kernel thread, which the guest survives.
        @Test(.long) func anOopsInTheMiddleOfAnUnplug() async throws {
            var timeouts = Timeouts(factor: 4)
            timeouts.unplug = .seconds(20)
            let run = try await Lab.run(
                try Lab.configuration(bootMemoryByteCount: 512 << 20, plugs: [256 << 20]),
                [PlugStep(byteCount: 256 << 20), VerifyStep(), SpoilList(), UnplugStep(number: 1)], timeouts: timeouts)
            #expect(run.report.exitCode == 1)
            let steps = run.report.results.steps
            #expect(steps.prefix(4).allSatisfy { $0.allFindings.isEmpty })
            let oops = try #require(steps.last?.findings?.first { $0.name == "guest-oops" })
            #expect(oops.message.contains("BUG: Unable to handle kernel data access"), "\(oops.message)")
            #expect(oops.message.contains("Oops: Kernel access of bad area"), "\(oops.message)")
            #expect(oops.message.contains("vmemmap"), "\(oops.message)")
            #expect(run.events.contains("\"kind\":\"guest.kernel-fault\""))
        }

        /// The same exception, of which the kernel dies, and the agent with it: only the console tells of the end.
        @Test(.long) func aPanicInTheMiddleOfAnUnplug() async throws {
            let steps: [any RunStep] = [
                PlugStep(byteCount: 256 << 20), VerifyStep(), SpoilList(), UnplugStep(number: 1),
            ]
            let configuration = try Lab.configuration(
                bootMemoryByteCount: 512 << 20, plugs: [256 << 20], append: "oops=panic")
            let run = try await Lab.run(configuration, steps + [VerifyStep()])
            #expect(run.report.exitCode == 1)
            let names = run.report.results.steps.last?.allFindings.map(\.name)
            #expect(names == ["guest-oops", "guest-panic"])
            #expect(run.report.results.steps.count == 5)
            let error = try #require(run.report.results.error)
            #expect(error.contains("1 steps were not taken, from 'verify' on"), "\(error)")

            var expectation = Plan.Expectation()
            expectation.findings = ["guest-oops", "guest-panic"]
            // A plan that expects it, and wants nothing more of the guest, ends in order.
            let expected = try await Lab.run(
                configuration,
                steps + [ExpectStep(expectation: expectation), PowerOffStep()])
            #expect(expected.report.exitCode == 0, "\(expected.report.results)")
            #expect(expected.report.results.error == nil)
        }

        /// A panic after hello is the kernel's own, whatever it was asked for.
        @Test func aPanicAfterHello() async throws {
            let run = try await Lab.run(try MisbehavingGuest.configuration("panics"), [VerifyStep()])
            #expect(run.report.exitCode == 1)
            #expect(run.report.results.error == nil)
            let panic = try #require(run.report.results.steps.last?.findings?.first)
            #expect(panic.name == "guest-panic")
            #expect(panic.message.hasPrefix("Kernel panic - not syncing: "), "\(panic.message)")
        }
    }
}
