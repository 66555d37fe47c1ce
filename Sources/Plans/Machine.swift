// SPDX-License-Identifier: Apache-2.0

extension Plan {
    /// The machine that a plan's guest and its DIMMs need, should every unplug succeed.
    public struct Machine: Equatable, Sendable {
        /// What the guest can grow to, in bytes: boot memory, and room for the DIMMs.
        public let maximumMemory: UInt64
        /// Slots for DIMMs.
        public let slots: Int

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

        /// `SPAPR_DEVICE_MEM_ALIGN`: plugged memory starts at the first multiple of this behind the boot memory.
        private static let deviceMemoryAlignment: UInt64 = 1 << 30

        /// Holds a plan's guest and its plugs against each other. Where the memory at boot is left to the command line,
        /// they are held against the least that there can be.
        public init(for plan: Plan) throws(Impossible) {
            let guest = plan.guest
            let memory = guest.memory ?? PlanLimits.leastMemory
            guard memory <= PlanLimits.memory else { throw .tooLarge }
            let alignment = Self.deviceMemoryAlignment
            var demand = Demand(deviceMemoryStart: (memory + alignment - 1) / alignment * alignment)
            try demand.take(plan.steps)

            guard demand.dimmCount <= guest.slots ?? PlanLimits.slots else {
                throw Impossible(
                    "\(demand.dimmCount) DIMMs are plugged at once; the machine has \(guest.slots ?? PlanLimits.slots) "
                        + "slots")
            }
            let nodeCount = guest.numaNodes ?? 1
            if let node = demand.highestNode, node >= nodeCount {
                throw Impossible("a plug names NUMA node \(node); the guest has \(nodeCount)")
            }
            guard guest.memory == nil || memory / PlanLimits.lmbByteCount % UInt64(nodeCount) == 0 else {
                throw Impossible(
                    "memory \(ByteCount(memory).text) is not to be shared by \(nodeCount) NUMA nodes in multiples of "
                        + "256 MiB")
            }
            // How far placed DIMMs reach beyond the room that there is depends on where they start.
            let room = guest.memory == nil ? demand.byteCount : max(demand.byteCount, demand.reach)
            guard room <= PlanLimits.memory - memory else { throw .tooLarge }
            if let maximum = guest.maximumMemory, maximum < memory + room {
                throw Impossible(
                    "maximum-memory \(ByteCount(maximum).text) is less than boot memory and plugs need, which is "
                        + ByteCount(memory + room).text)
            }
            maximumMemory = guest.maximumMemory ?? memory + room
            slots = guest.slots ?? max(demand.dimmCount, 1)
        }
    }
}

/// The most that steps ask for at once.
private struct Demand {
    let deviceMemoryStart: UInt64
    var dimmCount = 0
    var byteCount: UInt64 = 0
    /// How far DIMMs reach that have a place of their own, behind where plugged memory starts.
    var reach: UInt64 = 0
    var highestNode: Int?
    private var books = DIMMBooks()

    init(deviceMemoryStart: UInt64) {
        self.deviceMemoryStart = deviceMemoryStart
    }

    mutating func take(_ steps: [Plan.Step]) throws(Plan.Machine.Impossible) {
        for step in steps {
            switch step {
            case .plug(let size, let node, let base): try plug(size, node, base)
            case .unplug(let dimm): books.unplug(dimm)
            case .repeat(let times, let steps): for _ in 0..<times { try take(steps) }
            default: break
            }
        }
    }

    private mutating func plug(_ size: UInt64, _ node: Int?, _ base: UInt64?) throws(Plan.Machine.Impossible) {
        guard size <= PlanLimits.memory, base ?? 0 <= PlanLimits.memory else { throw .tooLarge }
        if let base {
            guard base >= deviceMemoryStart else {
                throw Plan.Machine.Impossible(
                    "a DIMM is to lie at \(ByteCount(base).text); plugged memory starts at "
                        + ByteCount(deviceMemoryStart).text)
            }
            if let other = books.number(overlapping: base..<base + size) {
                throw Plan.Machine.Impossible(
                    "DIMM \(books.count + 1) is to lie at \(ByteCount(base).text), where DIMM \(other) lies")
            }
            reach = max(reach, base + size - deviceMemoryStart)
        }
        books.plug(size, at: base)
        dimmCount = max(dimmCount, books.pluggedCount)
        byteCount = max(byteCount, books.pluggedByteCount)
        if let node { highestNode = max(highestNode ?? 0, node) }
    }
}
