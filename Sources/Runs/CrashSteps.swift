// SPDX-License-Identifier: Apache-2.0

import Guests
import HarnessBasics
package import RunRecord
import Verification

/// Has the agent load the crash kernel with kexec, or load it again. A refusal is a finding.
package struct LoadCrashKernelStep: RunStep {
    package var title: String { StepResult.loadCrashKernelTitle }

    package func perform(in context: inout RunContext, result: inout StepResult) async throws {
        switch try await context.runningGuest().loadCrashKernel() {
        case .refused(let words):
            result.fail(Finding(.guest, .refused, "the guest's kernel has not taken a crash kernel: \(words)"))
        case .loaded(let isKeptTrue):
            result.note = isKeptTrue ? "the kernel keeps its header true" : "its header stays as kexec made it"
            context.information.guest.hasCrashHotplug = isKeptTrue
            try context.record.write(context.information)
        }
    }
}

/// Crashes the guest's kernel, and compares what the dump-capture kernel reads of it with all that is known otherwise.
package struct CrashStep: RunStep {
    package var title: String { "crash" }

    package func perform(in context: inout RunContext, result: inout StepResult) async throws {
        let taker = try await SnapshotTaker(of: context.runningGuest(), since: context.lastEntries)
        switch try await taker.crash() {
        case .silent(let limit):
            result.fail(
                Finding(
                    .vmcore, .silent,
                    "no dump-capture kernel's agent has said anything within \(limit) of the crash"))
            for finding in result.allFindings { try context.events.note(.finding(finding)) }
        case .captured(let snapshot):
            if let vmcore = snapshot.vmcore {
                result.note = "\(vmcore.loadCount) PT_LOADs, \(ByteCount(vmcore.dumpByteCount).text)"
            }
            try context.take(snapshot, into: &result)
        }
    }
}
