// SPDX-License-Identifier: Apache-2.0

package import AgentProtocol
package import GuestMemory
import HarnessBasics
import KernelState
package import RunRecord
import SystemPackage
import VmemmapPopulate

/// The agent's first line: what it is and what it found.
package struct Hello: Equatable {
    let pageByteCount: UInt64
    package let mmu: MMU
    package let vmemmapBase: UInt64
    package let vmemmapPageShift: UInt64
    let vmcoreinfoAddress: UInt64
    package let eventSource: EventSource
    /// The event sources that the agent tried; the last one was taken.
    package let sourceTrials: [SourceTrial]
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
                "the agent speaks protocol \(version), this program \(Self.protocolVersion): run "
                    + Program.script("build-agent"))
        }
        pageByteCount = try number("page")
        vmemmapBase = try number("vmemmap-base")
        vmemmapPageShift = try number("vmemmap-shift")
        vmcoreinfoAddress = try number("vmcoreinfo")
        regionByteCount = try number("region")
        guard let mmu = MMU(rawValue: try number("mmu")) else {
            throw HarnessError.infrastructure("the agent's hello names no known MMU")
        }
        guard let eventSource = EventSource(rawValue: try number("source")) else {
            throw HarnessError.infrastructure("the agent's hello names no known event source")
        }
        guard let trials = SourceTrial.parse(line.text("tried") ?? []), let last = trials.last,
            last.source == eventSource, last.refusals.isEmpty
        else {
            throw HarnessError.infrastructure("the agent's hello does not say how it came to its event source")
        }
        sourceTrials = trials
        self.mmu = mmu
        self.eventSource = eventSource
    }

    /// Holds the line against what the host reads in guest memory; throws an infrastructure error that names both.
    func check(
        against kernel: Kernel, _ memoryMap: MemoryMap, regionByteCount expectedByteCount: UInt64
    ) throws {
        let notes = kernel.note.addresses.map(\.rawValue)
        for (key, value, expected) in [
            ("page", pageByteCount, kernel.layout.pageByteCount), ("region", regionByteCount, expectedByteCount),
            ("vmcoreinfo", vmcoreinfoAddress, notes.contains(vmcoreinfoAddress) ? vmcoreinfoAddress : notes.first ?? 0),
            // Where VMCOREINFO does not say it, nothing but the guest does.
            ("mmu", mmu.rawValue, kernel.mmu == .unknown ? mmu.rawValue : kernel.mmu.rawValue),
            // 0 for what the kernel does not have.
            ("vmemmap-base", vmemmapBase, memoryMap.base ?? 0),
            ("vmemmap-shift", vmemmapPageShift, memoryMap.pageShift ?? 0),
        ] where value != expected {
            throw HarnessError.infrastructure(
                "the agent's hello says \(key)=\(value.hexadecimal); it is \(expected.hexadecimal)")
        }
    }

    /// A vmemmap page's size in bytes, nil where the kernel says none that it uses: one without a list leaves the
    /// variable at its first value.
    package var vmemmapPageByteCount: UInt64? {
        let rules = PopulateRules(isRadix: mmu == .radix, vmemmapPageShift: vmemmapPageShift, hasHadEntries: false)
        return rules != .radixTables && 12...34 ~= vmemmapPageShift ? 1 << vmemmapPageShift : nil
    }
}

extension EventSource {
    /// As a person reads it.
    package var text: String {
        switch self {
        case .kprobes: "kprobe events"
        case .dynamicDebug: "dynamic debug on /dev/kmsg"
        case .snapshots: "snapshots alone"
        }
    }
}

extension SourceTrial {
    /// For the record.
    package var recorded: RunInformation.EventSourceTrial {
        let refusals = refusals.map { refusal in
            let what = String(decoding: refusal.what, as: UTF8.self)
            // A guest may say any number; errno's are small.
            guard let errno = refusal.errno else { return "\(what): not there" }
            return "\(what): " + (1...4095 ~= errno ? Errno(rawValue: CInt(errno)).description : "error \(errno)")
        }
        return RunInformation.EventSourceTrial(source: source.text, refusals: refusals)
    }
}
