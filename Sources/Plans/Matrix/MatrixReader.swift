// SPDX-License-Identifier: Apache-2.0

import Yams

extension MatrixAxes {
    /// Reads a matrix's YAML: `kernels`, `cpus` and `plans`, each a list of texts, and `exclude`, a list of what has a
    /// `plan`, a `kernel` or a `cpu`. What it leaves out is empty. Strict, as a plan is.
    public init(yaml text: String) throws(PlanProblem) {
        let root = try PlanDocument.root(of: text)
        var fields = try PlanFields(root, "a matrix")
        self.init(
            plans: try Self.words(fields.take("plans"), "plans"),
            kernels: try Self.words(fields.take("kernels"), "kernels"),
            cpus: try Self.words(fields.take("cpus"), "cpus", of: PlanLimits.cpus))
        for node in try fields.take("exclude")?.elements("exclude") ?? [] {
            exclude.append(try Exclusion(node))
        }
        try fields.end(known: ["plans", "kernels", "cpus", "exclude"])
    }

    private static func words(_ node: Node?, _ name: String, of known: [String]? = nil) throws(PlanProblem) -> [String]
    {
        var words: [String] = []
        for element in try node?.elements(name) ?? [] {
            if let known {
                words.append(try element.word(name, of: known))
            } else {
                words.append(try element.word(name))
            }
        }
        return words
    }
}

extension MatrixAxes.Exclusion {
    fileprivate init(_ node: Node) throws(PlanProblem) {
        var fields = try PlanFields(node, "an exclusion")
        func word(_ key: String) throws(PlanProblem) -> String? {
            guard let node = fields.take(key) else { return nil }
            return try node.word(key)
        }
        self.init(plan: try word("plan"), kernel: try word("kernel"), cpu: try word("cpu"))
        try fields.end(known: ["plan", "kernel", "cpu"])
        guard plan != nil || kernel != nil || cpu != nil else { throw PlanProblem(node, "an exclusion names nothing") }
    }
}
