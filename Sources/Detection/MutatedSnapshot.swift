// SPDX-License-Identifier: Apache-2.0

package import Foundation
import HarnessBasics
package import Verification

/// A recorded snapshot in which nothing is wrong, and what its mutants come to.
package struct MutatedSnapshot: Sendable {
    /// What a person knows it by.
    package let name: String
    package let snapshot: Snapshot
    package let tree: SnapshotTree

    /// Reads a snapshot's JSON. Throws where it is none, or where something is wrong in it already.
    package init(name: String, json: Data) throws {
        self.name = name
        snapshot = try JSONDecoder().decode(Snapshot.self, from: json)
        // In the newest form, whichever it is recorded in.
        tree = try JSONDecoder().decode(SnapshotTree.self, from: JSONEncoder().encode(snapshot))
        guard try Verifier.verdict(on: snapshot).hasPassed else {
            throw HarnessError.usage("\(name) has not passed: what its mutants come to says nothing")
        }
    }

    /// What comes of a mutant; nil where it is the same snapshot.
    package func fate(of mutant: SnapshotMutant) -> DetectionCount.Fate? {
        guard let tree = mutant.change(tree) else { return nil }
        guard let mutated = try? JSONDecoder().decode(Snapshot.self, from: JSONEncoder().encode(tree)) else {
            return .refused
        }
        if mutated == snapshot { return nil }
        guard let verdict = try? Verifier.verdict(on: mutated) else { return .refused }
        return verdict.findings.isEmpty ? verdict.unsaid.isEmpty ? .missed : .unsaid : .found
    }
}

/// What mutants of snapshots came to.
package struct MutantTally: Sendable {
    /// By the part of the snapshot.
    package private(set) var parts = DetectionTally()
    /// By the field.
    package private(set) var fields = DetectionTally()

    /// Nothing yet.
    package init() {}

    /// Mutants that passed though every such change is to be noticed; what they are, in words.
    package private(set) var surprises: [String] = []

    private static let table = Dictionary(uniqueKeysWithValues: SnapshotField.all.map { ($0.path, $0) })

    /// Why changes of a field may pass; nil where none may, or where nobody knows of such a field.
    package static func reason(of path: String) -> String? {
        switch table[path]?.standing {
        case .partlyJudged(let reason), .informational(let reason): reason
        case .judged, .refused, nil: nil
        }
    }

    /// Why a mutant may pass; nil where it may not.
    package static func reason(of mutant: SnapshotMutant) -> String? {
        if table[mutant.path]?.isOrdered == false, [.swapped, .doubled].contains(mutant.kind) {
            return "the order of its elements says nothing, nor how often one of them is told"
        }
        return reason(of: mutant.path)
    }

    /// Takes mutants of a snapshot: all that can be done to so many places of each array.
    package mutating func take(_ recorded: MutatedSnapshot, seed: UInt64, placeLimit: Int) {
        for mutant in SnapshotMutants(of: recorded.tree, seed: seed, placeLimit: placeLimit).mutants {
            guard let fate = recorded.fate(of: mutant) else { continue }
            func describe() -> String { "\(recorded.name): \(mutant)" }
            parts.note(fate, of: String(mutant.path.prefix { $0 != "." && $0 != "[" }), describe: describe)
            fields.note(fate, of: mutant.path, describe: describe)
            if fate == .missed, Self.reason(of: mutant) == nil { surprises.append(describe()) }
        }
    }

    /// Adds those of another tally.
    package mutating func add(_ other: MutantTally) {
        parts.add(other.parts)
        fields.add(other.fields)
        surprises += other.surprises
    }
}
