// SPDX-License-Identifier: Apache-2.0

public import RunRecord
public import Verification

/// What two runs have in common, and where they differ: of one plan on two kernels, or of one kernel twice.
public struct RunComparison: Encodable, Sendable {
    /// What stands on either side; nil where it has none.
    public struct Pair<Value: Encodable & Equatable & Sendable>: Encodable, Equatable, Sendable {
        /// In the one run.
        public var a: Value?
        /// In the other.
        public var b: Value?

        /// Whether both have the same, or neither has any.
        public var isSame: Bool { a == b }
    }

    /// A step of one of the runs, or of both.
    public struct Step: Encodable, Sendable {
        /// The step's number.
        public var number: Pair<Int>
        /// What was done.
        public var title: String
        /// How it ended.
        public var outcome: Pair<Outcome>
        /// In seconds.
        public var seconds: Pair<Double>
        /// How far the mirror was behind the kernel.
        public var mirrorLag: Pair<MirrorLag>
        /// Entries of the kernel's account.
        public var entryCount: Pair<Int>
        /// Of those, entries that the verification before did not find.
        public var newEntryCount: Pair<Int>
        /// Entries that the verification before found, and this one did not.
        public var goneEntryCount: Pair<Int>
        /// Sections with a block behind every `struct page`.
        public var coveredSectionCount: Pair<Int>
        /// How many windows of the memory map have an entry in one run alone; nil where they cannot be held against each
        /// other.
        public var windowsOnlyIn: Pair<Int>?
        /// How often each finding was found, of those that were not found as often in both.
        public var findings: [String: Pair<Int>]
        /// How witnesses stand, of those that stand otherwise in the two.
        public var witnesses: [String: Pair<WitnessStatement.Standing>]

        /// Whether nothing differs but how long it took, and how far the mirror was behind.
        public var isSame: Bool {
            number.a != nil && number.b != nil && outcome.isSame && entryCount.isSame && newEntryCount.isSame
                && goneEntryCount.isSame && coveredSectionCount.isSame && findings.isEmpty && witnesses.isEmpty
                && (windowsOnlyIn.map { $0.a == 0 && $0.b == 0 } ?? true)
        }
    }

    /// The runs' names.
    public let run: Pair<String>
    /// How they ended, judged anew.
    public let outcome: Pair<Outcome>
    /// What they ran with, by names that stay; of each what differs and what does not.
    public let properties: [String: Pair<String>]
    /// The steps, those that both have once.
    public let steps: [Step]

    /// Compares two records, as they were judged anew.
    public init(_ a: RecordVerification, _ b: RecordVerification) {
        run = Pair(a: a.results.run, b: b.results.run)
        outcome = Pair(a: a.results.outcome, b: b.results.outcome)
        let (left, right) = (Self.properties(a.information), Self.properties(b.information))
        properties = Dictionary(
            Set(left.keys).union(right.keys).map { ($0, Pair(a: left[$0], b: right[$0])) }
        ) { first, _ in first }
        let areWindowsAlike = ["mmu", "page-size", "vmemmap-page-size"].allSatisfy { left[$0] == right[$0] }
        var windows = Windows()
        steps = Self.aligned(a.results.steps, b.results.steps).map { left, right in
            if let left { windows.take(left, into: \.a) }
            if let right { windows.take(right, into: \.b) }
            var step = Self.step(left, right)
            if areWindowsAlike, left?.verdict != nil, right?.verdict != nil { step.windowsOnlyIn = windows.onlyIn }
            return step
        }
    }

