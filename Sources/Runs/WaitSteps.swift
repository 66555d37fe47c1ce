// SPDX-License-Identifier: Apache-2.0

import Guests
package import RunRecord

/// Lets the guest run for a time.
package struct PauseStep: RunStep {
    let seconds: Int

    package var title: String { "wait \(seconds)s" }

    package func perform(in context: inout RunContext, result: inout StepResult) async throws {
        let guest = try context.runningGuest()
        _ = try await waitUntil(within: .seconds(seconds)) { () async throws -> Bool? in
            try await guest.agent.checkAlive()
            return nil
        }
    }
}

/// Waits until every unplug that the guest was silent about has been done or refused; one that it stays silent about is a
/// finding.
package struct SettleStep: RunStep {
    package var title: String { "wait settled" }

    package func perform(in context: inout RunContext, result: inout StepResult) async throws {
        let guest = try context.runningGuest()
        var notes: [String] = []
        for alias in await guest.unplugs.pending {
            let outcome = try await guest.unplugs.unplug(alias: alias)
            try context.events.note(.unplugSettled(alias: alias, outcome))
            context.past.unplugResult = outcome
            notes.append("\(alias) \(outcome.rawValue)")
            guard outcome != .silent else {
                // Guests take one after the other: those behind it wait for it.
                result.fail(.silentUnplug(of: alias, within: context.timeouts.unplug))
                break
            }
        }
        if !notes.isEmpty { result.note = notes.joined(separator: ", ") }
    }
}
