// SPDX-License-Identifier: Apache-2.0

import GuestMemory
package import Guests
import HarnessBasics
import KernelState
import Libvirt
import Plans
import RunFixture
package import RunRecord
import Verification
import VmemmapPopulate

/// Something that a run does to its guest.
package protocol RunStep: Sendable {
    /// What a person reads.
    var title: String { get }

    /// Does it, and says in `result` what came of it. Throws only when no verdict can follow.
    func perform(in context: inout RunContext, result: inout StepResult) async throws
}

/// What the steps of a run share.
package struct RunContext {
    package let host: any GuestHost
    let record: RunDirectory
    /// Who is told what happens.
    let events: RunEvents
    let timeouts: Timeouts
    let interrupts: Interrupts
    /// Whether dumps go into the record.
    let keepsDumps: Bool
    var information: RunInformation
    /// The guest, once it was started.
    var guest: Guest?
    /// The entries of the kernel's account at the last verification.
    var lastEntries: [BackedWindow] = []
    /// What the newest step came to that is no expectation.
    var previous: StepResult?
    /// What the running kernel has been through; another one begins anew.
    var past = KernelPast()

    /// The guest; throws when there is none.
    package func runningGuest() throws -> Guest {
        guard let guest else { throw HarnessError.infrastructure("no guest is running") }
        return guest
    }
}

/// What a kernel has been through since it booted.
package struct KernelPast {
    /// What the newest unplug came to.
    var unplugResult: UnplugResult?
    /// Whether memory that was plugged before the newest verification holds its own memory map (`memmap_on_memory`):
    /// `seen` or `none`, nil when nothing tells.
    var altmap: String?
    /// Where its populates begin, as far as its verifications tell: see ``Verdict/radixStarts``.
    var radixStarts: [RadixStart]?
    /// How many pages the ELF core header has behind which it crashed; nil where it has not, or none was read.
    var headerPageCount: UInt64?
}

extension StepResult {
    /// Notes what is wrong.
    mutating func fail(_ finding: Finding) {
        findings = [finding]
    }

    /// Notes what the guest's kernel has reported of itself meanwhile.
    mutating func note(_ faults: [Finding], telling events: RunEvents) throws {
        guard !faults.isEmpty else { return }
        findings = (findings ?? []) + faults
        for fault in faults { try events.note(.finding(fault)) }
    }
}

/// Boots the guest and waits for its agent.
package struct BootStep: RunStep {
    let configuration: GuestConfiguration

    package var title: String { "boot" }

    package func perform(in context: inout RunContext, result: inout StepResult) async throws {
        let guest = try await Guest.start(
            configuration, on: context.host, record: context.record, events: context.events,
            timeouts: context.timeouts)
        context.guest = guest
        context.interrupts.onSecondSignal { guest.ending.kill() }
        context.information.versions.qemu = try await guest.domain.qemuVersion()
        context.information.versions.qemuPath = try await guest.domain.live().emulator
        try await guest.waitForAgent()
        let booted = try await guest.runningKernel()
        let (hello, kernel) = (booted.hello, booted.kernel)
        let release = String(decoding: kernel.release, as: UTF8.self)
        result.note = "Linux \(release)"
        context.information.guest.kernelRelease = release
        context.information.guest.symbolSources = Dictionary(
            uniqueKeysWithValues: kernel.symbols.map { ("\($0.name)", "\($0.source)") })
        context.information.guest.mmu = kernel.mmu.name
        context.information.guest.mmuSource = "\(kernel.mmuSource)"
        context.information.guest.isBigEndian = kernel.order == .big
        context.information.guest.pageByteCount = kernel.layout.pageByteCount
        context.information.guest.vmemmapPageByteCount = hello.vmemmapPageByteCount
        context.information.guest.witnesses = booted.witnesses
        context.information.guest.eventSource = hello.eventSource.text
        context.information.guest.eventSourceTrials = hello.sourceTrials.map(\.recorded)
        try context.record.write(context.information)
    }
}

/// Plugs a DIMM.
package struct PlugStep: RunStep {
    let byteCount: UInt64
    /// The NUMA node that it belongs to; the first if nil.
    var node: Int?
    /// Where it goes; the machine chooses if nil.
    var base: UInt64?

    var device: MemoryDevice { .trial(byteCount: byteCount, node: node, base: base) }

    package var title: String {
        "plug \(ByteCount(byteCount).text)" + (node.map { " into node \($0)" } ?? "")
            + (base.map { " at \($0.hexadecimal)" } ?? "")
    }

    package func perform(in context: inout RunContext, result: inout StepResult) async throws {
        let plug = try await context.runningGuest().plug(byteCount: byteCount, node: node, base: base)
        try context.events.note(
            .plugSettled(
                alias: plug.alias, base: plug.range.lowerBound, byteCount: UInt64(plug.range.count),
                refusedLMBCount: plug.refusedLMBs.count))
        guard let first = plug.refusedLMBs.first else { return }
        result.fail(
            Finding(
                .plug, .refused,
                "the guest did not take \(plug.refusedLMBs.count) LMBs of \(plug.alias), the first at "
                    + first.hexadecimal
                    + (plug.failedSection.map { "; the section at \($0.hexadecimal) could not get its memory map" }
                        ?? "")))
    }
}

