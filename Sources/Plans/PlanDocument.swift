// SPDX-License-Identifier: Apache-2.0

import Yams

/// A plan's YAML as a tree: one document of bounded size and depth, without anchors, aliases or tags.
enum PlanDocument {
    /// How many `*` may stand before a letter, a digit, `-` or `_`, wherever in the text. Aliases begin like that, and a
    /// parser resolves them before anybody can refuse them: so few cannot make it busy. What is a comment or in quotes
    /// only a parser knows.
    private static let aliasLimit = 16

    static func root(of text: String) throws(PlanProblem) -> Node {
        try checkText(text)
        let parser: Parser
        let root: Node?
        do {
            parser = try Parser(yaml: text)
            root = try parser.singleRoot()
        } catch {
            throw problem(error)
        }
        guard let root else { throw PlanProblem(line: 1, column: 1, "the plan is empty") }
        // Nodes know their anchors only as long as the parser lives.
        defer { withExtendedLifetime(parser) {} }
        try check(root, depth: 1)
        return root
    }

    private static func checkText(_ text: String) throws(PlanProblem) {
        guard text.utf8.count <= PlanLimits.textByteCount else {
            throw PlanProblem(
                line: 1, column: 1,
                "the plan has \(text.utf8.count) bytes; \(PlanLimits.textByteCount) are the most that it can have")
        }
        var (line, aliasCount, isBehindAsterisk) = (1, 0, false)
        for byte in text.utf8 {
            if isBehindAsterisk, isInAliases(byte) { aliasCount += 1 }
            guard aliasCount <= aliasLimit else {
                throw PlanProblem(
                    line: line, column: 1, "more than \(aliasLimit) words begin with an asterisk; aliases are refused")
            }
            isBehindAsterisk = byte == UInt8(ascii: "*")
            if byte == UInt8(ascii: "\n") { line += 1 }
        }
    }

    private static func isInAliases(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"):
            true
        default: false
        }
    }

    private static func check(_ node: Node, depth: Int) throws(PlanProblem) {
        guard depth <= PlanLimits.depth else {
            throw PlanProblem(node, "nested deeper than \(PlanLimits.depth) levels")
        }
        // An alias can only lead to an anchor.
        guard node.anchor == nil else { throw PlanProblem(node, "anchors and aliases are refused") }
        switch node {
        case .scalar(let scalar):
            guard scalar.tag.isPlain else { throw PlanProblem(node, "tags are refused") }
        case .sequence(let sequence):
            guard sequence.tag.isPlain else { throw PlanProblem(node, "tags are refused") }
            for element in sequence { try check(element, depth: depth + 1) }
        case .mapping(let mapping):
            guard mapping.tag.isPlain else { throw PlanProblem(node, "tags are refused") }
            for (key, value) in mapping {
                guard case .scalar = key else { throw PlanProblem(key, "a key has to be a word") }
                try check(key, depth: depth + 1)
                try check(value, depth: depth + 1)
            }
        case .alias:
            throw PlanProblem(node, "anchors and aliases are refused")
        }
    }

    private static func problem(_ error: any Error) -> PlanProblem {
        switch error as? YamlError {
        case .scanner(let context, let problem, let mark, _), .parser(let context, let problem, let mark, _),
            .composer(let context, let problem, let mark, _):
            let prefix = context.map { "\($0.text), " } ?? ""
            return PlanProblem(line: mark.line, column: mark.column, "\(prefix)\(problem)")
        case .duplicatedKeysInMapping(let duplicates, let context):
            let keys = duplicates.map { "'\($0)'" }.joined(separator: ", ")
            return PlanProblem(line: context.mark.line, column: context.mark.column, "the key \(keys) stands twice")
        case .reader(let problem, _, _, _):
            return PlanProblem(line: 1, column: 1, problem)
        default:
            return PlanProblem(line: 1, column: 1, "no YAML: \(error)")
        }
    }
}

extension PlanProblem {
    /// A problem where a node begins.
    init(_ node: Node, _ message: String) {
        self.init(line: node.mark?.line ?? 1, column: node.mark?.column ?? 1, message)
    }
}

extension Tag {
    /// Whether nobody wrote this tag: plain scalars have none, and quoted ones the string's.
    fileprivate var isPlain: Bool { description == Tag.Name.implicit.rawValue || description == Tag.Name.str.rawValue }
}
