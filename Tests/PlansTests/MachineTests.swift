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

    /// Plugs and unplugs in an order that leaves gaps, and where QEMU puts each DIMM.
    static let placements: [(steps: String, places: [ClosedRange<Int>], maximum: Int)] = [
        // In units of 256 MiB; plugged memory starts at 4. The gaps that DIMMs 1 and 3 leave are too small for two.
        (
            "{plug: 256MiB}, {plug: 256MiB}, {plug: 256MiB}, {unplug: 1}, {unplug: 3}, {plug: 512MiB}",
            [4...5, 5...6, 6...7, 6...8], 8
        ),
        (
            "{plug: 256MiB}, {plug: 512MiB}, {plug: 256MiB}, {unplug: 2}, {plug: 256MiB}, {plug: 512MiB}, {plug: 256MiB}",
            [4...5, 5...7, 7...8, 5...6, 8...10, 6...7], 10
        ),
        // A DIMM with a place of its own is passed over, before it or behind.
        ("{plug: {size: 256MiB, base: 1280MiB}}, {plug: 512MiB}, {plug: 256MiB}", [5...6, 6...8, 4...5], 8),
        ("{plug: {size: 1GiB, base: 8GiB}}, {plug: 7GiB}, {plug: 256MiB}", [32...36, 4...32, 36...37], 37),
        ("{plug: 1GiB}, {unplug: 1}, {plug: {size: 1GiB, base: 1GiB}}, {plug: 1GiB}", [4...8, 4...8, 8...12], 12),
        // What is not plugged any more takes nothing with it.
        (
            "{plug: 256MiB}, {unplug: 1}, {unplug: 1}, {plug: 256MiB}, {unplug: 1}, {plug: 256MiB}",
            [4...5, 4...5, 5...6], 6
        ),
    ]

    @Test(arguments: placements.indices)
    func placesDIMMsAsQEMUDoes(index: Int) throws {
        let (steps, places, maximum) = Self.placements[index]
        let unit: UInt64 = 256 << 20
        let plan = try Plan(yaml: "description: d\nguest: {memory: 1GiB}\nsteps: [\(steps)]\n")
        let machine = try Plan.Machine(for: plan)
        #expect(machine.places == places.map { UInt64($0.lowerBound) * unit..<UInt64($0.upperBound) * unit })
        // With as much as the plan needs there is room, with less there is none.
        #expect(machine.maximumMemory == UInt64(maximum) * unit)
        var settled = plan
        settled.guest.maximumMemory = machine.maximumMemory
        #expect(try Plan.Machine(for: settled) == machine)
        settled.guest.maximumMemory = machine.maximumMemory - unit
        #expect(throws: Plan.Machine.Impossible.self) { try Plan.Machine(for: settled) }
    }

    /// A plan need not come from a text that was held to any limit.
    @Test(
        arguments: [
            (1 << 30, UInt64.max, nil), (UInt64.max, 1 << 30, nil), (1 << 30, 1 << 30, UInt64.max),
            (8 << 40, 256 << 20, nil), (1 << 30, 0, nil),
        ] as [(UInt64, UInt64, UInt64?)])
    func refusesAnySize(memory: UInt64, size: UInt64, base: UInt64?) throws {
        var plan = Plan(description: "d", steps: [.plug(size: size, node: nil, base: base)])
        plan.guest.memory = memory
        let refusal = try #require(throws: Plan.Machine.Impossible.self) { try Plan.Machine(for: plan) }
        #expect(refusal.message == "boot memory and plugs add up to more than 8 TiB, the limit here")
    }

    @Test func refusesAnyCount() throws {
        var plan = Plan(
            description: "d",
            steps: [.repeat(times: .min, steps: [.verify]), .unplug(.number(.min)), .unplug(.number(.max))])
        plan.guest.memory = 1 << 30
        for count in [Int.min, 0, .max] {
            plan.guest.numaNodes = count
            plan.guest.slots = count
            _ = try? Plan.Machine(for: plan)
        }
        plan.guest.numaNodes = .max
        #expect(throws: Plan.Machine.Impossible.self) { try Plan.Machine(for: plan) }
    }
}
