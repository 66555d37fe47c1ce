// SPDX-License-Identifier: Apache-2.0

import Guests
import HarnessBasics
package import RunRecord
import SystemPackage
import Verification

/// Has the agent do something in the guest. What the kernel refuses is a finding.
package struct GuestStep: RunStep {
    /// What it does.
    enum Kind: Equatable, Sendable {
        /// Does that, and looks at nothing.
        case action(GuestAction)
        /// Reads a file, which has to contain a text unless that is empty.
        case read(path: String, expected: String)
        /// Holds memory in a DIMM, which the kernel cannot give up then; DIMMs count from 1 in the order of the plugs.
        case hold(dimm: Int)
    }

    let kind: Kind

    /// Makes a step.
    init(_ kind: Kind) {
        self.kind = kind
    }

    /// The step of an action.
    init(_ action: GuestAction) {
        kind = .action(action)
    }

    package var title: String {
        switch kind {
        case .action(.block(let index, let isOnline)): "block \(index) \(isOnline ? "online" : "offline")"
        case .action(.probe(let base)): "probe \(base.hexadecimal)"
        case .action(.dlpar(let text)): "dlpar \(text)"
        case .action(.read(let path)), .read(let path, _): "read \(path)"
        case .action(.hold(let range)): "hold \(range.lowerBound.hexadecimal)"
        case .action(.leaveFree(let byteCount)): "leave \(ByteCount(byteCount).text) free"
        case .action(.correctHPTSize): "correct ibm,pft-size"
        case .action(.release): "release"
        case .action(.load(let byteCount)): "load \(ByteCount(byteCount).text)"
        case .action(.endLoad): "load none"
        case .hold(let dimm): "hold DIMM \(dimm)"
        }
    }

    package func perform(in context: inout RunContext, result: inout StepResult) async throws {
        let guest = try context.runningGuest()
        let action: GuestAction
        switch kind {
        case .action(let given): action = given
        case .read(let path, _): action = .read(path)
        case .hold(let dimm):
            guard let range = await guest.memory.range(of: DIMMs.alias(dimm)) else {
                throw HarnessError.infrastructure("no DIMM \(DIMMs.alias(dimm)) is plugged any more")
            }
            action = .hold(range)
        }
        let outcome = try await guest.perform(action)
        switch outcome {
        case .refused(let errno, let number):
            try context.events.note(.actionSettled(action: title, errno: errno))
            let reason = Errno(rawValue: errno).description
            let more = number.flatMap { Self.refusal(errno, $0, of: action) } ?? ""
            result.fail(
                Finding(.guest, .refused, "the guest's kernel refused '\(title)': \(reason) (errno \(errno))\(more)"))
        case .done(let number):
            try context.events.note(.actionSettled(action: title, errno: 0))
            result.note = number.flatMap { Self.note($0, of: action) }
            if action == .endLoad, number == 0 {
                result.fail(Finding(.plan, .unmet, "the load has filled no memory before it was ended"))
            }
        case .read(let content, let isWhole):
            try context.events.note(.actionSettled(action: title, errno: 0))
            guard case .read(let path, let expected) = kind else { return }
            let text = String(decoding: content.map { 0x20...0x7e ~= $0 || $0 == 0x0a ? $0 : 0x3f }, as: UTF8.self)
            result.note = String(text.prefix { $0 != "\n" }.prefix(80))
            if let finding = Self.finding(path: path, text: text, isWhole: isWhole, expected: expected) {
                result.fail(finding)
            }
        }
    }

    /// What the number of an action is, as a person reads it.
    private static func note(_ number: UInt64, of action: GuestAction) -> String? {
        switch action {
        case .hold: "\(number) pages are held there"
        case .leaveFree: "\(ByteCount(number).text) are left"
        case .correctHPTSize: "the hashed page table has 2^\(number) bytes"
        case .endLoad: "\(ByteCount(number).text) were filled in all"
        case .block, .dlpar, .probe, .read, .release, .load: nil
        }
    }

    /// What the number of a refusal says, as the end of a sentence.
    private static func refusal(_ errno: Int32, _ number: UInt64, of action: GuestAction) -> String? {
        switch (action, Errno(rawValue: errno)) {
        case (.load, .noMemory): "; it has room for a load of \(ByteCount(number).text) at most"
        case (.endLoad, .noSuchProcess): "; the load has ended by itself, after \(ByteCount(number).text) were filled"
        default: nil
        }
    }

    /// What is wrong with a file's text, nil when nothing is. Of a file that goes on only so much is known.
    static func finding(path: String, text: String, isWhole: Bool, expected: String) -> Finding? {
        guard !expected.isEmpty, !text.contains(expected) else { return nil }
        let subject =
            isWhole
            ? "\(path) does not contain"
            : "\(path) is read to its first \(AgentClient.contentByteLimit) bytes, which do not contain"
        let beginning = text.prefix(80).replacing("\n", with: " ")
        return Finding(.plan, .unmet, "\(subject) '\(expected)'; it begins '\(beginning)'")
    }
}

/// Has the guest start anew with its DIMMs plugged.
package struct RebootStep: RunStep {
    package var title: String { StepResult.rebootTitle }

    package func perform(in context: inout RunContext, result: inout StepResult) async throws {
        let guest = try context.runningGuest()
        try await guest.reboot()
        // All of the run's snapshots are held against one list of witnesses.
        let witnesses = try await guest.runningKernel().witnesses
        guard witnesses == context.information.guest.witnesses else {
            throw HarnessError.infrastructure(
                "after its reboot the guest can give other witnesses: "
                    + witnesses.map(\.rawValue).joined(separator: ", "))
        }
        context.past = KernelPast()
        let dimmCount = await guest.memory.dimmCount
        try context.events.note(.rebootSettled(dimmCount: dimmCount))
        result.note = dimmCount == 1 ? "with 1 DIMM" : "with \(dimmCount) DIMMs"
    }
}
