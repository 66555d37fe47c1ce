// SPDX-License-Identifier: Apache-2.0

package import Plans

/// Makes a plan that fails smaller: by delta debugging of its steps, and then of what they ask for.
///
/// Whoever judges asks for the ``next()`` plan and says whether it has failed in the same way, until there is none. The plan
/// is tried anew first, up to where it failed: a failure that does not come at once takes several tries, of each plan from
/// then on; one that does not come at all is left as it is.
package struct Shrinker {
    /// The smallest plan that is known to fail.
    package private(set) var plan: Plan
    /// How many plans were judged.
    package private(set) var tryCount = 0
    /// How often the plan was tried anew, and how often it has failed then.
    package private(set) var replays = (count: 0, failureCount: 0)

    private let tryLimit: Int
    private let replayLimit: Int
    private var phase = Phase.replaying
    /// The plan that is judged now, and how often it has passed.
    private var candidate: (plan: Plan, passCount: Int)?
    /// Plans that have been judged, or were not worth it.
    private var known: [Plan] = []

    /// Whether anything was left out since the pieces were gone through from the first one.
    private var hasRemoved = false

    /// How often a plan is tried whose failure does not come each time.
    package static let attemptLimit = 3

    private enum Phase: Equatable {
        /// The plan is tried anew.
        case replaying
        /// So many pieces are left out, from this one on.
        case removing(count: Int, from: Int)
        /// What the steps ask for is made less.
        case simplifying
        case done
    }

    /// Shrinks a plan that has failed in a step, counted from 1 among its own; at most so many plans are judged.
    ///
    /// What comes behind that step has nothing to do with it. Where the plan does not fail anew, it is tried so many times in
    /// all before that is believed.
    package init(_ plan: Plan, failedStep: Int? = nil, tryLimit: Int, replayLimit: Int = Self.attemptLimit) {
        let flat = plan.flattened
        self.tryLimit = tryLimit
        self.replayLimit = replayLimit
        let count = failedStep.map { flat.pieceCount(ofSteps: $0) }
        self.plan = count.flatMap { count in flat.keeping { $0 < count } } ?? flat
    }

    /// Whether the failure has come each time that the plan was tried anew.
    package var isReliable: Bool { replays.count == replays.failureCount }

    /// Whether the failure did not come again.
    package var hasVanished: Bool { phase != .replaying && replays.failureCount == 0 }

    /// Whether nothing is left that could be taken from the plan; else the tries were used up.
    package var isThrough: Bool { phase == .done }

    /// The next plan to judge; nil when there is none.
    package mutating func next() -> Plan? {
        guard tryCount < tryLimit else { return nil }
        if let candidate { return candidate.plan }
        while phase != .done {
            guard let plan = proposal() else { continue }
            candidate = (plan, 0)
            return plan
        }
        return nil
    }

    /// What came of the plan that ``next()`` gave: whether it has failed in the same way.
    package mutating func take(hasFailed: Bool) {
        guard let (plan, passCount) = candidate else { return }
        tryCount += 1
        if phase == .replaying { return replayed(hasFailed: hasFailed) }
        if hasFailed {
            candidate = nil
            adopt(plan)
        } else if passCount + 1 < (isReliable ? 1 : Self.attemptLimit) {
            candidate = (plan, passCount + 1)
        } else {
            candidate = nil
            skip()
        }
    }

    private mutating func replayed(hasFailed: Bool) {
        replays.count += 1
        replays.failureCount += hasFailed ? 1 : 0
        // One failure at once is enough to rely on; else it is found out how often it comes.
        guard replays.failureCount == replays.count || replays.count >= replayLimit else { return }
        candidate = nil
        phase = replays.failureCount == 0 ? .done : .removing(count: max(plan.pieces.count / 2, 1), from: 0)
    }

    /// The plan that the phase leads to; nil when the phase has gone on without one.
    private mutating func proposal() -> Plan? {
        let pieces = plan.pieces
        let proposal: Plan?
        switch phase {
        case .replaying: return plan
        case .removing(let count, let start):
            guard start < pieces.count else {
                // A step that could not go may be able to since another one went.
                phase = count > 1 || hasRemoved ? .removing(count: max(count / 2, 1), from: 0) : .simplifying
                hasRemoved = false
                return nil
            }
            proposal = plan.keeping { !(start..<start + count).contains($0) }
        case .simplifying:
            proposal = plan.simplifications.first { !known.contains($0) }
            if proposal == nil { phase = .done }
        case .done: return nil
        }
        guard let proposal, proposal != plan, !known.contains(proposal) else {
            skip()
            return nil
        }
        known.append(proposal)
        return proposal
    }

    /// Goes on with a smaller plan.
    private mutating func adopt(_ plan: Plan) {
        self.plan = plan
        if case .removing = phase { hasRemoved = true }
    }

    /// Goes on with what is left of the phase.
    private mutating func skip() {
        if case .removing(let count, let start) = phase { phase = .removing(count: count, from: start + count) }
    }
}
