// SPDX-License-Identifier: Apache-2.0

import Plans
import Testing

@Suite struct MachineTests {
    /// A plan's guest and steps, and the machine that it needs.
    struct Example: Sendable {
        let guest: String
        let steps: String
        let maximumMemory: UInt64
        let slots: Int
    }

    @Test(arguments: [
        Example(guest: "{memory: 1GiB}", steps: "verify", maximumMemory: 1 << 30, slots: 1),
        Example(guest: "{memory: 8TiB}", steps: "verify", maximumMemory: 8 << 40, slots: 1),
        Example(guest: "{memory: 1GiB}", steps: "plug: 1GiB}, {plug: 2GiB", maximumMemory: 4 << 30, slots: 2),
        Example(
            guest: "{memory: 1GiB}", steps: "repeat: {times: 32, steps: [{plug: 256MiB}]}", maximumMemory: 9 << 30,
            slots: 32),
        Example(
            guest: "{memory: 1GiB}", steps: "repeat: {times: 99, steps: [{plug: 1GiB}, {unplug: last}]}",
            maximumMemory: 2 << 30, slots: 1),
        Example(
            guest: "{memory: 512MiB, maximum-memory: 8GiB, slots: 4}", steps: "plug: 1GiB", maximumMemory: 8 << 30,
            slots: 4),
        // Plugged memory starts at 1 GiB, whatever the boot memory's end.
        Example(
            guest: "{memory: 512MiB}", steps: "plug: {size: 1GiB, base: 3GiB}", maximumMemory: 3584 << 20, slots: 1),
        Example(
            guest: "{memory: 512MiB}", steps: "plug: {size: 1GiB, base: 1GiB}", maximumMemory: 1536 << 20, slots: 1),
        Example(
            guest: "{memory: 1GiB, maximum-memory: 5GiB}", steps: "plug: {size: 1GiB, base: 4GiB}",
            maximumMemory: 5 << 30, slots: 1),
        // Beside each other, and one after the other in the same place.
        Example(
            guest: "{memory: 1GiB}", steps: "plug: {size: 1GiB, base: 1GiB}}, {plug: {size: 1GiB, base: 2GiB}",
            maximumMemory: 3 << 30, slots: 2),
        Example(
            guest: "{memory: 1GiB}",
            steps: "plug: {size: 1GiB, base: 2GiB}}, {unplug: 1}, {plug: {size: 1GiB, base: 2GiB}",
            maximumMemory: 3 << 30, slots: 1),
    ])
    func makesRoom(example: Example) throws {
        let steps = example.steps == "verify" ? "verify" : "{\(example.steps)}"
        let plan = try Plan(yaml: "description: d\nguest: \(example.guest)\nsteps: [\(steps)]\n")
        let machine = try Plan.Machine(for: plan)
        #expect(machine.maximumMemory == example.maximumMemory)
        #expect(machine.slots == example.slots)
    }

    /// A plan need not come from a text that was held to any limit.
    @Test(
        arguments: [
            (1 << 30, UInt64.max, nil), (UInt64.max, 1 << 30, nil), (1 << 30, 1 << 30, UInt64.max),
            (8 << 40, 256 << 20, nil),
        ] as [(UInt64, UInt64, UInt64?)])
    func refusesAnySize(memory: UInt64, size: UInt64, base: UInt64?) throws {
        var plan = Plan(description: "d", steps: [.plug(size: size, node: nil, base: base)])
        plan.guest.memory = memory
        let refusal = try #require(throws: Plan.Machine.Impossible.self) { try Plan.Machine(for: plan) }
        #expect(refusal.message == "boot memory and plugs add up to more than 8 TiB, the limit here")
    }
}
