// SPDX-License-Identifier: Apache-2.0

import AgentProtocol
import HarnessBasics
import RunRecord
import Verification

/// What the guest's kernel has said of its own faults, until the step in which that was takes it.
struct FaultLedger {
    /// A report, or so many of which only the number is known.
    private struct Report {
        let fault: KernelFault
        var count: UInt64
        var lines: [String] = []
        /// Whether it has no text.
        var isCountOnly = false
    }

    /// What no step has taken yet.
    private var reports: [Report] = []
    /// The line of the newest report's text that is under way.
    private var line: [UInt8] = []
    /// The first lines of the reports that were told of.
    private var toldLines: Set<String> = []
    /// Whether the kernel has had an exception, which may have killed any process.
    private var hasOopsed = false
    /// How many records of the log were gone before the agent could read them.
    private var unreadCount: UInt64 = 0

    /// A guest may say anything: a step keeps so many reports apart, and counts the others.
    private static let reportLimit = 64

    /// Takes an event of the agent's.
    mutating func note(_ event: AgentEvent) {
        switch event {
        case .kernelFault(let fault, let count):
            line = []
            add(Report(fault: fault, count: count, isCountOnly: count != 1))
        case .faultText:
            for byte in event.text {
                guard byte == 0x0a else {
                    if line.count < KernelFaultReader.lineByteCount { line.append(byte) }
                    continue
                }
                noteLine(line.printable)
                line = []
            }
        case .logBeginningLost(let recordCount): unreadCount &+= recordCount
        default: break
        }
    }

    /// Takes what the console tells beyond what the agent has told: the last words of a kernel that has taken the agent
    /// with it. Any program may write to the console, so it counts only when the guest is gone.
    ///
    /// A kernel that panics because its first process has ended says nothing of itself: that process is the agent. Only
    /// where the kernel had an exception before, that may have been what ended it.
    mutating func note(console: [[UInt8]]) {
        var reader = KernelFaultReader()
        var found: [Report] = []
        for line in console {
            switch reader.take(line[...]) {
            case .began(let fault, let lines):
                found.append(Report(fault: fault, count: 1, lines: lines.map(\.printable)))
            case .line(let line): found[found.count - 1].lines.append(line.printable)
            case nil: break
            }
        }
        hasOopsed = hasOopsed || found.contains { $0.fault.isException }
        for report in found {
            guard let first = report.lines.first, toldLines.insert(first).inserted else { continue }
            let isAgentsEnd = report.fault == .panic && first.contains("Attempted to kill init!")
            if !isAgentsEnd || hasOopsed { add(report) }
        }
    }

    /// What is new, one finding for all reports that begin alike; and what is to be said of it beside.
    mutating func take() -> (findings: [Finding], note: String?) {
        defer { (reports, unreadCount) = ([], 0) }
        var (order, similar): ([String], [String: [Report]]) = ([], [:])
        for report in reports {
            let key = "\(report.fault) \(report.lines.first ?? "")"
            if similar[key] == nil { order.append(key) }
            similar[key, default: []].append(report)
        }
        let findings = order.compactMap { key -> Finding? in
            guard let reports = similar[key], let first = reports.first else { return nil }
            let count = reports.reduce(UInt64(0)) { $0.addingReportingOverflow($1.count).partialValue }
            guard !first.lines.isEmpty else {
                return Finding(
                    .guest, first.fault.finding,
                    "the kernel has reported it \(count) more times; the texts were not kept")
            }
            let text = first.lines.joined(separator: "; ")
            return Finding(.guest, first.fault.finding, count == 1 ? text : "\(text) (\(count) times)")
        }
        let note =
            unreadCount == 0
            ? nil
            : "the first \(unreadCount) records of the kernel's log were overwritten before the agent could read them"
        return (findings, note)
    }

    private mutating func add(_ report: Report) {
        hasOopsed = hasOopsed || report.fault.isException
        guard report.isCountOnly || reports.count >= Self.reportLimit else {
            reports.append(report)
            return
        }
        if let index = reports.firstIndex(where: { $0.fault == report.fault && $0.isCountOnly }) {
            reports[index].count &+= report.count
        } else {
            reports.append(Report(fault: report.fault, count: report.count, isCountOnly: true))
        }
    }

    private mutating func noteLine(_ text: String) {
        guard let newest = reports.last, !newest.isCountOnly, newest.lines.count < KernelFaultReader.lineLimit
        else { return }
        if newest.lines.isEmpty, toldLines.count < Self.reportLimit * 16 { toldLines.insert(text) }
        reports[reports.count - 1].lines.append(text)
    }
}

extension KernelFault {
    /// Whether it ends the process that it comes over.
    fileprivate var isException: Bool { self == .oops || self == .bug || self == .kasan }
}
