// SPDX-License-Identifier: Apache-2.0

import AgentProtocol
import GuestMemory
import Verification

/// The agent's first line: what it is and what it found.
struct Hello: Equatable {
    let release: String
    let pageByteCount: UInt64
    let mmu: MemoryManagementUnit
    let vmemmapBase: UInt64
    let vmemmapPageShift: UInt64
    let vmcoreinfoAddress: UInt64
    let eventSource: EventSource
    let regionByteCount: UInt64

    static let protocolVersion: UInt64 = 1

    /// Reads the line; throws an infrastructure error that names the field which is missing or impossible.
    init(_ line: ControlLine) throws {
        func number(_ key: StaticString) throws -> UInt64 {
            guard let value = line.number(key) else {
                throw HarnessError.infrastructure("the agent's hello has no number '\(key)'")
            }
            return value
        }
        let version = try number("protocol")
        guard version == Self.protocolVersion else {
            throw HarnessError.infrastructure(
                "the agent speaks protocol \(version), this program \(Self.protocolVersion): run scripts/build-agent")
        }
        release = String(decoding: line.text("release") ?? [], as: UTF8.self)
        pageByteCount = try number("page")
        vmemmapBase = try number("vmemmap-base")
        vmemmapPageShift = try number("vmemmap-shift")
        vmcoreinfoAddress = try number("vmcoreinfo")
        regionByteCount = try number("region")
        guard let mmu = MemoryManagementUnit(rawValue: try number("mmu")) else {
            throw HarnessError.infrastructure("the agent's hello names no known MMU")
        }
        guard let eventSource = EventSource(rawValue: try number("source")) else {
            throw HarnessError.infrastructure("the agent's hello names no known event source")
        }
        self.mmu = mmu
        self.eventSource = eventSource
    }

    /// Holds the line against what the host reads in guest memory; throws an infrastructure error that names both.
    func check(against layout: KernelLayout, regionByteCount expectedByteCount: UInt64) throws {
        for (key, value, expected) in [
            ("page", pageByteCount, layout.pageByteCount), ("region", regionByteCount, expectedByteCount),
        ] where value != expected {
            throw HarnessError.infrastructure(
                "the agent's hello says \(key)=\(value.hexadecimal); it is \(expected.hexadecimal)")
        }
    }

    /// The MMU in the terms of a verdict.
    var verdictMMU: MMU {
        switch mmu {
        case .hash: .hash
        case .radix: .radix
        case .unknown: .unknown
        }
    }
}

extension EventSource {
    /// As a person reads it.
    var text: String {
        switch self {
        case .dynamicDebug: "dynamic debug on /dev/kmsg"
        case .snapshots: "snapshots alone"
        }
    }
}
