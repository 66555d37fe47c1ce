// SPDX-License-Identifier: Apache-2.0

public import Foundation

/// Which records of a folder go, and which stay.
public struct RunPruning: Sendable {
    /// Why a record stays that is old enough to go.
    public enum Reason: String, Encodable, Sendable {
        /// Its run goes on.
        case running
        /// Its guest was kept, and runs on.
        case guestKept = "guest-kept"
        /// It is the newest one that failed.
        case lastFailing = "last-failing"
        /// Its folder was not named by a run.
        case renamed
    }

    /// The names of the records that go, oldest first.
    public private(set) var removed: [String] = []
    /// The names of those that are old enough, and stay.
    public private(set) var kept: [(name: String, reason: Reason)] = []

    /// Looks through a folder.
    ///
    /// A record is old enough where it began before `limit`, and is not among the newest `keptCount`; what is nil says
    /// nothing. Of a record that cannot be read its name says when it began.
    ///
    /// - Parameters:
    ///   - folder: the folder.
    ///   - limit: what began before it is old.
    ///   - keptCount: how many of the newest records are not.
    ///   - removesLastFailing: whether the newest record of a run that failed goes like any other.
    ///   - keptGuests: the identifiers of the runs whose guests run on.
    public init(
        _ folder: RunsFolder, olderThan limit: Date?, keepLast keptCount: Int?, removesLastFailing: Bool,
        keptGuests: Set<String>
    ) {
        // By their beginnings; a name that says none stays in any case.
        let names = folder.names.sorted { lhs, rhs in
            let (left, right) = (RunsFolder.start(ofRun: lhs), RunsFolder.start(ofRun: rhs))
            return (left ?? .distantPast, lhs) < (right ?? .distantPast, rhs)
        }
        let old = Set(names.dropLast(min(keptCount ?? 0, names.count)))
        var hasFailing = false
        // The newest first: of those that failed the first one is the last.
        for name in names.reversed() {
            let isCandidate =
                old.contains(name) && limit.map { (RunsFolder.start(ofRun: name) ?? .distantFuture) < $0 } ?? true
            guard isCandidate || !hasFailing else { continue }
            let summary = folder.summary(name)
            let isLastFailing = !hasFailing && summary.outcome == .failed
            if isLastFailing { hasFailing = true }
            guard isCandidate else { continue }
            let reason: Reason? =
                if RunsFolder.start(ofRun: name) == nil {
                    .renamed
                } else if summary.state == .running {
                    .running
                } else if keptGuests.contains(RunsFolder.identifier(ofRun: name)) {
                    .guestKept
                } else if isLastFailing, !removesLastFailing {
                    .lastFailing
                } else {
                    nil
                }
            if let reason { kept.append((name, reason)) } else { removed.append(name) }
        }
        removed.reverse()
        kept.reverse()
    }
}
