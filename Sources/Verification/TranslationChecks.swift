// SPDX-License-Identifier: Apache-2.0

import GuestMemory
import HarnessBasics
import VmemmapPopulate

/// The kernel's account against what the MMU translates.
struct TranslationChecks {
    /// Entries of which every question was answered, and rightly.
    private(set) var agreeingCount = 0
    /// How many addresses of windows that are gone the MMU does not translate.
    private(set) var formerCount = 0
    /// What the MMU contradicts.
    private(set) var findings: [Finding] = []
    /// Entries of which some question was not answered and none wrongly, and addresses of windows that are gone of which
    /// it cannot be said whether they are translated: how many, by the reason.
    private(set) var unsaid: [(count: Int, reason: String)] = []

    /// Why a question has no answer.
    private enum Silence: CaseIterable {
        case unasked, segment, answer
    }

    /// Judges the answers for each entry's first and last 4 KiB.
    init(snapshot: Snapshot) {
        let answers = Self.answers(snapshot.translations)
        // On hash the question goes through the CPU's SLB, from which a segment may have been evicted: "unmapped" means
        // something only where another address of the same segment translates.
        var translatedSegments: Set<UInt64> = []
        for case (let virtAddr, .physical) in answers { translatedSegments.insert(MMUQuestions.segment(of: virtAddr)) }
        func isDecided(_ virtAddr: UInt64) -> Bool {
            snapshot.kernel.mmu == .radix || translatedSegments.contains(MMUQuestions.segment(of: virtAddr))
        }
        var firstReason: String?
        /// What an answer leaves open, nil when it says whether the address is translated.
        func silence(_ answer: Translation.Answer?, at virtAddr: UInt64) -> Silence? {
            switch answer {
            case .physical: return nil
            case .unmapped: return isDecided(virtAddr) ? nil : .segment
            case nil: return .unasked
            case .cannotSay(let reason):
                firstReason = firstReason ?? reason
                return .answer
            }
        }

        let place = snapshot.account.place
        var counts: [Silence: Int] = [:]
        for entry in snapshot.accountEntries {
            var open: Silence?
            var hasFault = false
            for offset in MMUQuestions.offsets(windowByteCount: entry.byteCount) {
                let virtAddr = entry.virtAddr &+ offset
                let expected = entry.phys &+ offset
                let answer = answers[virtAddr]
                if let silence = silence(answer, at: virtAddr) {
                    open = open ?? silence
                } else if answer == .unmapped {
                    hasFault = true
                    findings.append(
                        Finding(
                            .mmu, .unmapped,
                            "virt \(virtAddr.hexadecimal) has phys \(expected.hexadecimal) \(place), and the "
                                + "MMU does not translate it"))
                } else if case .physical(let actual) = answer, actual != expected {
                    hasFault = true
                    findings.append(
                        Finding(
                            .mmu, .contradiction,
                            "virt \(virtAddr.hexadecimal) has phys \(expected.hexadecimal) \(place), and the "
                                + "MMU translates it to \(actual.hexadecimal)"))
                }
            }
            if hasFault { continue }
            if let open { counts[open, default: 0] += 1 } else { agreeingCount += 1 }
        }

        let formerAnswers = Self.answers(snapshot.formerTranslations)
        for virtAddr in snapshot.formerWindows.flatMap(MMUQuestions.addresses) {
            let answer = formerAnswers[virtAddr]
            if let silence = silence(answer, at: virtAddr) {
                counts[silence, default: 0] += 1
            } else if answer == .unmapped {
                formerCount += 1
            }
        }
        for case (let virtAddr, .physical(let actual)) in formerAnswers.sorted(by: { $0.key < $1.key }) {
            findings.append(
                Finding(
                    .mmu, .staleEntry,
                    "virt \(virtAddr.hexadecimal) is not \(place) any more, and the MMU still translates it to "
                        + actual.hexadecimal))
        }
        unsaid = Silence.allCases.compactMap { silence in
            guard let count = counts[silence] else { return nil }
            return (count, Self.reason(silence, firstReason: firstReason, snapshot))
        }
    }

    /// Each address with its answer; one that was answered twice, and differently, has none.
    private static func answers(_ translations: [Translation]) -> [UInt64: Translation.Answer] {
        Dictionary(translations.map { ($0.virtAddr, $0.answer) }) { first, second in
            first == second ? first : .cannotSay("it gave two answers about one address")
        }
    }

    private static func reason(_ silence: Silence, firstReason: String?, _ snapshot: Snapshot) -> String {
        switch silence {
        case .unasked:
            let count =
                [snapshot.accountEntries, snapshot.formerWindows].map {
                    $0.reduce(0) { $0 + MMUQuestions.addresses(of: $1).count }
                }.max() ?? 0
            return count <= MMUQuestions.limit
                ? "it was not asked"
                : "of \(count) addresses, \(MMUQuestions.limit) are the most that are asked while the guest is paused"
        case .segment: return "the CPU translates no address of their segment: its SLB has no entry for it"
        case .answer: return firstReason ?? ""
        }
    }
}
