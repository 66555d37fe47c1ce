// SPDX-License-Identifier: Apache-2.0

package import Exploration
package import RunRecord
import Synchronization
import Verification

/// One thing that happens in a soak, for a person who watches.
package enum SoakEvent {
    /// A history begins.
    case historyStarted(number: Int, Subject)
    /// A step of a run begins.
    case stepStarted(title: String)
    /// A history ended; with it the soak has come to this.
    case historyEnded(SoakHistory, SoakSummary)
    /// A smaller plan is tried; so many steps has the smallest one that fails.
    case trying(number: Int, tryCount: Int, stepCount: Int)
    /// A history that failed was made as small as it could be.
    case shrunk(SoakShrinking)
}

/// Somebody who is told what happens in a soak.
package protocol SoakObserver: Sendable {
    /// Takes the next event.
    func observe(_ event: SoakEvent)
}

/// What a run has come to, counted as it is told.
final class RunTally: RunObserver {
    struct Count {
        var verificationCount = 0
        var entryCount = 0
        /// By the names of findings; an unplug that is refused is none, and counted like one.
        var refusals: [String: Int] = [:]
    }

    private let state = Mutex(Count())
    private let observer: any SoakObserver

    init(telling observer: any SoakObserver) {
        self.observer = observer
    }

    var count: Count { state.withLock { $0 } }

    func observe(_ event: RunEvent) {
        switch event {
        case .stepStarted(_, let title): observer.observe(.stepStarted(title: title))
        case .unplugSettled(_, .refused): state.withLock { $0.refusals["unplug-refused", default: 0] += 1 }
        case .stepEnded(let step):
            state.withLock { count in
                if let verdict = step.verdict {
                    count.verificationCount += 1
                    count.entryCount += verdict.entryCount
                }
                for finding in step.allFindings where finding.fault == .refused {
                    count.refusals[finding.name, default: 0] += 1
                }
            }
        default: break
        }
    }
}
