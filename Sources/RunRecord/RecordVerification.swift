// SPDX-License-Identifier: Apache-2.0

public import Foundation
public import Verification
import VmemmapPopulate

/// What follows from a record, or from a snapshot alone, with no guest.
///
/// Everything that is read may have been made by anyone. Whatever it holds, there is a verification: problems are
/// collected, and every snapshot that can be judged is.
public struct RecordVerification: Sendable {
    /// What the record says of its run; nil when that cannot be read, and for a snapshot alone.
    public private(set) var information: RunInformation?
    /// What is wrong with the record itself.
    public private(set) var problems: [RecordProblem] = []
    /// The steps, with verdicts that were reached anew.
    public private(set) var results: RunResults

    /// Verifies a snapshot's file.
    public init(snapshot file: URL) {
        results = RunResults(run: file.lastPathComponent, outcome: .error, error: nil, steps: [])
        if let step = judged(file, as: Self.verification(1), since: [])?.step { results.steps = [step] }
        conclude()
    }

    /// Verifies a run's directory.
    ///
    /// - Parameters:
    ///   - directory: the record.
    ///   - visit: is given each snapshot that could be judged, with its step as it was judged anew, in the record's order.
    public init(directory: URL, visit: (StepResult, Snapshot) -> Void = { _, _ in }) {
        let directory = directory.resolvingSymlinksInPath()
        results = RunResults(run: directory.lastPathComponent, outcome: .error, error: nil, steps: [])
        let names: Set<String>
        do {
            names = Set(try FileManager.default.contentsOfDirectory(atPath: directory.path))
        } catch {
            problems.append(RecordProblem(directory, "cannot be listed: \(error.localizedDescription)"))
            conclude()
            return
        }
        let snapshots = names.compactMap(RecordFile.step(ofSnapshot:)).sorted()
        guard names.contains(RecordFile.run) || names.contains(RecordFile.results) || !snapshots.isEmpty else {
            problems.append(RecordProblem(directory, "is no record of a run: it has no \(RecordFile.run)"))
            conclude()
            return
        }
        information = collect { () throws(RecordProblem) in
            try RecordFile.document(at: directory.appending(path: RecordFile.run), limit: RecordFile.runByteLimit)
        }
        checkDigests(directory, names: names)
        let recorded = recordedResults(directory, names: names)
        results.allowedUnsaid = recorded?.allowedUnsaid ?? []
        judge(directory, snapshots: snapshots, recorded: recorded, visit: visit)
        if problems.isEmpty, let recorded { compareOutcomes(recorded) }
        conclude(recorded: recorded)
    }

    private mutating func collect<Value>(_ body: () throws(RecordProblem) -> Value) -> Value? {
        do throws(RecordProblem) {
            return try body()
        } catch {
            // A file that the digests miss is not missed twice.
            if !problems.contains(error) { problems.append(error) }
            return nil
        }
    }

    // MARK: - The files

    private mutating func checkDigests(_ directory: URL, names: Set<String>) {
        guard let information else { return }
        guard let outcome = information.outcome else {
            problems.append(
                RecordProblem(
                    RecordFile.run, "has no outcome, the record is cut off: the run was killed, or has not ended yet"))
            return
        }
        if information.exitCode.map(outcome.exitCodes.contains) != true {
            let codes = outcome.exitCodes.sorted().map(String.init).joined(separator: " or ")
            problems.append(
                RecordProblem(
                    RecordFile.run,
                    "has the exit code \(information.exitCode.map(String.init) ?? "none") and the outcome "
                        + "'\(outcome.rawValue)', whose exit code is \(codes)"))
        }
        guard let digests = information.digests else {
            problems.append(RecordProblem(RecordFile.run, "has an outcome and no digests"))
            return
        }
        for (name, recorded) in digests.sorted(by: { $0.key < $1.key }) {
            guard RecordFile.isDigested(name) else {
                problems.append(
                    RecordProblem(RecordFile.run, "has a digest of '\(name.prefix(80))', which is no file of a record"))
                continue
            }
            guard
                let actual = collect({ () throws(RecordProblem) in
                    try RecordFile.digest(of: directory.appending(path: name))
                })
            else { continue }
            guard actual != recorded else { continue }
            problems.append(
                RecordProblem(
                    name,
                    "was edited or cut off: its SHA-256 is \(actual), \(RecordFile.run) says \(recorded.prefix(64))"
                ))
        }
        // The console of a guest that was kept has none.
        for name in names.sorted()
        where RecordFile.isDigested(name) && name != RecordFile.console && digests[name] == nil {
            problems.append(RecordProblem(name, "has no digest in \(RecordFile.run)"))
        }
    }

