// SPDX-License-Identifier: Apache-2.0

import AgentProtocol
import GuestMemory
import HarnessBasics
import KernelState
import MemoryBackends
package import Verification

/// What a crash came to.
package enum CrashResult {
    /// A dump-capture kernel runs, and this is what all witnesses say of the dead one.
    case captured(Snapshot)
    /// No dump-capture kernel has said anything within this time.
    case silent(Duration)
}

extension SnapshotTaker {
    /// Crashes the kernel, and collects what there is to say of it when it is dead.
    ///
    /// The dead kernel's memory is read in guest RAM, where the dump-capture kernel leaves it alone, and the mirror in the
    /// shared region, as they were when it died. Nobody asks the MMU, which answers for the other kernel.
    ///
    /// With a size the kernel dies while it adds a DIMM of that.
    package func crash(inPlugOf byteCount: UInt64? = nil) async throws -> CrashResult {
        let crashKernel = try await crashKernel()
        let sync = try await guest.agent.ask("sync")
        try await guest.observer.drain()
        // Read now: the dump-capture kernel may take the memory for something else.
        let header = try crashKernel?.header(in: await guest.memory.ram)
        let hello: CaptureHello?
        var problem: String?
        var added: MemoryRange?
        let beginning: AgentClient.CaptureBeginning
        if let byteCount {
            (beginning, added) = try await guest.crash(inPlugOf: byteCount) { range, ram in
                let sections = try await state(ram).sections
                return sections.contains { range.contains($0.number << kernel.layout.sectionSizeBits) }
            }
        } else {
            beginning = try await guest.crash()
        }
        switch beginning {
        case .silent(let limit): return .silent(limit)
        case .lacks(let missing):
            hello = nil
            problem = "the dump-capture kernel's agent cannot read the dump: it has no \(missing)"
        case .hello(let heard): hello = heard
        }
        var vmcore: VmcoreSnapshot?
        if let hello {
            let (answer, refusal) = try await guest.agent.readDump()
            if let refusal {
                problem = "the dump-capture kernel's agent cannot read the dump: \(refusal)"
            } else {
                (vmcore, problem) = Self.vmcore(hello, answer, in: region)
            }
        }
        var snapshot = try await snapshotOfDead(sync: sync)
        (snapshot.vmcore, snapshot.vmcoreProblem, snapshot.interruptedAdd) = (vmcore, problem, added)
        snapshot.add(header)
        return .captured(snapshot)
    }

    private func snapshotOfDead(sync: ControlLine) async throws -> Snapshot {
        let ram = await guest.memory.ram
        let state = try await state(ram)
        var snapshot = Snapshot(
            witnesses: Witness.afterCrash(of: booted.witnesses), kernel: KernelFacts(kernel, state.memoryMap),
            memory: await guest.memory.usable(guest.observer.lmbs), sections: sections(state, in: ram),
            kernelList: state.list, pageTables: state.tables.map(WalkedTables.init),
            peakEntryCount: await guest.observer.notePeak(state.list),
            mirror: try MirrorReader(region: region, hello: hello, sync: sync).snapshot(),
            history: await guest.observer.history)
        snapshot.add(state.freeNodes)
        snapshot.radixStarts = radixStarts
        snapshot.formerWindows = snapshot.windowsGone(from: lastEntries)
        addStructPages(to: &snapshot, ram)
        return snapshot
    }

    /// What the dump-capture kernel's agent has written into the region, or why that is none.
    private static func vmcore(
        _ hello: CaptureHello, _ answer: ControlLine, in region: SharedRegion
    ) -> (VmcoreSnapshot?, problem: String?) {
        do {
            let report = try GuestReport(from: region, area: .capture)
            guard let unreachableCount = answer.number("unreachable") else {
                return (nil, "the dump-capture kernel's agent does not say how many blocks the dump lacks")
            }
            return (
                VmcoreSnapshot(
                    loadCount: hello.loadCount, dumpByteCount: hello.dumpByteCount, list: report.list,
                    pageTables: report.tables.map {
                        WalkedTables(leaves: $0.leaves, faults: [$0.fault].compactMap { $0 })
                    },
                    sections: report.blocks.sorted { $0.index < $1.index }.map {
                        VmcoreSnapshot.Section(number: $0.index, isOnline: $0.state == .online)
                    },
                    unreachableCount: unreachableCount, firstUnreachable: answer.number("first-unreachable") ?? 0), nil
            )
        } catch {
            return (nil, "the dump-capture kernel's report area holds no report: \(error)")
        }
    }
}
