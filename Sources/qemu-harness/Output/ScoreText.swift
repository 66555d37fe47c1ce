// SPDX-License-Identifier: Apache-2.0

import Detection
import HarnessBasics

/// What a score says, as Markdown.
struct ScoreText {
    /// What all mutants and damages follow from.
    let seed: UInt64
    let mutants: MutantTally
    /// What came of damages to live guests, each by its name.
    let guests: [(name: String, tally: DetectionTally)]

    /// Whether something was missed that nothing explains.
    var hasSurprises: Bool {
        !mutants.surprises.isEmpty
            || guests.contains { $0.tally.misses.keys.contains { DamageTargets.reason(ofMissed: $0) == nil } }
    }

    func text() -> String {
        var text = ""
        if mutants.parts.total.tried > 0 { text += mutantText() }
        if !guests.isEmpty { text += damageText() }
        return text
    }

    private func mutantText() -> String {
        let total = mutants.parts.total
        var text = """
            ## Recorded snapshots, spoiled in one place

            \(total.tried) mutants (seed \(seed)): \(total.refused) refused, \(total.found) found, \(total.unsaid) left unsaid, \
            \(total.missed) passed; \(mutants.surprises.count) of those in a field in which every change is to be noticed\
            \(bound(mutants.surprises.count, of: total.tried)).

            | part of the snapshot | tried | refused | found | unsaid | passed |
            |---|---|---|---|---|---|

            """
        for (part, count) in mutants.parts.counts.sorted(by: { $0.key < $1.key }) {
            text +=
                "| `\(part)` | \(count.tried) | \(count.refused) | \(count.found) | \(count.unsaid) | \(count.missed) |\n"
        }
        let passed = mutants.fields.counts.filter { $0.value.missed > 0 }.sorted { $0.key < $1.key }
        if !passed.isEmpty {
            text += "\nWhat passed, and why:\n\n| field | passed | of | because |\n|---|---|---|---|\n"
        }
        for (path, count) in passed {
            let reason = MutantTally.reason(of: path) ?? "its order says nothing, nor how often an element is told"
            text += "| `\(path)` | \(count.missed) | \(count.tried) | \(reason) |\n"
        }
        for surprise in mutants.surprises { text += "\n**Nobody notices** \(surprise)\n" }
        return text + "\n"
    }

    private func damageText() -> String {
        let total = guests.reduce(into: DetectionTally()) { $0.add($1.tally) }
        let all = total.total
        var text = """
            ## Live guests, damaged in a word or a few

            \(all.tried) damages (seed \(seed)) to \(guests.count) guests: \(all.found) found, \(all.refused) refused, \
            \(all.unsaid) left unsaid, \(all.missed) missed.

            | what was damaged | \(guests.map(\.name).joined(separator: " | ")) | missed of all |
            |---|\(guests.map { _ in "---|" }.joined())---|

            """
        for (name, count) in total.counts.sorted(by: { $0.key < $1.key }) {
            let cells = guests.map { guest -> String in
                guard let own = guest.tally.counts[name] else { return "" }
                return own.missed == 0 ? "\(own.tried)" : "\(own.tried - own.missed) of \(own.tried)"
            }
            text +=
                "| \(name) | \(cells.joined(separator: " | ")) | "
                + "\(count.missed) of \(count.tried)\(bound(count.missed, of: count.tried)) |\n"
        }
        if all.missed > 0 { text += "\nThe first that was missed of each:\n\n" }
        for (name, miss) in total.misses.sorted(by: { $0.key < $1.key }) {
            text += "- \(miss): \(DamageTargets.reason(ofMissed: name) ?? "**nothing explains it**")\n"
        }
        return text + "\n"
    }

    /// Where nothing was missed: how many may be all the same, with a confidence of 95 %.
    private func bound(_ missed: Int, of tried: Int) -> String {
        guard missed == 0, tried > 0 else { return "" }
        let perMille = 3000.0 / Double(tried)
        return " (at most \((perMille * 100).rounded() / 100) ‰)"
    }
}
