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

    /// What the MMU says of an address, nil where it says nothing.
    private typealias Statement = (virtAddr: UInt64, answer: Translation.Answer?)

    /// Judges what is known of every 4 KiB of each entry, or, where QEMU did not read through the MMU, the answers for its
    /// first and last 4 KiB.
    init(snapshot: Snapshot) {
        let answers = Self.answers(snapshot.translations)
        // On hash the question goes through the CPU's SLB, from which a segment may have been evicted: "unmapped" means
        // something only where another address of the same segment translates.
        let segmentByteCount: UInt64 = 1 << (snapshot.hashTable?.segmentShift ?? MMUQuestions.usualSegmentShift)
        /// Whole segments, from the first address's to the last one's.
        func segments(from first: UInt64, to last: UInt64) -> Range<UInt64> {
            let (end, overflows) = last.alignedDown(to: segmentByteCount).addingReportingOverflow(segmentByteCount)
            return first.alignedDown(to: segmentByteCount)..<(overflows ? .max : end)
        }
        var translatedSegments = MemoryRanges()
        for case (let virtAddr, .physical) in answers {
            translatedSegments.insert(segments(from: virtAddr, to: virtAddr))
        }
        for run in snapshot.readBack?.runs ?? [] {
            translatedSegments.insert(segments(from: run.virtAddr, to: run.virtAddr + (run.byteCount - 1)))
        }
        func isDecided(_ virtAddr: UInt64) -> Bool {
            snapshot.kernel.mmu == .radix || translatedSegments.intersects(virtAddr...virtAddr)
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
        let sortedAnswers = snapshot.readBack.map { _ in answers.sorted { $0.key < $1.key } } ?? []
        for entry in snapshot.accountEntries {
            // Of all that was read as it should be, and not asked about besides, nothing is left to say.
            if let readBack = snapshot.readBack, let addresses = entry.addresses,
                readBack.leads(addresses, to: entry.phys), Self.known(sortedAnswers, in: addresses).isEmpty
            {
                agreeingCount += 1
                continue
            }
            var open: Silence?
            var hasFault = false
            let statements: [Statement] =
                if let readBack = snapshot.readBack, let addresses = entry.addresses {
                    Self.statements(about: addresses, readBack, sortedAnswers)
                } else {
                    MMUQuestions.offsets(windowByteCount: entry.byteCount).map {
                        (entry.virtAddr &+ $0, answers[entry.virtAddr &+ $0])
                    }
                }
            var last: Statement?
            for statement in statements {
                let (virtAddr, answer) = statement
                let expected = entry.phys &+ (virtAddr &- entry.virtAddr)
                defer { last = statement }
                // Where page after page is wrong in the same way, the first one is told.
                if let last, hasFault, Self.continues(last, statement) { continue }
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

    /// What is known of a window's addresses: of each run the first one, of what was not read each that was asked, and one
    /// that was not where there is such.
    private static func statements(
        about addresses: Range<UInt64>, _ readBack: ReadBack, _ answers: [(key: UInt64, value: Translation.Answer)]
    ) -> [Statement] {
        let (read, missing) = readBack.pieces(of: addresses)
        var statements: [Statement] = []
        for run in read {
            statements.append((run.virtAddr, .physical(run.phys)))
            for (virtAddr, answer) in known(answers, in: run.virtAddr..<run.virtAddr + run.byteCount)
            where answer != .physical(run.phys + (virtAddr - run.virtAddr)) {
                statements.append((virtAddr, .cannotSay("it gave two answers about one address")))
            }
        }
        for range in missing {
            let asked = known(answers, in: range)
            statements += asked.map { ($0.key, $0.value) }
            let pageCount = (range.upperBound - range.lowerBound - 1) / ReadBack.pageByteCount + 1
            if UInt64(asked.count) < pageCount { statements.append((range.lowerBound, nil)) }
        }
        return statements
    }

    /// The answers about a range.
    private static func known(
        _ answers: [(key: UInt64, value: Translation.Answer)], in range: Range<UInt64>
    ) -> ArraySlice<(key: UInt64, value: Translation.Answer)> {
        func index(of address: UInt64) -> Int {
            var (low, high) = (0, answers.count)
            while low < high {
                let middle = (low + high) / 2
                if answers[middle].key < address { low = middle + 1 } else { high = middle }
            }
            return low
        }
        return answers[index(of: range.lowerBound)..<index(of: range.upperBound)]
    }

    /// Whether two pages in a row lead to pages in a row, or nowhere.
    private static func continues(_ last: Statement, _ next: Statement) -> Bool {
        guard last.virtAddr &+ ReadBack.pageByteCount == next.virtAddr else { return false }
        return switch (last.answer, next.answer) {
        case (.unmapped, .unmapped): true
        case (.physical(let first), .physical(let second)): first &+ ReadBack.pageByteCount == second
        default: false
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
            if snapshot.readBack?.isCutShort == true {
                return
                    "\(MMUQuestions.limit) questions are the most that are asked while the guest is paused, and QEMU "
                    + "does not read all of the others through the MMU"
            }
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
