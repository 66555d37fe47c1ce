// SPDX-License-Identifier: Apache-2.0

import HarnessBasics
import SystemPackage

/// How a guest ends: by its own power-off, by force, or by something that went wrong.
package struct GuestEnding: Sendable {
    let domain: TimedDomain
    let watch: MachineWatch
    let agent: AgentClient
    let observer: GuestObserver
    let console: ConsoleKeeper
    let timeouts: Timeouts

    /// Has the agent switch the guest off, and waits until QEMU has ended. Throws when it does not, and when anything else
    /// than the guest's own power-off was the reason.
    package func powerOff() async throws {
        do {
            try await observer.readLog()
            _ = try await agent.ask("poweroff")
        } catch let error where error is GuestEnded || error is Errno {
            // The guest was faster than its answer, or QEMU had ended before it was asked.
        }
        guard let powerOff = try await watch.powerOff(within: timeouts.powerOff) else {
            throw HarnessError.infrastructure("the guest has not switched itself off within \(timeouts.powerOff)")
        }
        if console.log.panicLine() != nil { throw GuestEnded() }
        if let problem = powerOff.problem { throw HarnessError.infrastructure(problem) }
    }

    /// Ends the guest, whatever state it is in, and everything that was opened for it.
    package func destroy() async {
        await agent.close()
        if await watch.end == nil { try? await domain.destroy() }
        if await !watch.hasEnded(within: timeouts.powerOff) {
            kill()
            _ = await watch.hasEnded(within: timeouts.powerOff)
        }
        // libvirt hears of the end by itself, and then cleans up: until then it knows the domain.
        _ = try? await waitUntil(within: timeouts.powerOff) { await domain.isKnown() ? nil : true }
        await watch.finish()
        await console.finish()
    }

    /// Kills QEMU, whatever libvirt is doing.
    package func kill() {
        // A QEMU that may not be killed is one that has not ended, which destroy() finds out.
        try? domain.kill()
    }

    /// About how many bytes of the console are not in the record.
    package var leftOutConsoleByteCount: Int { console.leftOutByteCount }

    /// What a run says about an error: the end of the guest if that was its cause, and the last that the guest said.
    package func explained(_ error: any Error) async -> any Error {
        if error is CancellationError { return error }
        if case HarnessError.usage = error { return error }
        await watch.waitForCause(of: error, within: timeouts.ending)
        var causes: [String] = []
        if let panic = console.log.panicLine() {
            causes.append("the guest's kernel has panicked (\(panic))")
        } else if let silence = domain.silence {
            causes.append("\(silence)")
        } else if let end = await watch.end {
            causes.append("qemu \(end), which this program has not asked for")
        }
        if !(error is GuestEnded), !(error is QemuSilent) { causes.append("\(error)") }
        if let complaint = await agent.complaint() { causes.append(complaint) }
        let lines = console.log.lastLines(10)
        causes.append(
            lines.isEmpty ? "the console is empty" : "the console ends:\n  " + lines.joined(separator: "\n  "))
        return HarnessError.infrastructure(causes.joined(separator: "; "))
    }
}
