// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Foundation
import HarnessBasics
import Libvirt
import OfflineCommands
import Plans
import RunRecord
import TestSupport
import Testing

@testable import Guests
@testable import Runs
@testable import qemu_harness

@Suite struct RunCommandTests {
    @Test func hasDefaults() throws {
        let command = try RunCommand.parse([])
        let plan = try command.resolvedPlan([:])
        #expect(plan.guest.cpu == "POWER8")
        #expect(plan.guest.kernel == "6.1")
        #expect(plan.guest.memory == 1 << 30)
        #expect(plan.guest.append == nil)
        #expect(plan.guest.vcpus == 1)
        #expect(plan.steps == [.verify, .plug(size: 1 << 30, node: nil, base: nil), .verify])
        #expect(command.runsDir == "runs")
        #expect(command.progress == .auto)
        #expect(command.slowdown == 1)
        #expect(!command.json && !command.keep && !command.dryRun)
    }

    @Test func readsEveryOption() throws {
        let command = try RunCommand.parse([
            "--cpu", "POWER9", "--kernel", "/boot/vmlinux", "--memory", "2GiB", "--plug", "256MiB", "--plug", "1GiB",
            "--append", "quiet slub_debug", "--vcpus", "4", "--runs-dir", "/tmp/r", "--json", "--progress", "none",
            "--slowdown", "2.5", "--keep", "--dry-run",
        ])
        #expect(command.cpu == .power9)
        #expect(command.kernel == "/boot/vmlinux")
        #expect(command.memory == ByteCount(2 << 30))
        #expect(command.plug == [ByteCount(256 << 20), ByteCount(1 << 30)])
        #expect(command.append == "quiet slub_debug")
        #expect(command.vcpus == 4)
        #expect(command.runsDir == "/tmp/r")
        #expect(command.progress == .none)
        #expect(command.slowdown == 2.5)
        #expect(command.json && command.keep && command.dryRun)
    }

    @Test(arguments: [
        (["--cpu", "POWER7"], "no CPU model 'POWER7'; there are POWER8, POWER9, POWER10"),
        (["--allow-unsaid", "kernel"], "kernel"), (["--cpu", "power8"], "no CPU model 'power8'"),
        (["--memory", "1GB"], "1GB"), (["--memory=-1GiB"], "-1GiB"),
        (["--plug", "1"], "--plug"), (["--vcpus", "many"], "many"), (["--progress", "loud"], "loud"),
        (["--slowdown", "0"], "--slowdown 0.0 is outside 0.1 to 1000"),
        (["--slowdown", "0.09"], "--slowdown 0.09 is outside 0.1 to 1000"),
        (["--slowdown", "1000.1"], "--slowdown 1000.1 is outside 0.1 to 1000"),
        (["--slowdown", "nan"], "--slowdown nan is outside 0.1 to 1000"),
        (["--slowdown", "inf"], "--slowdown inf is outside 0.1 to 1000"),
        (["--nonsense"], "--nonsense"),
        (["plan.yaml", "other.yaml"], "other.yaml"),
    ])
    func refusesOtherArguments(arguments: [String], message: String) throws {
        let error = try #require(throws: (any Error).self) { try RunCommand.parse(arguments) }
        #expect(RunCommand.message(for: error).contains(message))
        #expect(RunCommand.exitCode(for: error).rawValue == ExitStatus.usage)
    }

    @Test(arguments: ["0.1", "1000"]) func takesTheLimitsOfSlowdown(factor: String) throws {
        #expect(try RunCommand.parse(["--slowdown", factor]).slowdown == Double(factor))
    }

    @Test func stretchesEveryLimit() {
        let (plain, slow) = (Timeouts(factor: 1), Timeouts(factor: 2.5))
        for limit in [\Timeouts.boot, \.answer, \.plug, \.unplug, \.powerOff, \.ending] {
            #expect(slow[keyPath: limit] == plain[keyPath: limit] * 2.5)
        }
    }
}

/// A plan and options in one command line.
@Suite struct PlanResolutionTests {
    private let folder: TemporaryFolder

    init() throws {
        folder = try TemporaryFolder()
        let plan = "description: d\nguest: {cpu: POWER9, kernel: mine, vcpus: 2, append: quiet}\nsteps: [verify]\n"
        try folder.write(Array(plan.utf8), to: "all.yaml")
        try folder.write(Array("description: d\nsteps: [verify]\n".utf8), to: "none.yaml")
        try folder.write(Array("description: d\nsteps: [verfy]\n".utf8), to: "bad.yaml")
        try folder.write([0x64, 0xff], to: "binary.yaml")
        try folder.write(Array(repeating: 0x23, count: 1 << 20), to: "long.yaml")
    }

