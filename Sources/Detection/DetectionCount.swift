// SPDX-License-Identifier: Apache-2.0

/// What came of damages of one kind.
package struct DetectionCount: Equatable, Sendable {
    /// What comes of one.
    package enum Fate: Sendable {
        /// A finding names it.
        case found
        /// No finding, and the verdict says that it leaves something unsaid.
        case unsaid
        /// What is there cannot be read or judged at all, which is no pass.
        case refused
        /// A pass.
        case missed
    }

    package private(set) var found = 0
    package private(set) var unsaid = 0
    package private(set) var refused = 0
    package private(set) var missed = 0

    /// Nothing yet.
    package init() {}

    /// How many there were.
    package var tried: Int { found + unsaid + refused + missed }

    /// Counts one more.
    package mutating func note(_ fate: Fate) {
        switch fate {
        case .found: found += 1
        case .unsaid: unsaid += 1
        case .refused: refused += 1
        case .missed: missed += 1
        }
    }

    /// Adds those of another count.
    package mutating func add(_ other: DetectionCount) {
        found += other.found
        unsaid += other.unsaid
        refused += other.refused
        missed += other.missed
    }
}

/// Counts by what was damaged.
package struct DetectionTally: Equatable, Sendable {
    package private(set) var counts: [String: DetectionCount] = [:]
    /// Misses as a person reads them, the first of each name.
    package private(set) var misses: [String: String] = [:]

    /// Nothing yet.
    package init() {}

    /// All counts together.
    package var total: DetectionCount {
        counts.values.reduce(into: DetectionCount()) { $0.add($1) }
    }

    /// Counts one more.
    package mutating func note(_ fate: DetectionCount.Fate, of name: String, describe: () -> String) {
        counts[name, default: DetectionCount()].note(fate)
        if fate == .missed, misses[name] == nil { misses[name] = describe() }
    }

    /// Adds those of another tally.
    package mutating func add(_ other: DetectionTally) {
        for (name, count) in other.counts { counts[name, default: DetectionCount()].add(count) }
        misses.merge(other.misses) { first, _ in first }
    }
}
