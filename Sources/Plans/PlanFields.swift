// SPDX-License-Identifier: Apache-2.0

import HarnessBasics
import Yams

/// A mapping's values, taken by their keys; a key that nobody takes is an error.
struct PlanFields {
    /// What the mapping is, for messages.
    private let name: String
    private let node: Node
    private var values: [(key: Node, word: String, value: Node)] = []

    init(_ node: Node, _ name: String) throws(PlanProblem) {
        guard case .mapping(let mapping) = node else { throw PlanProblem(node, "\(name) has to be keys and values") }
        self.name = name
        self.node = node
        for (key, value) in mapping { values.append((key, key.scalar?.string ?? "", value)) }
    }

    /// The value of a key, nil when the key is not there.
    mutating func take(_ key: String) -> Node? {
        guard let index = values.firstIndex(where: { $0.word == key }) else { return nil }
        return values.remove(at: index).value
    }

    /// The value of a key that has to be there.
    mutating func need(_ key: String) throws(PlanProblem) -> Node {
        guard let value = take(key) else { throw PlanProblem(node, "\(name) has no '\(key)'") }
        return value
    }

    /// The only key there is, and its value.
    mutating func takeOnly() throws(PlanProblem) -> (key: Node, word: String, value: Node) {
        guard values.count == 1, let only = values.popLast() else {
            throw PlanProblem(node, "\(name) has to have one key; it has \(values.count)")
        }
        return only
    }

    /// Refuses what nobody has taken.
    func end(known: [String]) throws(PlanProblem) {
        guard let first = values.first else { return }
        throw PlanProblem(
            first.key, "\(name) has no key '\(first.word.prefix(80))'; there are \(known.joined(separator: ", "))")
    }
}

/// A value as what it has to be. Nothing is converted: a number is no text, and a text in quotes no number.
extension Node {
    private func text(_ name: String, limit: Int) throws(PlanProblem) -> String {
        guard case .scalar(let scalar) = self else { throw PlanProblem(self, "\(name) has to be a text") }
        guard tag == Tag(.str) else {
            throw PlanProblem(self, "\(name) has to be a text: write \"\(scalar.string.prefix(80))\" in quotes")
        }
        guard scalar.string.utf8.count <= limit else {
            throw PlanProblem(
                self, "\(name) has \(scalar.string.utf8.count) bytes; \(limit) are the most that it can have")
        }
        if let control = scalar.string.unicodeScalars.first(where: { $0.properties.generalCategory == .control }) {
            let code = String(control.value, radix: 16, uppercase: true)
            throw PlanProblem(
                self, "\(name) holds the character U+\(String(repeating: "0", count: max(0, 4 - code.count)))\(code)")
        }
        return scalar.string
    }

    /// A text of at least one character, without control characters.
    func word(_ name: String, limit: Int = PlanLimits.textLength) throws(PlanProblem) -> String {
        let word = try text(name, limit: limit)
        guard !word.isEmpty else { throw PlanProblem(self, "\(name) is empty") }
        return word
    }

    /// One of several words.
    func word(_ name: String, of words: [String]) throws(PlanProblem) -> String {
        let word = try self.word(name)
        guard words.contains(word) else {
            throw PlanProblem(self, "no \(name) '\(word.prefix(80))'; there are \(words.joined(separator: ", "))")
        }
        return word
    }

    /// `on` or `off`, which YAML takes for more than words where they are not in quotes.
    func onOrOff(_ name: String) throws(PlanProblem) -> Bool {
        guard case .scalar(let scalar) = self, [Tag(.str), Tag(.bool)].contains(tag),
            ["on", "off"].contains(scalar.string)
        else { throw PlanProblem(self, "\(name) has to be on or off") }
        return scalar.string == "on"
    }

    /// A whole number in decimal digits.
    func number(_ name: String, in range: ClosedRange<UInt64>) throws(PlanProblem) -> UInt64 {
        guard case .scalar(let scalar) = self, tag == Tag(.int), scalar.string.allSatisfy({ "0"..."9" ~= $0 }),
            let number = UInt64(scalar.string)
        else {
            let found = scalar.map { "; it is '\($0.string.prefix(80))'" } ?? ""
            throw PlanProblem(self, "\(name) has to be a whole number in decimal digits\(found)")
        }
        guard range.contains(number) else {
            throw PlanProblem(self, "\(name) \(number) is outside \(range.lowerBound) to \(range.upperBound)")
        }
        return number
    }

    /// A whole number that is counted with.
    func count(_ name: String, in range: ClosedRange<Int>) throws(PlanProblem) -> Int {
        Int(try number(name, in: UInt64(range.lowerBound)...UInt64(range.upperBound)))
    }

    /// A size with its unit.
    func size(_ name: String) throws(PlanProblem) -> UInt64 {
        guard case .scalar(let scalar) = self, tag == Tag(.str), let size = ByteCount(argument: scalar.string) else {
            throw PlanProblem(self, "\(name) has to be a size with its unit, such as 512MiB or 1GiB")
        }
        return size.value
    }

    /// A size that memory of the machine can have.
    func memorySize(_ name: String) throws(PlanProblem) -> UInt64 {
        let size = try size(name)
        if let problem = PlanLimits.problem(withMemory: size) { throw PlanProblem(self, "\(name) \(problem)") }
        return size
    }

    /// A list of at least one element.
    func elements(_ name: String) throws(PlanProblem) -> [Node] {
        guard case .sequence(let sequence) = self, !sequence.isEmpty else {
            throw PlanProblem(self, "\(name) has to be a list of at least one element")
        }
        return Array(sequence)
    }
}