/// Unplugs a DIMM. A guest may refuse: that is no finding, and what it leaves is verified like anything else. One that
/// says nothing is one.
package struct UnplugStep: RunStep {
    /// Which DIMM, counted from 1 in the order of the plugs.
    let number: Int

    package var title: String { "unplug DIMM \(number)" }

    package func perform(in context: inout RunContext, result: inout StepResult) async throws {
        let alias = DIMMs.alias(number)
        let guest = try context.runningGuest()
        // A plan may ask again for what a guest may have refused, or was silent about.
        let isThere = await guest.memory.range(of: alias) != nil
        let isPending = await guest.unplugs.pending.contains(alias)
        guard isThere || isPending else {
            context.past.unplugResult = nil
            result.fail(Finding(.plan, .unmet, "DIMM \(number) is not plugged any more"))
            return
        }
        let outcome = try await guest.unplugs.unplug(alias: alias)
        try context.events.note(.unplugSettled(alias: alias, outcome))
        context.past.unplugResult = outcome
        switch outcome {
        case .removed: result.note = "removed"
        case .refused: result.note = "the guest refused, and has its memory again"
        case .silent: result.fail(.silentUnplug(of: alias, within: context.timeouts.unplug))
        }
    }
}

extension MemoryDevice {
    /// A DIMM as libvirt is asked before the run whether it takes it: which slot is free is found out when it is plugged,
    /// and to libvirt one is as good as another.
    static func trial(byteCount: UInt64, node: Int? = nil, base: UInt64? = nil) -> MemoryDevice {
        MemoryDevice(
            alias: DIMMs.alias(1), byteCount: byteCount, address: base.map { .init(slot: 0, base: $0) }, node: node ?? 0
        )
    }
}

extension Finding {
    /// The guest has neither given a DIMM up nor refused to.
    static func silentUnplug(of alias: String, within limit: Duration) -> Finding {
        Finding(
            .unplug, .silent,
            "the guest has neither given \(alias) up nor refused to within \(limit); the unplug is pending")
    }
}

/// Compares the witnesses at rest.
package struct VerifyStep: RunStep {
    /// Whether each `struct page` is looked at, and not one in each 4 KiB of the memory map.
    let looksAtAllStructPages: Bool

    package var title: String { looksAtAllStructPages ? "verify all struct pages" : "verify" }

    /// A comparison.
    package init(looksAtAllStructPages: Bool = false) {
        self.looksAtAllStructPages = looksAtAllStructPages
    }

    package func perform(in context: inout RunContext, result: inout StepResult) async throws {
        let snapshot = try await SnapshotTaker(
            of: context.runningGuest(), since: context.lastEntries, radixStarts: context.past.radixStarts,
            looksAtAllStructPages: looksAtAllStructPages
        ).snapshot()
        try context.take(snapshot, into: &result)
    }
}

extension RunContext {
    /// Records and judges a snapshot, the verdict being a step's.
    mutating func take(_ snapshot: Snapshot, into result: inout StepResult) throws {
        try record.write(snapshot, step: result.number)
        try result.judge(snapshot, since: lastEntries)
        past.altmap = snapshot.showsAltmap.map { $0 ? "seen" : "none" }
        lastEntries = snapshot.accountEntries
        past.radixStarts = result.verdict?.radixStarts
        for finding in result.allFindings { try events.note(.finding(finding)) }
    }
}

/// Switches the guest off. One whose kernel is dead, with no agent in its place, can only be ended.
package struct PowerOffStep: RunStep {
    package var title: String { "power off" }

    package func perform(in context: inout RunContext, result: inout StepResult) async throws {
        let guest = try context.runningGuest()
        guard await guest.agent.isUp else {
            result.note = "by force: no agent runs"
            return
        }
        try await guest.ending.powerOff()
    }
}

extension GuestTrial {
    /// The trial of a run with these steps.
    package init(_ configuration: GuestConfiguration, steps: [any RunStep]) {
        self.init(configuration, dimms: steps.compactMap { ($0 as? PlugStep)?.device ?? ($0 as? CrashStep)?.device })
    }
}
