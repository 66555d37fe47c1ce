// SPDX-License-Identifier: Apache-2.0

public import Verification

/// `results.json`: each step, and the verdicts.
public struct RunResults: Codable, Equatable, Sendable, VersionedDocument {
    /// The versions of this file's form. 2 has entries one by one where 3 has columns.
    public static let knownSchemas = 2...3

    /// The version, as it is written.
    public private(set) var schema = SchemaVersion<RunResults>()
    /// The run's name.
    public var run: String
    /// How the run ended.
    public var outcome: Outcome
    /// What went wrong with the harness itself, nil when nothing did.
    public var error: String?
    /// The steps that were taken, in order.
    public var steps: [StepResult]
    /// The witnesses that may leave something unsaid in this run (`--allow-unsaid`).
    public var allowedUnsaid: [Witness]

    /// Collects results.
    public init(
        run: String, outcome: Outcome, error: String?, steps: [StepResult], allowedUnsaid: [Witness] = []
    ) {
        self.run = run
        self.outcome = outcome
        self.error = error
        self.steps = steps
        self.allowedUnsaid = allowedUnsaid
    }
}

/// One step of a run.
public struct StepResult: Codable, Equatable, Sendable {
    /// Counts from 1.
    public var number: Int
    /// What was done, as a person reads it.
    public var title: String
    /// How long it took.
    public var seconds: Double
    /// How it ended.
    public var outcome: Outcome
    /// A verification's verdict.
    public var verdict: Verdict?
    /// The entries that the kernel's account has and did not have at the verification before, newest first on a list and
    /// ascending in page tables; all of them at the first one.
    @OptionalColumns public var newEntries: [BackedWindow]?
    /// The entries that it had then and has no more.
    @OptionalColumns public var goneEntries: [BackedWindow]?
    /// What a person is told of the step beside its outcome: which kernel booted, or what came of a step that can come out
    /// in more than one right way.
    public var note: String?
    /// How far the mirror was behind the kernel, where the step changed the mirror and the agent's source tells times.
    public var mirrorLag: MirrorLag?
    /// What came of a dump.
    public var dump: DumpResult?
    /// What a step that is no verification found.
    public var findings: [Finding]?
    /// The findings that this step expects of the one before it, or allows, by their names; nil when it is no expectation.
    public var expectedFindings: [String]?
    /// The witnesses that this step expects to leave something unsaid in the one before it; nil when it expects none.
    public var expectedUnsaid: [Witness]?

    /// Describes a step without a verdict.
    public init(number: Int, title: String, seconds: Double, outcome: Outcome) {
        self.number = number
        self.title = title
        self.seconds = seconds
        self.outcome = outcome
    }

    /// Takes the verdict on a snapshot, what follows from it, and how the kernel's account has changed since `lastEntries`.
    public mutating func judge(_ snapshot: Snapshot, since lastEntries: [BackedWindow]) throws(SnapshotProblem) {
        verdict = try Verifier.verdict(on: snapshot)
        conclude()
        newEntries = Self.entries(snapshot.accountEntries, missingIn: lastEntries)
        goneEntries = Self.entries(lastEntries, missingIn: snapshot.accountEntries)
    }

    private static func entries(_ entries: [BackedWindow], missingIn others: [BackedWindow]) -> [BackedWindow] {
        // Wherever it stands: an entry that has only moved is neither new nor gone.
        func backing(_ entry: BackedWindow) -> BackedWindow {
            BackedWindow(place: 0, virtAddr: entry.virtAddr, phys: entry.phys, byteCount: entry.byteCount)
        }
        let known = Set(others.map(backing))
        return known.isEmpty ? entries : entries.filter { !known.contains(backing($0)) }
    }

    /// The titles of the steps behind which a crash kernel is loaded, or is not any more.
    public static let (loadCrashKernelTitle, rebootTitle) = ("load crash kernel", "reboot")

    /// Whether another kernel runs behind this step.
    var beginsAnew: Bool { title == Self.rebootTitle }

    /// Whether a crash kernel is loaded behind this step; nil where the step changes nothing of that.
    var isCrashKernelLoaded: Bool? {
        switch title {
        case Self.loadCrashKernelTitle: outcome == .passed ? true : nil
        case Self.rebootTitle: false
        default: nil
        }
    }

    /// Everything that the step found.
    public var allFindings: [Finding] { (findings ?? []) + (verdict?.findings ?? []) }
}
