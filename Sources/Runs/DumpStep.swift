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
        var dump: DumpResult
        if context.keepsDumps {
            let file = try context.record.dumpFile(step: result.number)
            var isWhole = false
            defer { if !isWhole { try? FileManager.default.removeItem(at: file) } }
            // For this user only: a dump holds whatever a kernel has had in its memory.
            let target = try FileDescriptor.open(
                FilePath(file.path), .writeOnly, options: [.create, .exclusiveCreate], permissions: [.ownerReadWrite])
            defer { try? target.close() }
            dump = try await guest.dump(tool, into: target)
            isWhole = dump.fileByteCount != nil
            if isWhole { dump.file = RunDirectory.dumpName(step: result.number) }
        } else {
            dump = try await guest.dump(tool, into: nil)
        }
        result.dump = dump
        result.note = "\(dump.tool) \(dump.text)"
    }
}
