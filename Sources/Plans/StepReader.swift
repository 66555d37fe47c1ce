// SPDX-License-Identifier: Apache-2.0

import HarnessBasics
import Verification
import Yams

/// Reads steps, and numbers the DIMMs that they plug.
struct StepReader {
    private var numbers = DIMMNumbers()
    private var stepCount = 0
    /// The step before that an expectation can be about; nil where there is none.
    private var subject: Plan.Step?

    /// Whether a step needs a reservation for a crash kernel.
    private(set) var needsCrashKernel = false
    /// Whether the guest's kernel is dead by now.
    private var hasCrashed = false
    /// Whether a load is on.
    private var isLoaded = false

    /// Reads a list of steps that are taken so many times.
    mutating func steps(
        _ node: Node, _ name: String, repeatDepth: Int, times: Int
    ) throws(PlanProblem) -> [Plan.Step] {
        let elements = try node.elements(name)
        var steps: [Plan.Step] = []
        // Every time is gone through: which DIMMs there are is known only then.
        for time in 0..<times {
            for element in elements {
                stepCount += 1
                guard stepCount <= PlanLimits.stepCount else {
                    throw PlanProblem(element, "more than \(PlanLimits.stepCount) steps are to be taken")
                }
                let step = try self.step(element, repeatDepth: repeatDepth)
                if time == 0 { steps.append(step) }
            }
        }
        return steps
    }

    private static let keys = ["plug", "unplug", "wait", "guest", "crash", "dump", "expect", "repeat"]

    private mutating func step(_ node: Node, repeatDepth: Int) throws(PlanProblem) -> Plan.Step {
        if case .scalar = node {
            let word = try node.word("step", of: ["verify", "reboot", "load-crash-kernel", "crash"])
            try checkAlive(node, word)
            switch word {
            case "reboot":
                isLoaded = false
                return note(.reboot)
            case "load-crash-kernel":
                needsCrashKernel = true
                return note(.loadCrashKernel)
            case "crash": return crash(inPlug: nil)
            default: return note(.verify)
            }
        }
        var fields = try PlanFields(node, "a step")
        let (key, word, value) = try fields.takeOnly()
        if word != "expect", word != "dump" { try checkAlive(key, word) }
        switch word {
        case "plug": return note(try plug(value))
        case "unplug":
            let dimm = try dimm(value, "unplug")
            numbers.unplug(dimm)
            return note(.unplug(dimm))
        case "verify":
            var fields = try PlanFields(value, "verify")
            let which = try fields.need("struct-pages").word("struct-pages", of: ["sample", "all"])
            try fields.end(known: ["struct-pages"])
            return note(which == "all" ? .verifyAllStructPages : .verify)
        case "wait":
            let wait = try wait(value)
            // Time shows nothing; an unplug that has settled does.
            subject = wait == .settled ? .wait(wait) : nil
            return .wait(wait)
        case "guest": return note(.guest(try action(value)))
        case "crash":
            var fields = try PlanFields(value, "crash")
            let size = try fields.need("in-plug").memorySize("in-plug")
            try fields.end(known: ["in-plug"])
            numbers.plug()
            return crash(inPlug: size)
        case "dump":
            guard hasCrashed else { throw PlanProblem(key, "dump has no crash before it to take a dump of") }
            let tool = try value.word("dump", of: Plan.DumpTool.allCases.map(\.rawValue))
            return note(.dump(Plan.DumpTool(rawValue: tool) ?? .makedumpfile))
        case "expect":
            guard let subject else {
                throw PlanProblem(key, "expect has no step before it to look at; a wait for a time is not one")
            }
            let expectation = try Plan.Expectation(value)
            if expectation.dump != nil {
                guard case .dump = subject else {
                    throw PlanProblem(value, "expect has dump, and the step before it takes none")
                }
            }
            return .expect(expectation)
        case "repeat": return try repetition(value, depth: repeatDepth + 1)
        default:
            throw PlanProblem(
                key,
                "no step '\(word.prefix(80))'; there are verify, reboot, load-crash-kernel, "
                    + "\(Self.keys.joined(separator: ", "))")
        }
    }

    private mutating func crash(inPlug size: UInt64?) -> Plan.Step {
        (needsCrashKernel, hasCrashed) = (true, true)
        return note(.crash(inPlug: size))
    }

