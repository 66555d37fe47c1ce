// SPDX-License-Identifier: Apache-2.0

import GuestMemory
import HarnessBasics
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
        guard guest.crashKernel != nil || !reader.needsCrashKernel else {
            throw PlanProblem(root, "load-crash-kernel and crash need 'crash-kernel' of the guest, a size")
        }
        if !dumpTools.isEmpty {
            guest.dumpArea = guest.dumpArea ?? PlanLimits.dumpArea
        } else if guest.dumpArea != nil {
            throw PlanProblem(root, "the guest has 'dump-area', and no step takes a dump")
        }
        do throws(Machine.Impossible) {
            _ = try Machine(for: self)
        } catch {
            throw PlanProblem(root, error.message)
        }
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
        hptResizing = try fields.take("hpt-resizing").map { node throws(PlanProblem) in
            try node.onOrOff("hpt-resizing")
        }
        crashKernel = try fields.take("crash-kernel").map { node throws(PlanProblem) in
            let size = try node.size("crash-kernel")
            guard size >= PlanLimits.leastCrashKernel, size <= 4 << 30, size % (1 << 20) == 0 else {
                throw PlanProblem(
                    node,
                    "crash-kernel \(ByteCount(size).text) is no number of MiB from "
                        + "\(ByteCount(PlanLimits.leastCrashKernel).text) to 4 GiB")
            }
            return size
        }
        dumpArea = try fields.take("dump-area").map { node throws(PlanProblem) in
            let size = try node.size("dump-area")
            guard PlanLimits.dumpAreas.contains(size), size.isPowerOfTwo else {
                throw PlanProblem(node, "dump-area \(ByteCount(size).text) is no power of two from 1 MiB to 4 GiB")
            }
            return size
        }
        append = try fields.take("append").map { node throws(PlanProblem) in try node.word("append") }
        try fields.end(known: Self.keys)
    }

    static let keys = [
        "cpu", "kernel", "memory", "maximum-memory", "slots", "vcpus", "numa-nodes", "hpt-page-size", "hpt-resizing",
        "crash-kernel", "dump-area", "append",
    ]
}
