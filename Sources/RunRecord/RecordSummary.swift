// SPDX-License-Identifier: Apache-2.0

public import Foundation
import Verification

/// What a record says of its run, as it was written: nothing is judged anew, and no digest is looked at.
///
/// There is one of whatever lies where a record may lie, so that a damaged one is told of with the others.
public struct RecordSummary: Encodable, Sendable {
    /// How far a record is.
    public enum State: String, Encodable, Sendable {
        /// The run has ended, and its record is as it was left.
        case ended
        /// The run goes on.
        case running
        /// The run's process has died before its record had an end.
        case cutOff = "cut-off"
        /// The record cannot be read, or contradicts itself.
        case damaged
    }

    /// A step, as far as the record tells.
    public struct Step: Encodable, Sendable {
        /// Counts from 1.
        public var number: Int
        /// What was done.
        public var title: String
        /// How it ended; nil of one that goes on, or was cut off.
        public var outcome: Outcome?
        /// In seconds; nil of a step that goes on, or was cut off.
        public var seconds: Double?
        /// How often each finding was found in it.
        public var findings: [String: Int]
    }

    /// The name of the record's folder.
    public let name: String
    /// The record's folder.
    public let directory: URL
    /// How far the record is.
    public private(set) var state: State
    /// What is wrong with the record; nil of one that can be read.
    public private(set) var problem: String?
    /// `run.json`; nil where it cannot be read.
    public let information: RunInformation?
    /// `results.json`; nil where there is none yet, or it cannot be read.
    public let results: RunResults?

    /// Reads what a folder holds.
    public init(of directory: URL) {
        (self.directory, name) = (directory, directory.lastPathComponent)
        var problems: [RecordProblem] = []
        func read<Value>(_ body: () throws(RecordProblem) -> Value) -> Value? {
            do throws(RecordProblem) {
                return try body()
            } catch {
                problems.append(error)
                return nil
            }
        }
        information = read { () throws(RecordProblem) -> RunInformation in
            try RecordFile.document(at: directory.appending(path: RecordFile.run), limit: RecordFile.runByteLimit)
        }
        let isRunning = information?.outcome == nil && RecordLock.isHeld(in: directory)
        guard let information, let outcome = information.outcome else {
            results = nil
            state = isRunning ? .running : information == nil ? .damaged : .cutOff
            problem = isRunning ? nil : problems.first?.description
            return
        }
        results = read { () throws(RecordProblem) -> RunResults in
            let results: RunResults = try RecordFile.document(at: directory.appending(path: RecordFile.results))
            guard results.steps.count <= RecordFile.stepLimit else {
                throw RecordProblem(
                    RecordFile.results,
                    "has \(results.steps.count) steps; \(RecordFile.stepLimit) are the most that it can have")
            }
            guard results.outcome == outcome else {
                throw RecordProblem(
                    RecordFile.results,
                    "has the outcome '\(results.outcome.rawValue)', \(RecordFile.run) '\(outcome.rawValue)'")
            }
            return results
        }
        state = problems.isEmpty ? .ended : .damaged
        problem = problems.first?.description
    }

    /// How the run ended; nil where the record does not say, or cannot be believed.
    public var outcome: Outcome? { state == .ended ? information?.outcome : nil }

    /// How often each finding was found, excused ones among them.
    public var findings: [String: Int] {
        results?.steps.reduce(into: [:]) { counts, step in
            for finding in step.allFindings { counts[finding.name, default: 0] += 1 }
        } ?? [:]
    }

    /// The entries at the last verification.
    public var entryCount: Int? { results?.steps.last { $0.verdict != nil }?.verdict?.entryCount }

    /// The steps: those of the results, and before there are any those that the events tell of.
    public func steps() -> [Step] {
        if let results {
            return results.steps.map { step in
                Step(
                    number: step.number, title: step.title, outcome: step.outcome, seconds: step.seconds,
                    findings: step.allFindings.reduce(into: [:]) { $0[$1.name, default: 0] += 1 })
            }
        }
        var steps: [Step] = []
        var start = 0.0
        for event in ((try? EventLog(of: directory)) ?? EventLog()).moments {
            switch event.kind {
            case "step.started":
                guard let number = event.step, steps.count < RecordFile.stepLimit else { break }
                steps.append(Step(number: number, title: event.title ?? "", findings: [:]))
                start = event.time
            case "finding":
                guard let name = event.name, !steps.isEmpty else { break }
                steps[steps.count - 1].findings[name, default: 0] += 1
            case "step.ended":
                guard !steps.isEmpty else { break }
                steps[steps.count - 1].seconds = event.time - start
                steps[steps.count - 1].outcome = event.outcome.flatMap(Outcome.init(rawValue:))
            default: break
            }
        }
        return steps
    }

    private enum CodingKeys: String, CodingKey {
        case run, record, state, problem, outcome, exitCode, error, startedAt, finishedAt, kernel, cpu, mmu
        case pageByteCount, entryCount, findings
    }

    /// Writes what a list has: the rest stands in the record's own files.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(name, forKey: .run)
        try container.encode(directory.path, forKey: .record)
        try container.encode(state, forKey: .state)
        try container.encodeIfPresent(problem, forKey: .problem)
        try container.encodeIfPresent(outcome, forKey: .outcome)
        try container.encodeIfPresent(information?.exitCode, forKey: .exitCode)
        try container.encodeIfPresent(information?.error, forKey: .error)
        try container.encodeIfPresent(information?.startedAt, forKey: .startedAt)
        try container.encodeIfPresent(information?.finishedAt, forKey: .finishedAt)
        try container.encodeIfPresent(information?.guest.kernelRelease, forKey: .kernel)
        try container.encodeIfPresent(information?.guest.cpu, forKey: .cpu)
        try container.encodeIfPresent(information?.guest.mmu, forKey: .mmu)
        try container.encodeIfPresent(information?.guest.pageByteCount, forKey: .pageByteCount)
        try container.encodeIfPresent(entryCount, forKey: .entryCount)
        if results != nil { try container.encode(findings, forKey: .findings) }
    }
}
