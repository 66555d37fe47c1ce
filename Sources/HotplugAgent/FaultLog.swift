// SPDX-License-Identifier: Apache-2.0

import AgentProtocol
import GuestMemory

/// What the agent tells of the kernel's own faults: the first reports with their text, then how many there were.
///
/// A kernel that warns without end fills neither the ring nor the record.
struct FaultLog {
    private var reader = KernelFaultReader()
    private var toldCount = 0
    /// Whether the text of the report under way is told.
    private var isTelling = false
    /// Reports that are only counted, by their kind, since the harness last heard of them.
    private var untold: [KernelFault: UInt64] = [:]

    /// How many reports are told with their text.
    static var textLimit: Int { 32 }

    /// Takes a record of the log; what there is to tell of it.
    mutating func take(_ record: KernelRecord) -> [AgentEvent] {
        guard record.isKernels else { return [] }
        switch reader.take(record.text[...]) {
        case .began(let fault, let lines):
            isTelling = toldCount < Self.textLimit
            guard isTelling else {
                untold[fault, default: 0] += 1
                return []
            }
            toldCount += 1
            return [.kernelFault(fault, count: 1)] + lines.flatMap { AgentEvent.texts(of: $0) }
        case .line(let line): return isTelling ? AgentEvent.texts(of: line) : []
        case nil: return []
        }
    }

    /// What was only counted since the last time.
    mutating func takeUntold() -> [AgentEvent] {
        defer { untold = [:] }
        return KernelFault.allCases.compactMap { fault in
            untold[fault].map { .kernelFault(fault, count: $0) }
        }
    }
}
