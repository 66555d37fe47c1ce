// SPDX-License-Identifier: Apache-2.0

import Verification
import Yams

extension Plan {
    /// Reads a plan's YAML.
    ///
    /// Strict: a key that is not known, a value of another type, a size without unit and whatever goes beyond
    /// ``PlanLimits`` are errors, with the place where they stand.
    public init(yaml text: String) throws(PlanProblem) {
        let root = try PlanDocument.root(of: text)
        var fields = try PlanFields(root, "a plan")
        description = try fields.need("description").word("description")
        guest = try fields.take("guest").map { node throws(PlanProblem) in try Guest(node) } ?? Guest()
        var reader = StepReader()
        steps = try reader.steps(try fields.need("steps"), "steps", repeatDepth: 0, times: 1)
        try fields.end(known: ["description", "guest", "steps"])
        try guest.check(against: reader.peak, plan: root)
    }
}

extension Plan.Guest {
    fileprivate init(_ node: Node) throws(PlanProblem) {
        var fields = try PlanFields(node, "guest")
        cpu = try fields.take("cpu").map { node throws(PlanProblem) in try node.word("cpu", of: PlanLimits.cpus) }
        kernel = try fields.take("kernel").map { node throws(PlanProblem) in try node.word("kernel") }
        memory = try fields.take("memory").map { node throws(PlanProblem) in
            let size = try node.memorySize("memory")
            guard size >= PlanLimits.leastMemory else {
                throw PlanProblem(
                    node, "memory \(ByteCount(size).text) is less than 512 MiB, which the guest needs to boot")
            }
            return size
        }
        maximumMemory = try fields.take("maximum-memory").map { node throws(PlanProblem) in
            try node.memorySize("maximum-memory")
        }
        slots = try fields.take("slots").map { node throws(PlanProblem) in
            try node.count("slots", in: 1...PlanLimits.slots)
        }
        vcpus = try fields.take("vcpus").map { node throws(PlanProblem) in
            try node.count("vcpus", in: 1...PlanLimits.vcpus)
        }
        numaNodes = try fields.take("numa-nodes").map { node throws(PlanProblem) in
            try node.count("numa-nodes", in: 1...PlanLimits.numaNodes)
        }
        hptPageSize = try fields.take("hpt-page-size").map { node throws(PlanProblem) in
            let size = try node.size("hpt-page-size")
            guard PlanLimits.hptPageSizes.contains(size) else {
                let known = PlanLimits.hptPageSizes.map { ByteCount($0).written }.joined(separator: ", ")
                throw PlanProblem(node, "no hpt-page-size \(ByteCount(size).text); there are \(known)")
            }
            return size
        }
        append = try fields.take("append").map { node throws(PlanProblem) in try node.word("append") }
        try fields.end(known: Self.keys)
    }

    static let keys = [
        "cpu", "kernel", "memory", "maximum-memory", "slots", "vcpus", "numa-nodes", "hpt-page-size", "append",
    ]

    /// What of the guest depends on the steps.
    fileprivate func check(against peak: StepReader.Peak, plan: Node) throws(PlanProblem) {
        guard peak.dimmCount <= slots ?? PlanLimits.slots else {
            throw PlanProblem(
                plan, "\(peak.dimmCount) DIMMs are plugged at once; the machine has \(slots ?? PlanLimits.slots) slots")
        }
        if let node = peak.highestNode, node >= numaNodes ?? 1 {
            throw PlanProblem(plan, "a plug names NUMA node \(node); the guest has \(numaNodes ?? 1)")
        }
        if let problem = sizeProblem(plugged: peak.byteCount) { throw PlanProblem(plan, problem) }
    }

    /// What is wrong with the guest's sizes together, nil when nothing is.
    private func sizeProblem(plugged: UInt64) -> String? {
        let memory = memory ?? PlanLimits.leastMemory
        let nodes = UInt64(numaNodes ?? 1)
        if self.memory != nil, memory % (nodes * PlanLimits.lmbByteCount) != 0 {
            return "memory \(ByteCount(memory).text) is not to be shared by \(nodes) NUMA nodes in multiples of 256 MiB"
        }
        if memory + plugged > PlanLimits.memory {
            return "boot memory and plugs add up to more than \(ByteCount(PlanLimits.memory).text), the limit here"
        }
        if let maximumMemory, maximumMemory < memory + plugged {
            return "maximum-memory \(ByteCount(maximumMemory).text) is less than boot memory and plugs, which are "
                + ByteCount(memory + plugged).text
        }
        return nil
    }
}
