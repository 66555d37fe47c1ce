// SPDX-License-Identifier: Apache-2.0

import AgentProtocol
import GuestMemory
import Guests
import HarnessBasics
import Libvirt
import RunFixture
package import RunRecord
package import Runs
import Verification
import VmemmapPopulate

/// Damages words of a paused guest at random, a few at a time, looks what the host's witnesses make of it, and puts them back.
///
/// Nothing that nobody reads again takes part in a verdict: the guest's report is what the guest would read of the same words,
/// and where page tables are damaged, or the account, the MMU is not asked.
package struct DamageStep: RunStep {
    let seed: UInt64
    /// How many damages.
    let count: Int
    /// What came of them.
    let tally: @Sendable (DetectionTally) -> Void

    /// So many damages that follow from a seed.
    package init(seed: UInt64, count: Int, tally: @escaping @Sendable (DetectionTally) -> Void) {
        (self.seed, self.count, self.tally) = (seed, count, tally)
    }

    package var title: String { "damage" }

    package func perform(in context: inout RunContext, result: inout StepResult) async throws {
        let guest = try context.runningGuest()
        let taker = try await SnapshotTaker(of: guest, looksAtAllStructPages: true)
        let good = try await taker.snapshot()
        let sync = try await guest.agent.ask("sync")
        let memory = await guest.memory.ram
        let writable = try WritableMemory(
            memory, region: (context.host.id.sharedRegionFile, taker.booted.region.layout.regionByteCount))
        try await guest.domain.suspend()
        let done: Result<DetectionTally, any Error>
        do {
            let look = { try await taker.rereading(good, sync: sync) }
            try await Self.expectClean(look, "before")
            let tally = try await damage(DamageTargets(taker.booted, good, memory), in: writable, good, look)
            try await Self.expectClean(look, "after")
            done = .success(tally)
        } catch {
            done = .failure(error)
        }
        try writable.undo()
        try await guest.domain.resume()
        tally(try done.get())
    }

    /// What is found without a damage is none of a damage.
    private static func expectClean(_ look: () async throws -> Snapshot, _ when: String) async throws {
        let verdict = try Verifier.verdict(on: try await look())
        guard let finding = verdict.findings.first else { return }
        throw HarnessError.infrastructure("\(when) all damages there is a finding: \(finding.name): \(finding.message)")
    }

    private func damage(
        _ targets: DamageTargets, in memory: WritableMemory, _ good: Snapshot, _ look: () async throws -> Snapshot
    ) async throws -> DetectionTally {
        var random = SeededGenerator(seed: seed)
        var tally = DetectionTally()
        // A guest may lack a kind, and a change may be none.
        for _ in 0..<count * 4 where tally.total.tried < count && !Task.isCancelled {
            let words = try spoil(targets, memory, &random)
            guard let first = words.first else { continue }
            let fate = await fate(good, areTablesSpoilt: words.contains { $0.isOfPageTables }, look)
            try memory.undo()
            tally.note(fate, of: words.count == 1 ? first.name : "several words") {
                words.map { "\($0.name): \($0.former.hexadecimal) → \($0.word.hexadecimal)" }.joined(separator: ", ")
            }
        }
        return tally
    }

    private struct Word {
        let name: String
        let former: UInt64
        let word: UInt64
        let isOfPageTables: Bool
    }

    /// Spoils one word, or a few; returns those that are others than before.
    private func spoil(
        _ targets: DamageTargets, _ memory: WritableMemory, _ random: inout SeededGenerator
    ) throws -> [Word] {
        let wordCount = UInt64.random(in: 0..<4, using: &random) == 0 ? Int.random(in: 2...3, using: &random) : 1
        // All of them are looked up before the first one is spoilt.
        var words: [(target: DamageTarget, word: Word)] = []
        for _ in 0..<wordCount {
            let kind = DamageTargets.Kind.allCases.randomElement(using: &random) ?? .list
            guard let target = try targets.target(kind, &random) else { continue }
            let former = try value(of: target, memory)
            let other = try targets.target(kind, &random).map { try value(of: $0, memory) } ?? former
            let word = Self.changed(former, other: other, &random)
            guard word != former, !words.contains(where: { $0.target.place == target.place }) else { continue }
            words.append(
                (
                    target,
                    Word(
                        name: target.name(ofChange: former, to: word), former: former, word: word,
                        isOfPageTables: kind == .pageTables)
                ))
        }
        for (target, word) in words { try memory.store(target.order.value(ofStored: word.word), at: target.place) }
        return words.map(\.word)
    }

    private func value(of target: DamageTarget, _ memory: WritableMemory) throws -> UInt64 {
        target.order.value(ofStored: try memory.stored(at: target.place))
    }

    /// What a stray store, a flipped bit or a wrong pointer makes of a word.
    private static func changed(_ word: UInt64, other: UInt64, _ random: inout SeededGenerator) -> UInt64 {
        switch Int.random(in: 0..<8, using: &random) {
        case 0: return 0
        case 1: return .max
        case 2, 3: return other
        case 4:
            let distances: [UInt64] = [1, 8, 24, 64, 4096, 65536, 1 << 21, 1 << 24]
            let distance = distances.randomElement(using: &random) ?? 8
            return Bool.random(using: &random) ? word &+ distance : word &- distance
        default: return word ^ 1 << UInt64.random(in: 0..<64, using: &random)
        }
    }

    private func fate(
        _ good: Snapshot, areTablesSpoilt: Bool, _ look: () async throws -> Snapshot
    ) async -> DetectionCount.Fate {
        do {
            var snapshot = try await look()
            snapshot.report?.list = snapshot.kernelList
            if snapshot.report?.pageTables != nil, let tables = snapshot.pageTables {
                snapshot.report?.pageTables = WalkedTables(windows: tables.windows, faults: tables.faults)
            }
            if areTablesSpoilt || snapshot.accountEntries != good.accountEntries {
                snapshot.witnesses.removeAll { $0 == .mmu }
                (snapshot.readBack, snapshot.readBackProblem) = (nil, nil)
                (snapshot.translations, snapshot.formerTranslations) = ([], [])
            }
            let verdict = try Verifier.verdict(on: snapshot)
            return verdict.findings.isEmpty ? verdict.unsaid.isEmpty ? .missed : .unsaid : .found
        } catch {
            return .refused
        }
    }
}
