// SPDX-License-Identifier: Apache-2.0

/// What a history of a soak came to: a line of its journal.
public struct SoakHistory: Codable, Equatable, Sendable {
    /// Its number, which makes it together with the soak's seed.
    public var number: Int
    /// The kernel, as a plan names it.
    public var kernel: String
    /// The CPU model.
    public var cpu: String
    /// How the run ended.
    public var outcome: Outcome
    /// How long it took.
    public var seconds: Double
    /// How many verifications were made.
    public var verificationCount: Int
    /// How many entries they were about, all of them together.
    public var entryCount: Int
    /// What the guest refused as it may, by name, with the number of times.
    public var refusals: [String: Int]
    /// The names of the findings that nobody excused, of the first step that has any.
    public var findings: [String]
    /// What that step did; nil without findings.
    public var failedStep: String?
    /// What went wrong with the harness itself; nil when nothing did.
    public var error: String?
    /// The record's directory; nil where it was not kept, or could not be made.
    public var record: String?

    /// Collects what is known of a history.
    public init(
        number: Int, kernel: String, cpu: String, outcome: Outcome, seconds: Double, verificationCount: Int = 0,
        entryCount: Int = 0, refusals: [String: Int] = [:], findings: [String] = [], failedStep: String? = nil,
        error: String? = nil, record: String? = nil
    ) {
        self.number = number
        self.kernel = kernel
        self.cpu = cpu
        self.outcome = outcome
        self.seconds = seconds
        self.verificationCount = verificationCount
        self.entryCount = entryCount
        self.refusals = refusals
        self.findings = findings
        self.failedStep = failedStep
        self.error = error
        self.record = record
    }
}

/// What became of a history that failed: a line of a soak's journal.
public struct SoakShrinking: Codable, Equatable, Sendable {
    /// The history's number.
    public var number: Int
    /// The smallest plan that fails likewise; nil where the failure did not come again.
    public var plan: String?
    /// The record of a run of it; nil where it could not be kept.
    public var record: String?
    /// How many steps the history has.
    public var originalStepCount: Int
    /// How many steps that plan has.
    public var stepCount: Int
    /// How many plans were tried.
    public var tryCount: Int
    /// How often the history itself was tried anew.
    public var replayCount: Int
    /// How often it has failed then.
    public var replayFailureCount: Int
    /// Whether nothing more could be taken from the plan; else the tries were used up, or the soak was ended.
    public var isThrough: Bool

    /// Collects what is known of a shrinking.
    public init(
        number: Int, plan: String?, record: String?, originalStepCount: Int, stepCount: Int, tryCount: Int,
        replayCount: Int, replayFailureCount: Int, isThrough: Bool
    ) {
        self.number = number
        self.plan = plan
        self.record = record
        self.originalStepCount = originalStepCount
        self.stepCount = stepCount
        self.tryCount = tryCount
        self.replayCount = replayCount
        self.replayFailureCount = replayFailureCount
        self.isThrough = isThrough
    }
}

/// What a soak is, and what it has come to so far: the first line of its journal, and the last one.
public struct SoakSummary: Encodable, Equatable, Sendable {
    /// What all histories are drawn from.
    public var seed: UInt64
    /// The number of the first history.
    public var first: Int
    /// The number of the next one, which a soak that goes on begins with.
    public var next: Int
    /// How it ended; nil while it runs.
    public var outcome: Outcome?
    /// What ended it before its time; nil when nothing did.
    public var error: String?
    /// How many histories came to something.
    public var historyCount = 0
    /// How many of them were not right: there are findings.
    public var failedCount = 0
    /// How many of them libvirt, QEMU, the guest or the harness kept from a verdict.
    public var errorCount = 0
    /// How many of them left something unsaid.
    public var incompleteCount = 0
    /// How many verifications were made.
    public var verificationCount = 0
    /// How many entries they were about, all of them together.
    public var entryCount = 0
    /// What guests refused as they may, by name, with the number of times.
    public var refusals: [String: Int] = [:]
    /// What nobody excused, by name, with the number of histories.
    public var findings: [String: Int] = [:]
    /// How many records were dropped, because everything in them was right.
    public var droppedRecordCount = 0
    /// The options that make the same histories, beside seed and numbers.
    private let options: [String]

    private enum CodingKeys: String, CodingKey {
        case seed, first, next, outcome, error, historyCount, failedCount, errorCount, incompleteCount
        case verificationCount, entryCount, refusals, findings, droppedRecordCount
    }

    /// A soak that begins; the options are those that make the same histories, beside seed and numbers.
    public init(seed: UInt64, first: Int, options: [String] = []) {
        self.seed = seed
        self.first = first
        self.options = options
        next = first
    }

    /// The command line that makes the same histories, without their numbers.
    public var command: String { (["qemu-harness soak --seed \(seed)"] + options).joined(separator: " ") }

    /// The command line that goes on with the next history.
    public var goingOn: String { "\(command) --from \(next)" }

    /// Takes what a history came to.
    public mutating func add(_ history: SoakHistory) {
        next = history.number + 1
        historyCount += 1
        verificationCount += history.verificationCount
        entryCount += history.entryCount
        refusals.merge(history.refusals, uniquingKeysWith: +)
        for name in Set(history.findings) { findings[name, default: 0] += 1 }
        switch history.outcome {
        case .failed: failedCount += 1
        case .error: errorCount += 1
        case .incomplete: incompleteCount += 1
        case .passed, .interrupted: break
        }
    }

    /// What the soak comes to, by the worst of its histories.
    public func outcome(wasInterrupted: Bool) -> Outcome {
        if wasInterrupted { return .interrupted }
        if failedCount > 0 { return .failed }
        if errorCount > 0 || error != nil { return .error }
        return incompleteCount > 0 || verificationCount == 0 ? .incomplete : .passed
    }
}