    private func resolved(_ arguments: [String]) throws -> Plan {
        try RunCommand.parse(arguments).resolvedPlan([ReadyPlans.variable: folder.url.path])
    }

    @Test func optionsSayWhatThePlanLeavesOpen() throws {
        let plan = try resolved(["none", "--cpu", "POWER10", "--kernel", "k", "--memory", "2GiB", "--append", "a b"])
        #expect(plan.guest.cpu == "POWER10")
        #expect(plan.guest.kernel == "k")
        #expect(plan.guest.memory == 2 << 30)
        #expect(plan.guest.vcpus == 1)
        #expect(plan.guest.append == "a b")
        #expect(plan.steps == [.verify])
    }

    @Test(arguments: [
        ["--cpu", "POWER8"], ["--cpu", "POWER9"], ["--kernel", "k"], ["--vcpus", "1"], ["--append", "loud"],
    ]) func anOptionThatThePlanSettlesIsRefused(arguments: [String]) {
        let message = "\(arguments[0]) cannot go with a plan that settles it"
        #expect(throws: HarnessError.usage(message)) { try resolved(["all"] + arguments) }
        #expect(throws: Never.self) { try resolved(["none"] + arguments) }
    }

    /// A plan that the reader would not take again is not run.
    @Test(arguments: [
        (["--memory", "300MiB"], "memory 300 MiB is no multiple of 256 MiB, the LMB of a pseries machine"),
        (["--memory", "0MiB"], "memory 0 bytes is no multiple of 256 MiB, the LMB of a pseries machine"),
        (["--memory", "256MiB"], "memory 256 MiB is less than 512 MiB, which the guest needs to boot"),
        (["--memory", "16TiB"], "memory 16 TiB is more than 8 TiB, the limit here"),
        (["--memory", "17592186044160MiB"], "memory 17592186044160 MiB is more than 8 TiB, the limit here"),
        (["--plug", "100MiB"], "plug 100 MiB is no multiple of 256 MiB, the LMB of a pseries machine"),
        (["--plug", "9TiB"], "plug 9 TiB is more than 8 TiB, the limit here"),
        (["--plug", "8TiB"], "boot memory and plugs add up to more than 8 TiB, the limit here"),
        (
            Array(repeating: ["--plug", "1GiB"], count: 33).flatMap { $0 },
            "33 DIMMs are plugged at once; the machine has 32 slots"
        ),
        (["--vcpus", "0"], "vcpus 0 is outside 1 to 16"), (["--vcpus", "17"], "vcpus 17 is outside 1 to 16"),
        (["--vcpus=-1"], "vcpus has to be a whole number in decimal digits; it is '-1'"),
        (
            ["--append", String(repeating: "a", count: 600)],
            "append has 600 bytes; 512 are the most that it can have"
        ),
        (
            ["--kernel", String(repeating: "k", count: 513)],
            "kernel has 513 bytes; 512 are the most that it can have"
        ),
        (["--append", "a\nb"], "append holds the character U+000A"),
        (["--append", "\u{1b}[2J"], "append holds the character U+001B"), (["--kernel", ""], "kernel is empty"),
    ])
    func optionsAreHeldToThePlansLimits(arguments: [String], message: String) {
        #expect(throws: HarnessError.usage(message)) { try resolved(arguments) }
    }

    /// Whatever the command line adds, the reader takes the plan that the record holds.
    @Test(arguments: [
        String(repeating: "*a ", count: 17), String(repeating: "a", count: 512), "5", "yes", " a: [b", "a # b", "ünï",
    ])
    func theResolvedPlanIsAPlan(append: String) throws {
        let plan = try resolved(["none", "--append", append])
        #expect(plan.guest.append == append)
        #expect(try Plan(yaml: plan.yaml()) == plan)
    }

