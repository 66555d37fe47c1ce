// SPDX-License-Identifier: Apache-2.0

import Guests
import HarnessBasics
import Libvirt
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
    /// The size of a DIMM that the kernel is adding when it dies; nil for a kernel at rest.
    let plugByteCount: UInt64?

    /// A crash at rest, or in a plug.
    init(plugByteCount: UInt64? = nil) {
        self.plugByteCount = plugByteCount
    }

    /// The DIMM as libvirt is asked before the run whether it takes it.
    var device: MemoryDevice? { plugByteCount.map { .trial(byteCount: $0) } }

    package var title: String { "crash" + (plugByteCount.map { " in the plug of \(ByteCount($0).text)" } ?? "") }

    package func perform(in context: inout RunContext, result: inout StepResult) async throws {
        let taker = try await SnapshotTaker(
            of: context.runningGuest(), since: context.lastEntries, radixStarts: context.past.radixStarts)
        switch try await taker.crash(inPlugOf: plugByteCount) {
        case .silent(let limit):
            result.fail(
                Finding(
                    .vmcore, .silent,
                    "no dump-capture kernel's agent has said anything within \(limit) of the crash"))
            for finding in result.allFindings { try context.events.note(.finding(finding)) }
        case .captured(let snapshot):
            let vmcore = snapshot.vmcore.map { "\($0.loadCount) PT_LOADs, \(ByteCount($0.dumpByteCount).text)" }
            let progress = snapshot.interruptedAddProgress.map {
                "\($0.presentCount) of \($0.sectionCount) sections of the DIMM were there"
            }
            result.note = [progress, vmcore].compactMap { $0 }.joined(separator: "; ")
            if let progress = snapshot.interruptedAddProgress, progress.presentCount == progress.sectionCount {
                result.fail(Finding(.plan, .unmet, "the kernel had added the whole DIMM before it died"))
            }
            try context.take(snapshot, into: &result)
            context.past.headerPageCount = snapshot.crashHeader?.header?.pageCount(
                pageByteCount: snapshot.kernel.pageByteCount)
        }
    }
}
