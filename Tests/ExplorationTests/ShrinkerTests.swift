// SPDX-License-Identifier: Apache-2.0

import Plans
import Testing

@testable import Exploration

@Suite struct ShrinkerTests {
    /// A plan in which something goes wrong, and what is left of it.
    struct Case: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let steps: String
        /// Whether a plan fails.
        let fails: @Sendable (Plan) -> Bool
        let smallest: String

        init(_ name: String, _ steps: String, _ smallest: String, fails: @escaping @Sendable (Plan) -> Bool) {
            testDescription = name
            self.steps = steps
            self.fails = fails
            self.smallest = smallest
        }
    }

    private static func plan(_ steps: String, guest: String = "{cpu: POWER8, memory: 1GiB}") throws -> Plan {
        try Plan(yaml: "description: d\nguest: \(guest)\nsteps: \(steps)\n")
    }

    /// Takes a plan to its end.
    private static func shrunk(
        _ plan: Plan, failedStep: Int? = nil, tryLimit: Int = 500, fails: (Plan) -> Bool
    ) throws -> Shrinker {
        var shrinker = Shrinker(plan, failedStep: failedStep, tryLimit: tryLimit)
        while let candidate = shrinker.next() {
            // Each of them is a plan that a run takes.
            #expect(try Plan(yaml: candidate.yaml()) == candidate)
            shrinker.take(hasFailed: fails(candidate))
        }
        #expect(shrinker.tryCount <= tryLimit)
        return shrinker
    }

    private static let long =
        "[verify, {plug: 1GiB}, verify, {plug: {size: 2GiB, node: 0, base: 8GiB}}, verify, {guest: {hold: 2}}, "
        + "{expect: {allowed: [guest-refused]}}, verify, {unplug: 1}, verify, reboot, verify, {plug: 512MiB}, verify, "
        + "{unplug: last}, {expect: {allowed: [plan-unmet]}}, verify, {guest: release}, verify]"

    static let cases = [
        Case("one step", long, "[reboot]") { $0.steps.contains(.reboot) },
        Case(
            "a step and what is expected of it", long,
            "[{plug: 256MiB}, {guest: {hold: 1}}, {expect: {allowed: [guest-refused]}}]"
        ) {
            $0.steps.contains { if case .guest(.hold) = $0 { true } else { false } }
        },
        Case("the order of two steps", long, "[{plug: 256MiB}, {unplug: 1}, reboot]") { plan in
            guard let reboot = plan.steps.firstIndex(of: .reboot) else { return false }
            return plan.steps[..<reboot].contains { if case .unplug = $0 { true } else { false } }
        },
        Case(
            "two steps, far apart", long,
            "[{plug: 256MiB}, {guest: {hold: 1}}, {expect: {allowed: [guest-refused]}}, {guest: release}]"
        ) { plan in
            plan.steps.contains { if case .guest(.hold) = $0 { true } else { false } }
                && plan.steps.contains(.guest(.release))
        },
        Case("so much memory", long, "[{plug: 256MiB}, {plug: 1536MiB}]") { plan in
            let sizes = plan.steps.map { if case .plug(let size, _, _) = $0 { size } else { UInt64(0) } }
            return sizes.count { $0 > 0 } > 1 && sizes.reduce(0, +) >= 1792 << 20
        },
        Case("a DIMM of its own place", long, "[{plug: {size: 256MiB, base: 8GiB}}]") { plan in
            plan.steps.contains { if case .plug(_, _, .some) = $0 { true } else { false } }
        },
        Case(
            "a plan with repeat",
            "[verify, {repeat: {times: 4, steps: [{plug: 1GiB}, verify, {unplug: last}]}}, verify]",
            "[{plug: 256MiB}, {unplug: 1}, {plug: 256MiB}]"
        ) { plan in
            let steps = plan.flattened.steps
            guard let unplug = steps.firstIndex(where: { if case .unplug = $0 { true } else { false } }) else {
                return false
            }
            return steps[unplug...].contains { if case .plug = $0 { true } else { false } }
        },
        Case(
            "a load, and what is about it",
            "[verify, {guest: {load: 64MiB}}, verify, {guest: {load: none}}, {guest: {load: 32MiB}}, reboot, verify]",
            "[{guest: {load: 32MiB}}, reboot]"
        ) { plan in
            guard let load = plan.steps.firstIndex(of: .guest(.load(32 << 20))) else { return false }
            return plan.steps[load...].contains(.reboot)
        },
        Case("steps of which one goes once another has", "[{wait: settled}, verify, reboot]", "[reboot]") { plan in
            plan.steps.contains(.reboot) && (!plan.steps.contains(.verify) || plan.steps.contains(.wait(.settled)))
        },
    ]

    @Test(arguments: cases) func makesPlansSmall(of testCase: Case) throws {
        let plan = try Self.plan(testCase.steps)
        try #require(testCase.fails(plan))
        let shrinker = try Self.shrunk(plan, fails: testCase.fails)
        #expect(shrinker.plan.steps == (try Self.plan(testCase.smallest)).steps)
        #expect(shrinker.isThrough && shrinker.isReliable && !shrinker.hasVanished)
        #expect(testCase.fails(shrinker.plan))
    }

    @Test func makesTheGuestPlain() throws {
        let plan = try Self.plan(
            "[{plug: {size: 2GiB, node: 1}}, verify]",
            guest: "{cpu: POWER8, memory: 1GiB, vcpus: 4, numa-nodes: 2, hpt-page-size: 16MiB, append: quiet, "
                + "maximum-memory: 16GiB, slots: 32}")
        let shrinker = try Self.shrunk(plan) { $0.guest.append == "quiet" }
        var guest = Plan.Guest()
        (guest.cpu, guest.memory, guest.vcpus, guest.append) = ("POWER8", 1 << 30, 1, "quiet")
        #expect(shrinker.plan.guest == guest)
        #expect(shrinker.plan.steps.count == 1)
    }

    /// What comes behind the failure goes at once, and what is about a DIMM that does not come any more goes with it.
    @Test func whatCameLaterGoesFirst() throws {
        let plan = try Self.plan(Self.long)
        var shrinker = Shrinker(plan, failedStep: 7, tryLimit: 10)
        #expect(shrinker.next()?.steps == Array(plan.steps[..<7]))
        shrinker.take(hasFailed: true)
        let second = shrinker.next()
        // The first half of the pieces goes, the plug of what is held among them.
        #expect(
            second?.steps == [
                .plug(size: 2 << 30, node: 0, base: 8 << 30), .verify, .guest(.hold(.number(1))), plan.steps[6],
            ])
    }

    @Test func aFailureThatVanishesIsToldSo() throws {
        let plan = try Self.plan(Self.long)
        let shrinker = try Self.shrunk(plan) { _ in false }
        #expect(shrinker.hasVanished && !shrinker.isReliable)
        #expect(shrinker.replays.count == 3 && shrinker.replays.failureCount == 0)
        #expect(shrinker.plan == plan.flattened && shrinker.tryCount == 3)
    }

    @Test func aFailureMayBeTriedAnewOnce() throws {
        let plan = try Self.plan(Self.long)
        var shrinker = Shrinker(plan, tryLimit: 10, replayLimit: 1)
        #expect(shrinker.next() == plan.flattened)
        shrinker.take(hasFailed: false)
        #expect(shrinker.next() == nil && shrinker.hasVanished && shrinker.tryCount == 1)
    }

    /// A failure that comes each second time is made smaller all the same, each plan being tried several times.
    @Test func aFailureThatComesAtTimesIsMadeSmaller() throws {
        var count = 0
        let shrinker = try Self.shrunk(Self.plan(Self.long)) { plan in
            count += 1
            return count % 2 == 0 && plan.steps.contains(.reboot)
        }
        #expect(shrinker.replays.count == 3 && shrinker.replays.failureCount == 1)
        #expect(!shrinker.isReliable && !shrinker.hasVanished)
        #expect(shrinker.plan.steps == [.reboot])
    }

    @Test(arguments: [0, 1, 2, 5, 20]) func triesAreBounded(limit: Int) throws {
        let plan = try Self.plan(Self.long)
        let shrinker = try Self.shrunk(plan, tryLimit: limit) { $0.steps.contains(.reboot) }
        #expect(shrinker.tryCount == min(limit, shrinker.tryCount))
        #expect(shrinker.isThrough == (shrinker.tryCount < limit))
        #expect(shrinker.plan.steps.contains(.reboot))
        // Nothing was tried, so nothing has vanished.
        #expect(!shrinker.hasVanished)
    }
}
