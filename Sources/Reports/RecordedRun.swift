// SPDX-License-Identifier: Apache-2.0

public import Foundation
public import RunRecord
import Verification

/// What every report is made from: a record, as it was read and judged anew. Nothing of it comes from the run itself, so
/// that a report of a record from another machine says the same.
///
/// Whatever the record holds, there is one: what is wrong with it is in ``problems``.
public struct RecordedRun: Sendable {
    /// The record's folder.
    public let directory: URL
    /// `run.json`; nil where it cannot be read.
    public let information: RunInformation?
    /// What is wrong with the record itself, and what of it is not in a report.
    public let problems: [RecordProblem]
    /// The steps and what they came to, judged anew.
    public let results: RunResults
    /// The memory map at each verification, by the steps' numbers.
    public let memory: [Int: StepMemory]
    /// What happened, with times.
    public let events: EventLog
    /// The guest's console; nil where it cannot be read.
    public let console: RecordText?
    /// `harness.log`; nil where it cannot be read.
    public let log: RecordText?
    /// `plan.yaml`; nil where it cannot be read.
    public let plan: RecordText?

    /// The steps that have a verdict.
    public var verifications: [StepResult] { results.steps.filter { $0.verdict != nil } }
}

extension RecordedRun {
    /// Reads and judges a record.
    public init(directory: URL) {
        let directory = directory.resolvingSymlinksInPath()
        var memory: [Int: StepMemory] = [:]
        var budget = StepMemory.Budget()
        let verification = RecordVerification(directory: directory) { step, snapshot in
            memory[step.number] = StepMemory(snapshot, &budget)
        }
        self.init(
            directory: directory, information: verification.information, problems: verification.problems,
            results: verification.results, memory: memory, events: (try? EventLog(of: directory)) ?? EventLog(),
            console: try? RecordText(.console, in: directory), log: try? RecordText(.log, in: directory),
            plan: try? RecordText(.plan, in: directory))
    }
}