    /// Of a dead kernel there is nothing more to see than what the crash showed.
    private func checkAlive(_ node: Node, _ word: String) throws(PlanProblem) {
        guard hasCrashed else { return }
        throw PlanProblem(node, "\(word.prefix(80)) cannot follow crash; only dump and expect can")
    }

    private mutating func note(_ step: Plan.Step) -> Plan.Step {
        subject = step
        return step
    }

    private mutating func plug(_ node: Node) throws(PlanProblem) -> Plan.Step {
        let size: UInt64
        var nodeNumber: Int?
        var base: UInt64?
        if case .scalar = node {
            size = try node.memorySize("plug")
        } else {
            var fields = try PlanFields(node, "plug")
            if let model = fields.take("model") { try Self.checkModel(model) }
            size = try fields.need("size").memorySize("size")
            nodeNumber = try fields.take("node").map { node throws(PlanProblem) in
                try node.count("node", in: 0...PlanLimits.numaNodes - 1)
            }
            base = try fields.take("base").map { node throws(PlanProblem) in try node.memorySize("base") }
            try fields.end(known: ["size", "node", "base", "model"])
        }
        numbers.plug()
        return .plug(size: size, node: nodeNumber, base: base)
    }

    /// Memory that is no DIMM is named, and refused by its name.
    private static func checkModel(_ node: Node) throws(PlanProblem) {
        let model = try node.word("model")
        guard model != "dimm" else { return }
        if ["nvdimm", "pmem", "papr_scm"].contains(model) {
            throw PlanProblem(
                node, "\(model) is not supported: persistent memory (papr_scm in the guest) has a memory map of its own"
            )
        }
        throw PlanProblem(node, "no model '\(model.prefix(80))'; there is dimm")
    }

    private func dimm(_ node: Node, _ name: String) throws(PlanProblem) -> Plan.DIMM {
        if node.tag == Tag(.str) {
            _ = try node.word(name, of: ["last"])
            guard numbers.number(of: .last) != nil else { throw PlanProblem(node, "no DIMM is plugged here") }
            return .last
        }
        let number = try node.count(name, in: 1...PlanLimits.stepCount)
        guard number <= numbers.count else {
            throw PlanProblem(node, "\(name) \(number): \(numbers.count) DIMMs were plugged so far")
        }
        return .number(number)
    }

    private func wait(_ node: Node) throws(PlanProblem) -> Plan.Wait {
        let text = try node.word("wait")
        if text == "settled" { return .settled }
        guard text.hasSuffix("s"), let seconds = Int(text.dropLast()), text.first?.isNumber == true else {
            throw PlanProblem(node, "wait has to be 'settled', or seconds such as 5s")
        }
        guard 1...PlanLimits.waitSeconds ~= seconds else {
            throw PlanProblem(node, "wait \(seconds)s is outside 1s to \(PlanLimits.waitSeconds)s")
        }
        return .seconds(seconds)
    }

    /// A load, or its end. There is one at a time, and it ends with its kernel.
    private mutating func load(_ node: Node) throws(PlanProblem) -> Plan.Action {
        if node.scalar?.string == "none", node.tag == Tag(.str) {
            guard isLoaded else { throw PlanProblem(node, "no load is on here that could be ended") }
            isLoaded = false
            return .endLoad
        }
        guard case .scalar(let scalar) = node, node.tag == Tag(.str),
            let size = ByteCount(argument: scalar.string)?.value
        else { throw PlanProblem(node, "load has to be none, or a size with its unit, such as 256MiB") }
        guard PlanLimits.loads.contains(size) else {
            throw PlanProblem(
                node,
                "load \(ByteCount(size).text) is outside \(ByteCount(PlanLimits.loads.lowerBound).text) to "
                    + ByteCount(PlanLimits.loads.upperBound).text)
        }
        guard !isLoaded else { throw PlanProblem(node, "a load is on here already; 'load: none' ends it") }
        isLoaded = true
        return .load(size)
    }

