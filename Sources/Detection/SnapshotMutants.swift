// SPDX-License-Identifier: Apache-2.0

import HarnessBasics
import Verification
import VmemmapPopulate

/// One change to one place of a snapshot.
package struct SnapshotMutant: Sendable, CustomStringConvertible {
    /// What is done.
    package enum Kind: String, CaseIterable, Sendable {
        case value, deleted, doubled, swapped, emptied, keyDeleted = "key deleted"
    }

    package let path: String
    package let kind: Kind
    /// Which element, or what the value becomes.
    package let place: String
    package let change: @Sendable (SnapshotTree) -> SnapshotTree?

    package var description: String { "\(path): \(kind.rawValue) \(place)" }
}

/// Every way to change a snapshot in one place, by the place.
package struct SnapshotMutants {
    /// All paths that occur, in the table's form.
    package private(set) var paths: Set<String> = []
    package private(set) var mutants: [SnapshotMutant] = []
    /// The most places of one array.
    private let placeLimit: Int
    private var random: SeededGenerator

    package init(of tree: SnapshotTree, seed: UInt64, placeLimit: Int) {
        self.placeLimit = placeLimit
        random = SeededGenerator(seed: seed)
        visit(tree, path: "", steps: [])
    }

    private mutating func visit(_ tree: SnapshotTree, path: String, steps: [SnapshotTree.Step]) {
        if !path.isEmpty { paths.insert(path) }
        if let table = tree.table {
            return visitTable(table, path, steps)
        }
        switch tree {
        case .object(let object):
            for (key, value) in object.sorted(by: { $0.key < $1.key }) {
                let (path, steps) = (path.isEmpty ? key : "\(path).\(key)", steps + [.key(key)])
                note(path, .keyDeleted, "", steps) { _ in nil }
                visit(value, path: path, steps: steps)
            }
        case .array(let array):
            if let column = tree.column {
                paths.insert("\(path)[]")
                visitElements(column.count, path, steps) { tree, change in
                    SnapshotTree(column: change(tree.column ?? []))
                }
                return visitColumn(column, "\(path)[]", steps)
            }
            visitElements(array.count, path, steps) { tree, change in
                guard case .array(let elements) = tree else { return tree }
                return .array(change(elements))
            }
            // An object's fields are the same in each element.
            let chosen = places(array.count)
            for (index, element) in array.enumerated() where chosen.contains(index) {
                visit(element, path: "\(path)[]", steps: steps + [.index(index)])
            }
        default:
            for (place, value) in changes(of: tree, at: path) { note(path, .value, place, steps) { _ in value } }
        }
    }

    private mutating func visitTable(_ table: [String: [String]], _ path: String, _ steps: [SnapshotTree.Step]) {
        visitElements(table.values.first?.count ?? 0, path, steps) { tree, change in
            SnapshotTree(table: (tree.table ?? [:]).mapValues { change($0) })
        }
        for (name, column) in table.sorted(by: { $0.key < $1.key }) {
            paths.insert("\(path).\(name)")
            visitColumn(column, "\(path).\(name)", steps + [.key(name)])
        }
    }

    /// What can be done to the elements of an array or a table.
    private mutating func visitElements(
        _ count: Int, _ path: String, _ steps: [SnapshotTree.Step],
        _ apply: @escaping @Sendable (SnapshotTree, ElementChange) -> SnapshotTree
    ) {
        guard count > 0 else { return }
        note(path, .emptied, "", steps) { apply($0, .empty) }
        for index in places(count).sorted() {
            note(path, .deleted, "\(index)", steps) { apply($0, .delete(index)) }
            note(path, .doubled, "\(index)", steps) { apply($0, .double(index)) }
            if index + 1 < count { note(path, .swapped, "\(index)", steps) { apply($0, .swap(index)) } }
        }
    }

    private mutating func visitColumn(_ column: [String], _ path: String, _ steps: [SnapshotTree.Step]) {
        for index in places(column.count).sorted() {
            for (place, value) in changes(of: .text(column[index]), at: path) {
                guard case .text(let text) = value else { continue }
                note(path, .value, "\(index): \(place)", steps) { tree in
                    var texts = tree.column ?? []
                    texts[index] = text
                    return SnapshotTree(column: texts)
                }
            }
            guard index + 1 < column.count, column[index] != column[index + 1] else { continue }
            note(path, .swapped, "\(index)", steps) { SnapshotTree(column: ElementChange.swap(index)($0.column ?? [])) }
        }
    }

    private mutating func note(
        _ path: String, _ kind: SnapshotMutant.Kind, _ place: String, _ steps: [SnapshotTree.Step],
        _ change: @escaping @Sendable (SnapshotTree) -> SnapshotTree?
    ) {
        mutants.append(
            SnapshotMutant(path: path, kind: kind, place: place) { $0.changed(at: steps[...], change) })
    }

    /// The first place, the last, and some between them.
    private mutating func places(_ count: Int) -> Set<Int> {
        guard count > placeLimit else { return Set(0..<count) }
        var chosen: Set<Int> = [0, count - 1]
        while chosen.count < placeLimit { chosen.insert(Int(random.next() % UInt64(count))) }
        return chosen
    }

    /// What one value can become, with its name.
    private mutating func changes(of value: SnapshotTree, at path: String) -> [(String, SnapshotTree)] {
        switch value {
        case .flag(let flag): return [("\(!flag)", .flag(!flag))]
        case .number(let number):
            return numbers(number).map { ("\(number) → \($0)", .number($0)) }
        case .text(let text):
            if text.hasPrefix("0x"), let word = UInt64(text.dropFirst(2), radix: 16) {
                return numbers(word).map { ("\(text) → \(Self.hexadecimal($0))", .text(Self.hexadecimal($0))) }
            }
            let name = String(path.split(separator: ".").last ?? "")
            let others = Self.names[name] ?? [text + "x", ""]
            return others.filter { $0 != text }.map { ("'\(text)' → '\($0)'", .text($0)) }
        default: return []
        }
    }

    private mutating func numbers(_ number: UInt64) -> [UInt64] {
        let bit: UInt64 = 1 &<< (random.next() % 64)
        let small: UInt64 = 1 &<< (random.next() % 20)
        var values: [UInt64] = []
        for value in [number &+ 1, number &- 1, 0, number ^ bit, number ^ small, .max]
        where value != number && !values.contains(value) {
            values.append(value)
        }
        return values
    }

    private static func hexadecimal(_ word: UInt64) -> String { "0x" + String(word, radix: 16) }

    /// The names that a field can have, by its own name.
    private static let names: [String: [String]] = [
        "end": ListWalk.End.allCases.map(\.name), "mmu": ["hash", "radix", "unknown"],
        "provenance[]": ["seeded", "observed", "healed", "unknown"],
        "state": ["online", "offline", "going-offline", "unknown"], "answer": ["physical", "unmapped", "no answer"],
        "change": ["added", "removed", "failed"], "witnesses[]": Witness.allCases.map(\.rawValue),
        "radixStarts[]": RadixStart.allCases.map(\.name),
    ]
}

/// A change to an array's elements, whatever they are.
enum ElementChange: Sendable {
    case empty
    case delete(Int)
    case double(Int)
    case swap(Int)

    func callAsFunction<Element>(_ elements: [Element]) -> [Element] {
        var elements = elements
        switch self {
        case .empty: elements = []
        case .delete(let index): elements.remove(at: index)
        case .double(let index): elements.insert(elements[index], at: index)
        case .swap(let index): elements.swapAt(index, index + 1)
        }
        return elements
    }
}
