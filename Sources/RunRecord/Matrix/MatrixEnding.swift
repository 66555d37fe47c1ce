// SPDX-License-Identifier: Apache-2.0

import Foundation
import Verification

/// What an attempt came to.
public struct MatrixEnding: Codable, Equatable, Sendable {
    /// How the run ended.
    public var outcome: Outcome
    /// How long it took, in seconds.
    public var seconds: Double
    /// The name of its record, in the matrix's folder; nil where there is none.
    public var record: String?
    /// How many verifications were made.
    public var verificationCount = 0
    /// How many entries they were about, all of them together.
    public var entryCount = 0
    /// How often each finding was found that nobody excused.
    public var findings: [String: Int] = [:]
    /// What went wrong with the harness itself; nil when nothing did.
    public var error: String?

    /// An ending without a record.
    public init(outcome: Outcome, seconds: Double, error: String? = nil) {
        (self.outcome, self.error) = (outcome, error.map(Self.beginning))
        self.seconds = min(max(seconds, 0), Self.secondsLimit)
    }

    /// What is taken for a number of seconds, and for a count.
    static let (secondsLimit, countLimit) = (1e9, 1 << 40)
    private static let errorByteLimit = 4 << 10

    private static func beginning(_ text: String) -> String {
        String(decoding: text.utf8.prefix(errorByteLimit), as: UTF8.self)
    }

    /// Adds what the run's record says. What was found stays found, whatever ended the run behind it.
    public mutating func take(_ summary: RecordSummary) {
        record = summary.name
        guard let results = summary.results else {
            // Of a run that was cut off nobody knows what would have been excused.
            for step in summary.steps() { findings.merge(step.findings) { Self.sum($0, $1) } }
            return
        }
        error = results.error.map(Self.beginning) ?? error
        for (_, found) in results.failures {
            for finding in found { findings[finding.name, default: 0] += 1 }
        }
        for verdict in results.steps.compactMap(\.verdict) {
            verificationCount += 1
            entryCount = Self.sum(entryCount, verdict.entryCount)
        }
        if results.hasFailedForGood { outcome = .failed }
    }

    private static func sum(_ one: Int, _ other: Int) -> Int { min(max(other, 0), countLimit - one) + one }

    /// Adds what the record of its run says, nil where it has left none; what that does not bear out is an error. One that was
    /// interrupted is taken again in any case, and may have been killed before it had a record.
    public mutating func hold(against summary: RecordSummary?, of cell: MatrixCell) {
        if let summary { take(summary) }
        if outcome != .interrupted, let problem = problem(of: cell, summary) { (outcome, error) = (.error, problem) }
    }

    /// Why this is not what came of a cell, by the record of its run; nil when it is. Only what went wrong needs no record.
    public func problem(of cell: MatrixCell, _ summary: RecordSummary?) -> String? {
        guard outcome != .error else { return nil }
        guard let summary else { return "its run has left no record" }
        guard summary.state == .ended, let recorded = summary.outcome, let guest = summary.information?.guest else {
            return "its record is \(summary.state.rawValue)" + (summary.problem.map { ": \($0)" } ?? "")
        }
        guard recorded == outcome || outcome == .failed && summary.results?.hasFailedForGood == true else {
            return "its run's outcome is '\(outcome.rawValue)', and its record's '\(recorded.rawValue)'"
        }
        guard guest.cpu == cell.cpu else { return "its record is of \(guest.cpu)" }
        let plan = try? RecordFile.digest(of: summary.directory.appending(path: RecordFile.plan))
        return plan == cell.planDigest ? nil : "its record is of another plan"
    }

    /// Whether it is what a run can have come to.
    var isPossible: Bool {
        seconds.isFinite && 0...Self.secondsLimit ~= seconds
            && ([verificationCount, entryCount] + findings.values).allSatisfy { 0...Self.countLimit ~= $0 }
            && findings.count <= 4096
    }
}

extension RunResults {
    /// Whether there are findings that nobody excused, and that nobody could have excused any more: the expectations right
    /// behind their step were taken, or there are none.
    var hasFailedForGood: Bool {
        guard let first = failures.first else { return false }
        return outcome == .failed || steps.contains { $0.number > first.step && $0.expectedFindings == nil }
    }
}
