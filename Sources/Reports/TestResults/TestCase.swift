// SPDX-License-Identifier: Apache-2.0

import RunRecord
import Verification

/// A step of a run as a test. Its texts are lines that any document takes.
struct TestCase {
    /// What a test came to.
    enum Status {
        /// Nothing that it found, or left unsaid, is without an excuse.
        case passed
        /// There are findings that nobody excused.
        case failed
        /// The harness, libvirt or QEMU failed in it, or a signal ended it.
        case error
        /// It had to verify something, and did not: no framework may show it green.
        case incomplete
        /// It is in the plan, and the run ended before it.
        case skipped

        /// Whether a person has to look at it.
        var isFailure: Bool { self != .passed && self != .skipped }
    }

    /// The step's number, counted from 1; nil of the run as a whole.
    let number: Int?
    /// The step's title, without its number.
    let title: String
    let seconds: Double
    let status: Status
    /// Why it did not pass, in a line; empty where it did.
    let reason: String
    /// What is to be said of it, by lines.
    let details: [String]
    /// The names of the findings that nobody excused, without repetition, in order.
    var findingNames: [String] = []
    /// The same, with what they say.
    var findings: [Finding] = []
    /// What witnesses left unsaid and nobody excused.
    var unsaid: [Unsaid] = []
    /// A verification's verdict.
    var verdict: Verdict?

    /// What identifies it in its run.
    var name: String { number.map { "\($0) \(title)" } ?? title }

    /// How many findings are told with their texts; results.json has all of them.
    private static let findingLimit = 64

    init(
        number: Int? = nil, title: String, seconds: Double = 0, status: Status, reason: String = "",
        details: [String] = []
    ) {
        self.number = number
        self.title = ReportText.line(title, limit: 160)
        self.seconds = ReportText.seconds(seconds)
        self.status = status
        self.reason = ReportText.line(reason)
        self.details = details.map { ReportText.line($0) }
    }

    /// A step that was taken: `failures` and `unsaid` are what nobody excused of what it found and left unsaid, `error` is
    /// what went wrong with the run itself.
    init(_ step: StepResult, failures: [Finding], unsaid: [Unsaid], error: String?) {
        var names: [String] = []
        for name in failures.lazy.map(\.name) where !names.contains(name) { names.append(name) }
        let known = Set(names)
        var details = step.note.map { ["note: \($0)"] } ?? []
        details += Self.told(failures)
        details += Self.told(step.allFindings.filter { !known.contains($0.name) }).map { "as expected: \($0)" }
        for item in step.verdict?.unsaid ?? [] {
            details.append(Self.told(item) + (unsaid.contains(item) ? "" : ", as expected"))
        }
        if let dump = step.dump { details.append("dump: \(dump.tool) \(dump.text)") }
        let (status, reason) = Self.status(of: step, failureNames: names, unsaid: unsaid, error: error)
        if status == .error { details.append("error: \(reason)") }
        self.init(
            number: step.number, title: step.title, seconds: step.seconds, status: status, reason: reason,
            details: details)
        (findingNames, findings, self.unsaid, verdict) = (names, failures, unsaid, step.verdict)
    }

    private static func status(
        of step: StepResult, failureNames: [String], unsaid: [Unsaid], error: String?
    ) -> (Status, reason: String) {
        if !failureNames.isEmpty { return (.failed, failureNames.joined(separator: ", ")) }
        switch step.outcome {
        case .error: return (.error, error ?? "the step ended with an error")
        case .interrupted: return (.error, "a signal ended the run")
        case .passed, .failed, .incomplete: break
        }
        guard unsaid.isEmpty else { return (.incomplete, unsaid.map(told).joined(separator: "; ")) }
        return (.passed, "")
    }

    private static func told(_ findings: [Finding]) -> [String] {
        let lines = findings.prefix(findingLimit).map { "\($0.name): \($0.message)" }
        let rest = findings.count - lines.count
        return rest > 0 ? lines + ["… and \(rest) more in results.json"] : lines
    }

    /// What a witness left unsaid, in a line.
    static func told(_ unsaid: Unsaid) -> String {
        let count = unsaid.count > 0 ? " of \(unsaid.count) entries" : ""
        return "not said: \(unsaid.witness.rawValue)\(count): \(unsaid.reason)"
    }
}