    private mutating func recordedResults(_ directory: URL, names: Set<String>) -> RunResults? {
        // A run that was cut off has written none.
        if !names.contains(RecordFile.results), let information, information.outcome == nil { return nil }
        let recorded: RunResults? = collect { () throws(RecordProblem) in
            try RecordFile.document(at: directory.appending(path: RecordFile.results))
        }
        guard let recorded else { return nil }
        if let information {
            compare("run", recorded.run, information.run)
            compare("outcome", recorded.outcome.rawValue, information.outcome?.rawValue ?? "none")
            compare("error", recorded.error ?? "none", information.error ?? "none")
        }
        guard recorded.steps.count <= RecordFile.stepLimit else {
            problems.append(
                RecordProblem(
                    RecordFile.results,
                    "has \(recorded.steps.count) steps; \(RecordFile.stepLimit) are the most that it can have"))
            return nil
        }
        for (step, next) in zip(recorded.steps, recorded.steps.dropFirst()) where next.number <= step.number {
            problems.append(
                RecordProblem(RecordFile.results, "has step \(next.number) after step \(step.number); numbers ascend"))
            return nil
        }
        return recorded
    }

    private mutating func compare(_ field: String, _ found: String, _ expected: String) {
        guard found != expected else { return }
        problems.append(
            RecordProblem(
                RecordFile.results, "has the \(field) '\(found.prefix(80))', \(RecordFile.run) '\(expected.prefix(80))'"
            ))
    }

    // MARK: - The verdicts

    /// A step that only its snapshot tells of; how long it took is not known.
    private static func verification(_ number: Int) -> StepResult {
        StepResult(number: number, title: "verify", seconds: 0, outcome: .incomplete)
    }

    /// A step with the verdict on its snapshot; nil when there is no verdict.
    private mutating func judged(
        _ file: URL, as step: StepResult, since lastEntries: [BackedWindow]
    ) -> (step: StepResult, snapshot: Snapshot)? {
        collect { () throws(RecordProblem) in
            let snapshot: Snapshot = try RecordFile.document(at: file)
            var step = step
            // What ended a step stays, whatever its snapshot says.
            let ending = EarlyEnding(step.outcome)
            do throws(SnapshotProblem) {
                try step.judge(snapshot, since: lastEntries)
            } catch {
                throw RecordProblem(file, "cannot be judged: \(error)")
            }
            step.conclude(endedBy: ending)
            return (step, snapshot)
        }
    }

    /// Judges each snapshot, and holds the verdict against the one that was recorded.
    private mutating func judge(
        _ directory: URL, snapshots: [Int], recorded: RunResults?, visit: (StepResult, Snapshot) -> Void
    ) {
        let steps = recorded?.steps ?? snapshots.map(Self.verification)
        var remaining = Set(snapshots)
        // Nil behind a snapshot that cannot be judged: what is new then is not known.
        var lastEntries: [BackedWindow]? = []
        var hasCrashKernel = false
        // What the verdicts so far leave possible; nil inside where they rule nothing out.
        var radixStarts: [RadixStart]?? = .some(nil)
        for step in steps {
            if step.beginsAnew { radixStarts = .some(nil) }
            if let isLoaded = step.isCrashKernelLoaded { hasCrashKernel = isLoaded }
            guard remaining.remove(step.number) != nil || step.verdict != nil else {
                results.steps.append(step)
                continue
            }
            let name = RecordFile.snapshot(step: step.number)
            guard
                case (var judged, let snapshot)? = judged(
                    directory.appending(path: name), as: step, since: lastEntries ?? [])
            else {
                var step = step
                step.verdict = nil
                step.newEntries = nil
                step.goneEntries = nil
                step.outcome = .incomplete
                results.steps.append(step)
                lastEntries = nil
                radixStarts = nil
                continue
            }
            if let known = radixStarts { checkRule(snapshot, name, known: known) }
            radixStarts = .some(judged.verdict?.radixStarts)
            if let lastEntries {
                checkQuestions(
                    snapshot, name, since: lastEntries,
                    hasCrashKernel: recorded == nil ? snapshot.crashHeader != nil : hasCrashKernel)
            } else {
                judged.newEntries = step.newEntries
                judged.goneEntries = step.goneEntries
            }
            lastEntries = snapshot.accountEntries
            results.steps.append(judged)
            visit(judged, snapshot)
            // What ended a step may have come before its verdict.
            if recorded != nil, EarlyEnding(step.outcome) == nil || step.verdict != nil {
                compare(recorded: step, with: judged, snapshot: name)
            }
        }
        for number in remaining.sorted() where recorded != nil {
            let name = RecordFile.snapshot(step: number)
            problems.append(RecordProblem(name, "belongs to no step in \(RecordFile.results)"))
        }
    }

