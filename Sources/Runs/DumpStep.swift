// SPDX-License-Identifier: Apache-2.0

import Foundation
import Guests
import HarnessBasics
import Plans
package import RunRecord
import SystemPackage

/// Has a tool write a dump in the dump-capture kernel, and looks at what comes out of the guest.
///
/// A tool that fails is no finding: the guest's memory has been judged by the step before, whatever the tool makes of it.
package struct DumpStep: RunStep {
    let tool: Plan.DumpTool

    package var title: String { "dump with \(tool.rawValue)" }

    package func perform(in context: inout RunContext, result: inout StepResult) async throws {
        let guest = try context.runningGuest()
        guard await guest.agent.isUp else {
            result.note = "not taken: no dump-capture kernel's agent runs"
            return
        }
        var dump = try await guest.dump(tool)
        dump.headerPageCount = context.past.headerPageCount
        // What is known of it stays known where there is no room to keep it.
        result.dump = dump
        result.note = "\(dump.tool) \(dump.text)"
        guard context.keepsDumps, dump.fileByteCount != nil else { return }
        let file = try context.record.dumpFile(step: result.number)
        do {
            try await guest.copy(dump, to: FilePath(file.path))
        } catch let error where !(error is CancellationError) {
            throw HarnessError.infrastructure("the dump cannot be kept as \(file.path): \(error)")
        }
        result.dump?.file = RunDirectory.dumpName(step: result.number)
    }
}
