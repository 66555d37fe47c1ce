// SPDX-License-Identifier: Apache-2.0

import HarnessBasics
package import Plans

/// What a history is taken in: a kernel, by file or name, and a CPU model.
package struct Subject: Hashable, Sendable, CustomStringConvertible {
    /// As a plan names it.
    package let kernel: String
    /// As a plan names it.
    package let cpu: String

    /// Names both.
    package init(kernel: String, cpu: String) {
        self.kernel = kernel
        self.cpu = cpu
    }

    package var description: String { "\(kernel), \(cpu)" }

    /// Whether its kernels use the radix MMU unless they are told otherwise.
    var isRadix: Bool { cpu != "POWER8" }
}

/// Makes histories of memory that comes and goes, each of them a plan: the same for the same seed and number, everywhere.
///
/// Every change is followed by a verification. What a kernel may refuse is allowed and not expected; and what one step
/// makes uncertain (was the DIMM given up, or not?) no later step relies on.
package struct HistoryGenerator: Sendable {
    /// What all numbers are drawn from.
    package let seed: UInt64
    /// What histories are taken in, one after another.
    package let subjects: [Subject]
    /// How many changes a history has.
    package let changeCount: Int
    /// Whether guests run out of the memory that their kernels need for a plug.
    package let hasAllocationFailures: Bool

    /// The most changes: a history is a plan, and has up to three steps for each of them.
    package static let changeLimit = 300

    /// Makes histories of `changeCount` changes in `subjects`, of which there is at least one.
    package init(seed: UInt64, subjects: [Subject], changeCount: Int, hasAllocationFailures: Bool) {
        self.seed = seed
        self.subjects = subjects
        self.changeCount = min(max(changeCount, 1), Self.changeLimit)
        self.hasAllocationFailures = hasAllocationFailures
    }

    /// What a history is taken in; they count from 1.
    package func subject(of number: Int) -> Subject {
        subjects[(number - 1) % subjects.count]
    }

    /// A history; they count from 1.
    package func plan(number: Int) -> Plan {
        // Numbers that lie side by side are to have nothing in common.
        var seeds = SeededGenerator(seed: seed)
        seeds = SeededGenerator(seed: seeds.next() ^ UInt64(number) &* 0xd134_2543_de82_ef95)
        var draw = Draw(seed: seeds.next())
        let subject = subject(of: number)
        let guest = guest(of: subject, &draw)
        var history = History(in: guest, isStarved: hasAllocationFailures, draw)
        for _ in 0..<changeCount { history.change() }
        return Plan(
            description: "History \(number) of seed \(seed).", guest: guest, steps: history.steps)
    }

    private func guest(of subject: Subject, _ draw: inout Draw) -> Plan.Guest {
        var guest = Plan.Guest()
        guest.cpu = subject.cpu
        guest.kernel = subject.kernel
        guest.memory = draw.isTrue(oneIn: 3) && !hasAllocationFailures ? 512 << 20 : 1 << 30
        guest.maximumMemory = 1 << 30 + HistoryRoom.byteCount
        guest.slots = PlanLimits.slots
        guest.vcpus = draw.number(in: 1...3)
        guest.numaNodes = draw.isTrue(oneIn: 3) ? 2 : nil
        if !subject.isRadix, draw.isTrue(oneIn: 5) { guest.hptPageSize = 16 << 20 }
        guest.append = append(of: subject, &draw)
        return guest
    }

    /// What the kernel is told.
    private func append(of subject: Subject, _ draw: inout Draw) -> String? {
        guard !hasAllocationFailures else {
            // What the kernel allocates for itself comes from so much, and of that to the last page.
            let byteCount = [192, 256, 256, 320][draw.number(in: 0...3)]
            return "kernelcore=\(byteCount)M memhp_default_state=online_movable sysctl.vm.watermark_boost_factor=0"
        }
        var words: [String] = []
        if draw.isTrue(oneIn: 2) { words.append("memhp_default_state=online_movable") }
        if subject.isRadix {
            if draw.isTrue(oneIn: 6) {
                words.append("disable_radix")
            } else if draw.isTrue(oneIn: 4) {
                words.append("memory_hotplug.memmap_on_memory=force")
            }
        }
        return words.isEmpty ? nil : words.joined(separator: " ")
    }
}

/// Draws from a row of numbers, in a way that no release of a library changes.
struct Draw {
    private var numbers: SeededGenerator

    init(seed: UInt64) {
        numbers = SeededGenerator(seed: seed)
    }

    mutating func number(in range: ClosedRange<Int>) -> Int {
        range.lowerBound + Int(numbers.next() % UInt64(range.count))
    }

    /// True once in so many times.
    mutating func isTrue(oneIn count: Int) -> Bool { number(in: 1...count) == 1 }

    /// One of them; nil when there is none.
    mutating func one<Value>(of values: [Value]) -> Value? {
        values.isEmpty ? nil : values[number(in: 0...values.count - 1)]
    }

    /// One of them, each as often as its weight says; nil when none has any.
    mutating func one<Value>(of values: [Value], weights: [Int]) -> Value? {
        let sum = weights.reduce(0, +)
        guard sum > 0 else { return nil }
        var place = number(in: 0...sum - 1)
        for (value, weight) in zip(values, weights) {
            if place < weight { return value }
            place -= weight
        }
        return nil
    }
}