    private mutating func compare(recorded: StepResult, with judged: StepResult, snapshot: String) {
        guard recorded != judged else { return }
        func text(_ step: StepResult) -> String {
            guard let verdict = step.verdict else { return "\(step.outcome.rawValue) without a verdict" }
            return "\(step.outcome.rawValue) with \(verdict.findings.count) findings and \(verdict.entryCount) entries"
        }
        let fields = [
            ("verdict", recorded.verdict != judged.verdict), ("outcome", recorded.outcome != judged.outcome),
            ("new entries", recorded.newEntries != judged.newEntries),
            ("gone entries", recorded.goneEntries != judged.goneEntries),
        ]
        let differing = fields.filter(\.1).map(\.0).joined(separator: ", ")
        problems.append(
            RecordProblem(
                RecordFile.results,
                "does not follow from \(snapshot): step \(recorded.number) differs in \(differing); recorded is "
                    + "\(text(recorded)), the snapshot gives \(text(judged))"))
    }

    /// Who was to be asked, and about what, does not follow from a snapshot alone.
    private mutating func checkQuestions(
        _ snapshot: Snapshot, _ name: String, since lastEntries: [BackedWindow], hasCrashKernel: Bool
    ) {
        let witnesses = information?.guest.witnesses.map { witnesses in
            (snapshot.isOfCrash ? Witness.afterCrash(of: witnesses) : witnesses)
                + (hasCrashKernel ? [.crashHeader] : [])
        }
        if let witnesses, witnesses != snapshot.witnesses {
            let (found, expected) = (snapshot.witnesses, witnesses)
            func text(_ witnesses: [Witness]) -> String { witnesses.map(\.rawValue).joined(separator: ", ") }
            problems.append(
                RecordProblem(name, "has the witnesses \(text(found)), \(RecordFile.run) \(text(expected))"))
        }
        if snapshot.windowsGone(from: lastEntries) != snapshot.formerWindows {
            problems.append(
                RecordProblem(
                    name,
                    "has \(snapshot.formerWindows.count) windows that are gone, which are not those that the snapshot before "
                        + "had and this one has not"))
        }
    }

    /// What is known of a kernel's start rule is what the verdicts before have left of it.
    private mutating func checkRule(_ snapshot: Snapshot, _ name: String, known: [RadixStart]?) {
        guard snapshot.radixStarts != known else { return }
        func text(_ rules: [RadixStart]?) -> String {
            rules.map { $0.map(\.name).joined(separator: ", ") } ?? "any"
        }
        problems.append(
            RecordProblem(
                name,
                "has the start rule \(text(snapshot.radixStarts)), and what the snapshots before leave of it is "
                    + text(known)))
    }

    /// What the run came to follows from its steps, unless something else ended it.
    private mutating func compareOutcomes(_ recorded: RunResults) {
        for step in recorded.steps {
            // A verdict's outcome was reached anew.
            guard step.verdict == nil, EarlyEnding(step.outcome) == nil else { continue }
            let outcome = Outcome.of(step)
            if step.outcome != outcome {
                problems.append(
                    RecordProblem(
                        RecordFile.results,
                        "has the outcome '\(step.outcome.rawValue)' in step \(step.number), whose findings come to "
                            + "'\(outcome.rawValue)'"))
            }
        }
        if let ended = recorded.steps.dropLast().first(where: { EarlyEnding($0.outcome) != nil }) {
            problems.append(
                RecordProblem(
                    RecordFile.results,
                    "has a step after step \(ended.number), whose outcome is '\(ended.outcome.rawValue)'"))
        }
        let outcome = Outcome.of(results.steps, allowing: results.allowedUnsaid)
        if !outcome.possibleOutcomesOfRun.contains(recorded.outcome) {
            problems.append(
                RecordProblem(
                    RecordFile.results,
                    "has the outcome '\(recorded.outcome.rawValue)'; its steps come to '\(outcome.rawValue)'"))
        }
        if [.passed, .incomplete].contains(recorded.outcome), let error = recorded.error {
            problems.append(
                RecordProblem(
                    RecordFile.results,
                    "has the outcome '\(recorded.outcome.rawValue)' and the error '\(error.prefix(80))'"))
        }
    }

    /// Says what all of it comes to. `recorded` is how the run ended, as its record says: what it came to is no better.
    private mutating func conclude(recorded: RunResults? = nil) {
        if let run = information?.run { results.run = run }
        guard problems.isEmpty else {
            results.outcome = .error
            results.error = problems.map(\.description).joined(separator: "; ")
            return
        }
        let outcome = Outcome.of(results.steps, allowing: results.allowedUnsaid)
        results.outcome = recorded.map { outcome.verified(recorded: $0.outcome) } ?? outcome
        results.error = recorded?.error
    }
}