    /// What only the command line settles can make a plan impossible.
    @Test func thePlansOwnRulesHoldForOptions() throws {
        try folder.write(
            Array("description: d\nsteps: [{plug: {size: 1GiB, base: 2GiB}}]\n".utf8), to: "placed.yaml")
        #expect(throws: Never.self) { try resolved(["placed", "--memory", "2GiB"]) }
        #expect(throws: HarnessError.usage("a DIMM is to lie at 2 GiB; plugged memory starts at 3 GiB")) {
            try resolved(["placed", "--memory", "2304MiB"])
        }
    }

    @Test(arguments: [["--plug", "1GiB"], ["--unplug", "1"]]) func aPlanHasItsOwnPlugs(arguments: [String]) {
        #expect(throws: HarnessError.usage("--plug and --unplug cannot go with a plan, which has its own")) {
            try resolved(["none"] + arguments)
        }
    }

    @Test func optionsBecomeAPlan() throws {
        let plan = try resolved(["--plug", "1GiB", "--plug", "2GiB", "--unplug", "2", "--memory", "512MiB"])
        #expect(plan.guest.memory == 512 << 20)
        #expect(
            plan.steps == [
                .verify, .plug(size: 1 << 30, node: nil, base: nil), .verify,
                .plug(size: 2 << 30, node: nil, base: nil), .verify, .unplug(.number(2)), .verify,
            ])
        #expect(try Plan(yaml: plan.yaml()) == plan)
    }

    @Test(arguments: [
        ("bad", "bad.yaml:2:9: no step 'verfy'"), ("binary", "the plan is no UTF-8 text"),
        ("long", "long.yaml:1:1: the plan has 65537 bytes"), ("nosuch", "no ready plan 'nosuch'; there are all, bad,"),
        ("./nosuch.yaml", "cannot read the plan ./nosuch.yaml"), ("/dev/null/plan", "cannot read the plan"),
    ])
    func aPlanThatIsNoneIsAUsersError(name: String, message: String) throws {
        let error = try #require(throws: HarnessError.self) { try resolved([name]) }
        guard case .usage(let text) = error else {
            Issue.record("\(error)")
            return
        }
        #expect(text.contains(message))
    }

    @Test func stepsAreTakenAsOftenAsThePlanSays() throws {
        let plan = try Plan(
            yaml: """
                description: d
                steps:
                  - repeat:
                      times: 2
                      steps: [{plug: 1GiB}, {repeat: {times: 2, steps: [verify]}}, {unplug: last}]
                  - plug: {size: 512MiB, base: 4GiB}
                  - unplug: 1
                  - guest: {hold: last}
                  - wait: 3s
                """)
        var resolved = plan
        resolved.guest.cpu = "POWER8"
        resolved.guest.memory = 512 << 20
        let kernel = URL(filePath: "/boot/vmlinux")
        let guest = try GuestConfiguration(resolved, kernel: kernel, initramfs: kernel)
        // One slot: never more than one DIMM at once. Plugged memory starts at 1 GiB.
        #expect(guest.slotCount == 1)
        #expect(guest.maximumMemoryByteCount == 4 << 30)
        #expect(
            resolved.runSteps(guest, keepsGuest: false).map(\.title) == [
                "boot", "plug 1 GiB", "verify", "verify", "unplug DIMM 1", "plug 1 GiB", "verify", "verify",
                "unplug DIMM 2", "plug 512 MiB at 0x100000000", "unplug DIMM 1", "hold DIMM 3", "wait 3s", "power off",
            ])
        #expect(resolved.runSteps(guest, keepsGuest: true).last?.title == "wait 3s")
    }
}

@Suite struct WaitTests {
    @Test func looksOnceWhenThereIsNoTime() async throws {
        var count = 0
        let value = try await waitUntil(within: .zero) { () -> Int? in
            count += 1
            return nil
        }
        #expect(value == nil)
        #expect(count == 1)
    }

    @Test func givesTheFirstValue() async throws {
        var count = 0
        let value = try await waitUntil(within: .seconds(1000)) { () -> Int? in
            count += 1
            return count == 3 ? 7 : nil
        }
        #expect(value == 7)
        #expect(count == 3)
    }

    @Test func passesErrorsOn() async {
        await #expect(throws: HarnessError.infrastructure("gone")) {
            try await waitUntil(within: .seconds(1000)) { () -> Int? in throw HarnessError.infrastructure("gone") }
        }
    }

    @Test func endsWhenItIsCancelled() async {
        let waiting = Task { try await waitUntil(within: .seconds(1000)) { () -> Int? in nil } }
        waiting.cancel()
        await #expect(throws: CancellationError.self) { try await waiting.value }
    }
}
