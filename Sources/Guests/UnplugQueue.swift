// SPDX-License-Identifier: Apache-2.0

import AgentProtocol
import RunRecord

/// The unplugs that the guest was asked for and has not settled.
///
/// A guest takes requests one after the other (`pseries_hp_wq`, platforms/pseries/dlpar.c), and its message of a failure
/// names no DIMM: it is about the oldest request that is open.
struct UnplugQueue {
    /// What was asked for.
    struct Request: Equatable {
        let alias: String
        /// Where the DIMM lies.
        let range: Range<UInt64>
        /// Its memory blocks when the guest was asked, by address: those that come back when it refuses.
        let blocks: [UInt64: MemoryBlock.State]
    }

    /// A request, and what it came to.
    typealias Settled = (request: Request, result: UnplugResult)

    /// Oldest first.
    private(set) var requests: [Request] = []
    /// How many of the guest's failures belong to requests that are settled.
    private var settledFailureCount = 0

    /// Adds a request, when the guest has told of so many failures.
    mutating func append(_ request: Request, failureCount: Int) {
        if requests.isEmpty { settledFailureCount = failureCount }
        requests.append(request)
    }

    /// Settles the oldest request if it is through: refused when the guest has told of one failure more, removed when the
    /// DIMM is gone.
    mutating func settleOldest(failureCount: Int, isGone: Bool) -> Settled? {
        guard let oldest = requests.first else { return nil }
        if failureCount > settledFailureCount {
            settledFailureCount += 1
            requests.removeFirst()
            return (oldest, .refused)
        }
        guard isGone else { return nil }
        requests.removeFirst()
        return (oldest, .removed)
    }

    /// Takes a request out that was refused, as the machine and not the guest has said.
    mutating func refuse(_ alias: String) -> Request? {
        requests.firstIndex { $0.alias == alias }.map { requests.remove(at: $0) }
    }
}
