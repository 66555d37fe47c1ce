// SPDX-License-Identifier: Apache-2.0

import GuestMemory
import HarnessBasics

extension Plan {
    /// The machine that a plan's guest and its DIMMs need, should every unplug succeed.
    public struct Machine: Equatable, Sendable {
        /// What the guest can grow to, in bytes: boot memory, and addresses for the DIMMs.
        public let maximumMemory: UInt64
        /// Slots for DIMMs.
        public let slots: Int
        /// The most that is plugged at once, in bytes.
        public let mostPluggedMemory: UInt64
        /// Where each DIMM goes, in the order of the plugs: guest physical addresses.
        public let places: [Range<UInt64>]

        /// What no machine can be.
        public struct Impossible: Error, Equatable {
            /// Why, with the value and the limit.
            public let message: String

            fileprivate init(_ message: String) {
                self.message = message
            }

            fileprivate static let tooLarge = Impossible(
                "boot memory and plugs add up to more than \(ByteCount(PlanLimits.memory).text), the limit here")
        }

        /// Holds a plan's guest and its plugs against each other. Where the memory at boot is left to the command line,
        /// they are held against the least that there can be; plugged memory starts at 1 GiB then, as it does with the
        /// default.
        public init(for plan: Plan) throws(Impossible) {
            let guest = plan.guest
            let memory = guest.memory ?? PlanLimits.leastMemory
            guard memory <= PlanLimits.memory else { throw .tooLarge }
            var demand = Demand(bootMemory: memory, maximumMemory: guest.maximumMemory)
            try demand.take(plan.steps)

            guard demand.dimmCount <= guest.slots ?? PlanLimits.slots else {
                throw Impossible(
                    "\(demand.dimmCount) DIMMs are plugged at once; the machine has \(guest.slots ?? PlanLimits.slots) "
                        + "slots")
            }
            let nodeCount = max(guest.numaNodes ?? 1, 1)
            if let node = demand.highestNode, node >= nodeCount {
                throw Impossible("a plug names NUMA node \(node); the guest has \(nodeCount)")
            }
            guard guest.memory == nil || memory / LMB.byteCount % UInt64(nodeCount) == 0 else {
                throw Impossible(
                    "memory \(ByteCount(memory).text) is not to be shared by \(nodeCount) NUMA nodes in multiples of "
                        + "256 MiB")
            }
            guard demand.room <= PlanLimits.memory - memory else { throw .tooLarge }
            if let maximum = guest.maximumMemory, maximum < memory + demand.room {
                throw Impossible(
                    "maximum-memory \(ByteCount(maximum).text) is less than boot memory and plugs need, which is "
                        + ByteCount(memory + demand.room).text + (demand.lack.map { ": \($0)" } ?? ""))
            }
            maximumMemory = guest.maximumMemory ?? memory + demand.room
            slots = guest.slots ?? max(demand.dimmCount, 1)
            mostPluggedMemory = demand.byteCount
            places = demand.places
        }
    }
}

/// The most that steps ask for at once, as QEMU places it.
///
/// A DIMM goes to the lowest place that is free, however far the addresses reach: so they are taken to reach to the limit,
/// and how far they are needed shows.
private struct Demand {
    var dimmCount = 0
    var byteCount: UInt64 = 0
    /// How far DIMMs reach behind where plugged memory starts.
    var room: UInt64 = 0
    var highestNode: Int?
    var places: [Range<UInt64>] = []
    /// The first plug that the given maximum memory has no room for, in words.
    var lack: String?
    private var numbers = DIMMNumbers()
    private var memory: DeviceMemory
    /// What of it the given maximum memory leaves.
    private let given: Range<UInt64>?
    /// The newest step, counted as a run counts them: its first one boots the guest.
    private var stepNumber = 1

    init(bootMemory: UInt64, maximumMemory: UInt64?) {
        memory = DeviceMemory(bootMemory: bootMemory, maximumMemory: bootMemory + 2 * PlanLimits.memory)
        given = maximumMemory.map { DeviceMemory(bootMemory: bootMemory, maximumMemory: $0).range }
    }

    mutating func take(_ steps: [Plan.Step]) throws(Plan.Machine.Impossible) {
        for step in steps {
            if case .repeat(let times, let steps) = step {
                for _ in 0..<max(times, 0) { try take(steps) }
                continue
            }
            stepNumber += 1
            switch step {
            case .plug(let size, let node, let base): try plug(size, node, base)
            case .crash(let size?): try plug(size, nil, nil)
            case .unplug(let dimm):
                if let number = numbers.number(of: dimm), numbers.isPlugged(number) {
                    memory.release(places[number - 1])
                }
                numbers.unplug(dimm)
            default: break
            }
        }
    }

    private mutating func plug(_ size: UInt64, _ node: Int?, _ base: UInt64?) throws(Plan.Machine.Impossible) {
        guard size > 0, size <= PlanLimits.memory, base ?? 0 <= PlanLimits.memory,
            let place = base.map({ $0..<$0 + size }) ?? memory.place(for: size)
        else { throw .tooLarge }
        if base != nil { try check(place) }
        if let given, place.upperBound > given.upperBound, lack == nil { noteLack(of: size, base, in: given) }
        numbers.plug()
        places.append(place)
        memory.take(place)
        dimmCount = max(dimmCount, numbers.pluggedCount)
        byteCount = max(byteCount, memory.taken.reduce(0) { $0 + ($1.upperBound - $1.lowerBound) })
        room = max(room, place.upperBound - memory.range.lowerBound)
        if let node { highestNode = max(highestNode ?? 0, node) }
    }

    /// A place of a DIMM's own is in nothing else.
    private func check(_ place: Range<UInt64>) throws(Plan.Machine.Impossible) {
        let text = "is to lie at \(ByteCount(place.lowerBound).text)"
        guard place.lowerBound >= memory.range.lowerBound else {
            throw Plan.Machine.Impossible(
                "a DIMM \(text); plugged memory starts at " + ByteCount(memory.range.lowerBound).text)
        }
        let other = numbers.plugged.first { places[$0 - 1].overlaps(place) }
        guard let other else { return }
        let taken = places[other - 1]
        throw Plan.Machine.Impossible(
            "DIMM \(numbers.count + 1) \(text), where DIMM \(other) lies (from \(ByteCount(taken.lowerBound).text) to "
                + "\(ByteCount(taken.upperBound).text)) when step \(stepNumber) plugs it")
    }

    private mutating func noteLack(of size: UInt64, _ base: UInt64?, in given: Range<UInt64>) {
        var left = DeviceMemory(range: given)
        for place in memory.taken { left.take(place) }
        lack =
            "step \(stepNumber) plugs \(ByteCount(size).text) as DIMM \(numbers.count + 1)"
            + (base.map { " at \(ByteCount($0).text)" } ?? "") + ", and \(left.largestFreeText)"
    }
}
