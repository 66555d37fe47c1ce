// SPDX-License-Identifier: Apache-2.0

/// The kernel's account against what the MMU translates.
struct TranslationChecks {
    /// Entries of which every question was answered, and rightly.
    private(set) var agreeingCount = 0
    /// Entries of which some question was not answered, and none wrongly.
    private(set) var unsaidCount = 0
    /// How many addresses of windows that are gone the MMU does not translate.
    private(set) var formerCount = 0
    /// What the MMU contradicts.
    private(set) var findings: [Finding] = []

    /// An effective segment on Book3S hash: 1 TiB.
    private static let segmentShift: UInt64 = 40

    /// Judges the answers for each entry's first and last 4 KiB.
    init(snapshot: Snapshot) {
        let answers = Dictionary(
            snapshot.translations.map { ($0.virtAddr, $0.answer) }, uniquingKeysWith: { first, _ in first })
        // On hash the question goes through the CPU's SLB, from which a segment may have been evicted: "unmapped" means
        // something only where another address of the same segment translates.
        var translatedSegments: Set<UInt64> = []
        for case (let virtAddr, .physical) in answers { translatedSegments.insert(virtAddr >> Self.segmentShift) }

        let place = snapshot.account.place
        for entry in snapshot.accountEntries {
            var hasUnsaid = false
            var hasFault = false
            for offset in Self.probedOffsets(windowByteCount: entry.byteCount) {
                let virtAddr = entry.virtAddr &+ offset
                let expected = entry.phys &+ offset
                switch answers[virtAddr] {
                case .physical(expected): break
                case .physical(let actual):
                    hasFault = true
                    findings.append(
                        Finding(
                            .mmu, .contradiction,
                            "virt \(virtAddr.hexadecimal) has phys \(expected.hexadecimal) \(place), and the "
                                + "MMU translates it to \(actual.hexadecimal)"))
                case .unmapped
                where snapshot.kernel.mmu == .radix
                    || translatedSegments.contains(virtAddr >> Self.segmentShift):
                    hasFault = true
                    findings.append(
                        Finding(
                            .mmu, .unmapped,
                            "virt \(virtAddr.hexadecimal) has phys \(expected.hexadecimal) \(place), and the "
                                + "MMU does not translate it"))
                case .unmapped, .cannotSay, nil:
                    hasUnsaid = true
                }
            }
            if hasFault { continue }
            if hasUnsaid { unsaidCount += 1 } else { agreeingCount += 1 }
        }
        for translation in snapshot.formerTranslations ?? [] {
            if translation.answer == .unmapped { formerCount += 1 }
            guard case .physical(let actual) = translation.answer else { continue }
            findings.append(
                Finding(
                    .mmu, .staleEntry,
                    "virt \(translation.virtAddr.hexadecimal) is not \(place) any more, and the MMU still translates it to "
                        + actual.hexadecimal))
        }
    }

    /// Where in a window the MMU is asked: its first and its last 4 KiB, which are the same in the smallest window.
    public static func probedOffsets(windowByteCount: UInt64) -> [UInt64] {
        windowByteCount > 4096 ? [0, windowByteCount - 4096] : [0]
    }
}
