// SPDX-License-Identifier: Apache-2.0

import AgentProtocol
import Foundation
import GuestMemory
import RunRecord
import VmemmapPopulate

@testable import Verification

/// A small run with every kind of content.
enum Samples {
    static var information: RunInformation {
        var information = RunInformation(
            run: "20231114T221320Z-abc", startedAt: Date(timeIntervalSince1970: 1_700_000_000),
            commandLine: ["qemu-harness", "run", "--append", "a b"], versions: .init(harness: "0.1.0"),
            guest: .init(
                kernelPath: "/boot/vmlinux", initramfsPath: "/boot/initramfs", cpu: "POWER8", cpuCount: 1,
                bootMemoryByteCount: 1 << 30, maximumMemoryByteCount: 2 << 30, kernelCommandLine: "console=hvc0"))
        information.finishedAt = Date(timeIntervalSince1970: 1_700_000_009)
        information.error = "the agent has not said hello"
        information.exitCode = 2
        information.guest.kernelRelease = "6.1.0"
        return information
    }

    static var results: RunResults {
        var boot = StepResult(number: 1, title: "boot", seconds: 3.25, outcome: .passed)
        boot.findings = [Finding(.plug, .refused, "one LMB")]
        var verify = StepResult(number: 2, title: "verify", seconds: 0.5, outcome: .failed)
        verify.newEntries = [
            BackedWindow(place: entry.node, virtAddr: entry.virtAddr, phys: entry.phys, byteCount: 65536)
        ]
        verify.goneEntries = []
        verify.mirrorLag = MirrorLag([4, 2, 3])
        verify.verdict = Verdict(
            findings: [Finding(.list, .cycle, "back to 0x0"), Finding(.crashHeader, .hashTableSize, "24 and 27")],
            witnesses: [
                WitnessStatement(
                    witness: .kernelList, standing: .contradicts, agreeingCount: 1, unsaidCount: 0, detail: "links")
            ],
            unsaid: [Unsaid(.mmu, count: 1, "it was not asked")], account: .list, entryCount: 1,
            provenance: [.observed: 1, .healed: 2], sectionCount: 64,
            coveredSectionCount: 60)
        var dump = StepResult(number: 3, title: "dump with makedumpfile", seconds: 2, outcome: .passed)
        dump.dump = DumpResult(
            package: "makedumpfile 1:1.7.2-1 bookworm", end: .exited(0), byteCount: 5, isCutOff: false,
            fileByteCount: 4, problem: nil,
            words: "Original pages : 0x3\nExcluded pages : 0x1\nRemaining pages : 0x2")
        dump.dump?.headerPageCount = 3
        dump.dump?.file = RunDirectory.dumpName(step: 3)
        return RunResults(run: "20231114T221320Z-abc", outcome: .failed, error: nil, steps: [boot, verify, dump])
    }

    static var snapshot: Snapshot {
        Snapshot(
            witnesses: Witness.given(by: .list, .hash),
            kernel: KernelFacts(
                release: "6.1.0", isBigEndian: false, pageByteCount: 65536, sectionSizeBits: 24,
                structPageByteCount: 64, vmemmapPageShift: 16, vmemmapBase: 0xc00c_0000_0000_0000, mmu: .hash),
            memory: [], sections: [],
            kernelList: ListWalk(head: entry.node, entries: [entry], end: .terminated, endLink: 0),
            peakEntryCount: 1)
    }

    /// With a crash kernel.
    static var crashSnapshot: Snapshot {
        var snapshot = snapshot
        snapshot.witnesses.append(.crashHeader)
        let piece = CrashHeaderSnapshot.Piece(
            physAddr: 0, fileOffset: 0x900_0000, byteCount: .max, fileByteCount: 65536)
        snapshot.crashHeader = CrashHeaderSnapshot(
            reservation: 0x800_0000..<0x1800_0000,
            header: .init(
                treeAddress: 0x17ff_0000, address: 0x1000_0000, loads: [piece], notes: [piece], noteRelease: "6.1.0",
                hashTableOrders: [24]), hashTableOrder: 27)
        return snapshot
    }

    /// With a crash kernel that cannot be found.
    static var failedCrashSnapshot: Snapshot {
        var snapshot = snapshot
        snapshot.crashHeader = CrashHeaderSnapshot(reservation: 0x800_0000..<0x1800_0000, problem: "no device tree")
        return snapshot
    }

    private static let entry = ListEntry(
        node: 0xc000_0000_0200_0000, list: 0, phys: 0x2000_0000, virtAddr: 0xc00c_0000_0000_0000)
}