    private static func properties(_ information: RunInformation?) -> [String: String] {
        guard let information else { return [:] }
        let guest = information.guest
        let all: [(String, String?)] = [
            ("kernel", guest.kernelRelease), ("cpu", guest.cpu), ("mmu", guest.mmu),
            ("page-size", guest.pageByteCount.map { "\($0)" }),
            ("vmemmap-page-size", guest.vmemmapPageByteCount.map { "\($0)" }), ("events", guest.eventSource),
            ("byte-order", guest.isBigEndian.map { $0 ? "big-endian" : "little-endian" }),
            ("qemu", information.versions.qemu), ("libvirt", information.versions.libvirt),
            ("qemu-harness", information.versions.harness),
        ]
        return all.reduce(into: [:]) { $0[$1.0] = $1.1.map { ReportText.line($0) } }
    }

    /// The windows that have an entry, by what the steps say has come and gone.
    private struct Windows {
        var a: Set<UInt64> = []
        var b: Set<UInt64> = []

        mutating func take(_ step: StepResult, into side: WritableKeyPath<Windows, Set<UInt64>>) {
            for entry in step.goneEntries ?? [] { self[keyPath: side].remove(entry.virtAddr) }
            for entry in step.newEntries ?? [] { self[keyPath: side].insert(entry.virtAddr) }
        }

        var onlyIn: Pair<Int> { Pair(a: a.count { !b.contains($0) }, b: b.count { !a.contains($0) }) }
    }

    // MARK: - Steps

    static func step(_ a: StepResult?, _ b: StepResult?) -> Step {
        func pair<Value>(_ value: (StepResult) -> Value?) -> Pair<Value> {
            Pair(a: a.flatMap(value), b: b.flatMap(value))
        }
        func counts(_ step: StepResult?) -> [String: Int] {
            step?.allFindings.reduce(into: [:]) { $0[$1.name, default: 0] += 1 } ?? [:]
        }
        func standings(_ step: StepResult?) -> [String: WitnessStatement.Standing] {
            step?.verdict?.witnesses.reduce(into: [:]) { $0[$1.witness.rawValue] = $1.standing } ?? [:]
        }
        return Step(
            number: pair(\.number), title: ReportText.line(a?.title ?? b?.title ?? "", limit: 160),
            outcome: pair(\.outcome), seconds: pair { ReportText.seconds($0.seconds) }, mirrorLag: pair(\.mirrorLag),
            entryCount: pair(\.verdict?.entryCount), newEntryCount: pair(\.newEntries?.count),
            goneEntryCount: pair(\.goneEntries?.count), coveredSectionCount: pair(\.verdict?.coveredSectionCount),
            findings: differences(counts(a), counts(b)), witnesses: differences(standings(a), standings(b)))
    }

    private static func differences<Value>(_ a: [String: Value], _ b: [String: Value]) -> [String: Pair<Value>] {
        Set(a.keys).union(b.keys).reduce(into: [:]) { result, key in
            if a[key] != b[key] { result[key] = Pair(a: a[key], b: b[key]) }
        }
    }

    /// The steps of both, those that correspond beside each other: the most that there can be of the same titles in the same
    /// order. A record has 1024 steps at most.
    private static func aligned(_ a: [StepResult], _ b: [StepResult]) -> [(StepResult?, StepResult?)] {
        // How many can correspond from these two on.
        var lengths = [[Int32]](repeating: [Int32](repeating: 0, count: b.count + 1), count: a.count + 1)
        for i in a.indices.reversed() {
            for j in b.indices.reversed() {
                lengths[i][j] =
                    a[i].title == b[j].title
                    ? lengths[i + 1][j + 1] + 1 : max(lengths[i + 1][j], lengths[i][j + 1])
            }
        }
        var pairs: [(StepResult?, StepResult?)] = []
        var (i, j) = (0, 0)
        while i < a.count || j < b.count {
            if i < a.count, j < b.count, a[i].title == b[j].title {
                pairs.append((a[i], b[j]))
                (i, j) = (i + 1, j + 1)
            } else if j >= b.count || i < a.count && lengths[i + 1][j] >= lengths[i][j + 1] {
                pairs.append((a[i], nil))
                i += 1
            } else {
                pairs.append((nil, b[j]))
                j += 1
            }
        }
        return pairs
    }
}