    private mutating func action(_ node: Node) throws(PlanProblem) -> Plan.Action {
        if case .scalar = node {
            return try node.word("guest", of: ["release", "correct-hpt-size"]) == "release" ? .release : .correctHPTSize
        }
        var fields = try PlanFields(node, "guest")
        if let path = fields.take("read") {
            let text = try path.word("read")
            guard text.hasPrefix("/") else { throw PlanProblem(path, "read has to be an absolute path") }
            let contains = try fields.take("contains").map { node throws(PlanProblem) in try node.word("contains") }
            try fields.end(known: ["read", "contains"])
            return .read(path: text, contains: contains)
        }
        let (key, word, value) = try fields.takeOnly()
        switch word {
        case "online": return .online(try value.number("online", in: 0...PlanLimits.blockIndex))
        case "offline": return .offline(try value.number("offline", in: 0...PlanLimits.blockIndex))
        case "probe": return .probe(try value.number("probe", in: 0...PlanLimits.blockIndex))
        case "dlpar": return .dlpar(try value.word("dlpar"))
        case "hold": return .hold(try dimm(value, "hold"))
        case "load": return try load(value)
        case "leave-free":
            let size = try value.size("leave-free")
            guard PlanLimits.leftFree.contains(size) else {
                throw PlanProblem(
                    value,
                    "leave-free \(ByteCount(size).text) is outside \(ByteCount(PlanLimits.leftFree.lowerBound).text) to "
                        + ByteCount(PlanLimits.leftFree.upperBound).text)
            }
            return .leaveFree(size)
        default:
            throw PlanProblem(
                key,
                "guest has no key '\(word.prefix(80))'; there are online, offline, probe, dlpar, read, hold, leave-free, "
                    + "load"
            )
        }
    }

    private mutating func repetition(_ node: Node, depth: Int) throws(PlanProblem) -> Plan.Step {
        guard depth <= PlanLimits.repeatDepth else {
            throw PlanProblem(node, "repeat is nested deeper than \(PlanLimits.repeatDepth) times")
        }
        var fields = try PlanFields(node, "repeat")
        let times = try fields.need("times").count("times", in: 1...PlanLimits.repeatTimes)
        let steps = try steps(try fields.need("steps"), "steps of repeat", repeatDepth: depth, times: times)
        try fields.end(known: ["times", "steps"])
        return .repeat(times: times, steps: steps)
    }
}

extension Plan.Expectation {
    fileprivate init(_ node: Node) throws(PlanProblem) {
        self.init()
        var fields = try PlanFields(node, "expect")
        func names(_ key: String) throws(PlanProblem) -> [String]? {
            try fields.take(key).map { node throws(PlanProblem) in
                try node.elements(key).map { element throws(PlanProblem) in
                    let name = try element.word("finding")
                    guard Finding.names.contains(name) else {
                        throw PlanProblem(element, "there is no finding '\(name.prefix(80))'")
                    }
                    return name
                }
            }
        }
        findings = try names("findings")
        allowed = try names("allowed")
        unsaid = try fields.take("unsaid").map { node throws(PlanProblem) in
            try node.elements("unsaid").map { element throws(PlanProblem) in
                let word = try element.word("witness")
                guard let witness = Witness(rawValue: word) else {
                    let known = Witness.allCases.map(\.rawValue).joined(separator: ", ")
                    throw PlanProblem(element, "no witness '\(word.prefix(80))'; there are \(known)")
                }
                return witness
            }
        }
        func count(_ key: String) throws(PlanProblem) -> Int? {
            try fields.take(key).map { node throws(PlanProblem) in try node.count(key, in: 0...1 << 40) }
        }
        func size(_ key: String) throws(PlanProblem) -> UInt64? {
            try fields.take(key).map { node throws(PlanProblem) in try node.size(key) }
        }
        func word(_ key: String, _ words: [String]) throws(PlanProblem) -> String? {
            try fields.take(key).map { node throws(PlanProblem) in try node.word(key, of: words) }
        }
        entries = try count("entries")
        observed = try count("observed")
        sections = try count("sections")
        covered = try count("covered")
        mmu = try word("mmu", ["hash", "radix"])
        pageSize = try size("page-size")
        vmemmapPageSize = try size("vmemmap-page-size")
        unplug = try word("unplug", ["removed", "refused", "silent"])
        altmap = try word("altmap", ["seen", "none"])
        dump = try word("dump", ["complete", "cut-off", "failed"])
        try fields.end(known: Self.keys)
        guard self != Self() else { throw PlanProblem(node, "expect expects nothing") }
    }

    static let keys = [
        "findings", "allowed", "unsaid", "entries", "observed", "sections", "covered", "mmu", "page-size",
        "vmemmap-page-size",
        "unplug", "altmap", "dump",
    ]
}
