// SPDX-License-Identifier: Apache-2.0

import Foundation
import RunRecord
import Testing

@testable import Verification
@testable import qemu_harness

@Suite struct ResultTableTests {
    private static var information: RunInformation {
        var information = RunInformation(
            run: "20231114T221320Z-abc", startedAt: Date(timeIntervalSince1970: 1_700_000_000),
            commandLine: ["qemu-harness", "run", "--append", "it's a b", ""], versions: .init(harness: "0.1.0"),
            guest: .init(
                kernelPath: "/boot/vmlinux", initramfsPath: "/boot/initramfs", cpu: "POWER8", cpuCount: 1,
                bootMemoryByteCount: 1 << 30, maximumMemoryByteCount: 2 << 30, kernelCommandLine: "console=hvc0"))
        information.guest.kernelRelease = "6.1.0-37-powerpc64le"
        information.guest.mmu = "hash"
        information.guest.pageByteCount = 65536
        information.guest.vmemmapPageByteCount = 65536
        information.guest.eventSource = "dynamic debug on /dev/kmsg"
        return information
    }

    private static func entry(_ index: UInt64) -> BackedWindow {
        BackedWindow(
            place: 0xc000_0000_0200_0000 + index * 24, virtAddr: 0xc00c_0000_0000_0000 + index << 16,
            phys: 0x2000_0000 + index << 16, byteCount: 65536)
    }

    private static func verify(_ number: Int, entryCount: Int, new: [BackedWindow], findings: [Finding]) -> StepResult {
        var step = StepResult(
            number: number, title: "verify", seconds: 0.125, outcome: findings.isEmpty ? .passed : .failed)
        step.newEntries = new
        step.verdict = Verdict(
            findings: findings,
            witnesses: [
                WitnessStatement(
                    witness: .kernelList, standing: findings.isEmpty ? .agrees : .contradicts,
                    agreeingCount: entryCount, unsaidCount: 0, detail: "links"),
                WitnessStatement(
                    witness: .mmu, standing: .cannotSay, agreeingCount: 0, unsaidCount: 2, detail: "gva2gpa"),
            ],
            account: .list, entryCount: entryCount, provenance: [:], sectionCount: 128, coveredSectionCount: 128)
        return step
    }

    private func text(_ results: RunResults, _ information: RunInformation = information) -> String {
        ResultTable(results: results, information: information, record: URL(filePath: "/r/runs/x")).text
    }

    @Test func aRunThatPassed() {
        let results = RunResults(
            run: "20231114T221320Z-abc", outcome: .passed, error: nil,
            steps: [
                StepResult(number: 1, title: "boot", seconds: 3.25, outcome: .passed),
                Self.verify(2, entryCount: 16, new: (0..<16).map(Self.entry), findings: []),
                StepResult(number: 3, title: "plug 128 MiB", seconds: 12, outcome: .passed),
                Self.verify(4, entryCount: 18, new: [Self.entry(17), Self.entry(16)], findings: []),
            ])
        #expect(
            text(results) == """
                20231114T221320Z-abc: passed

                Linux 6.1.0-37-powerpc64le, POWER8, hash MMU, 64 KiB pages, 64 KiB vmemmap pages
                events from dynamic debug on /dev/kmsg

                  step                entries  new  sections covered  seconds
                  1     boot                                             3.25
                  2     verify             16   16        128 of 128     0.12
                  3     plug 128 MiB                                    12.00
                  4     verify             18    2        128 of 128     0.12

                  new entries, virt      phys
                  0xc00c000000110000  →  0x20110000
                  0xc00c000000100000  →  0x20100000

                  witness                  entries  what it rests on
                  kernel-list  agrees           18  links
                  mmu          cannot-say        0  gva2gpa (2 could not be said)

                record: /r/runs/x

                """)
    }

    @Test func aRunWithFindings() {
        let results = RunResults(
            run: "20231114T221320Z-abc", outcome: .failed, error: nil,
            steps: [
                Self.verify(1, entryCount: 1, new: [Self.entry(0)], findings: [Finding(.list, .cycle, "back to 0x0")])
            ])
        #expect(
            text(results).hasSuffix(
                """

                findings
                  step 1: list-cycle: back to 0x0

                record: /r/runs/x
                again:  qemu-harness run --append 'it'\\''s a b' ''

                """))
        // All entries are new at the first verification: that is no news.
        #expect(!text(results).contains("new entries"))
    }

    @Test func aRunThatNeverBegan() {
        var information = Self.information
        information.guest.kernelRelease = nil
        let results = RunResults(run: "20231114T221320Z-abc", outcome: .error, error: "no qemu", steps: [])
        #expect(
            text(results, information) == """
                20231114T221320Z-abc: error

                record: /r/runs/x
                again:  qemu-harness run --append 'it'\\''s a b' ''

                """)
    }

    @Test func longListsAreCut() {
        let findings = (0..<40).map { Finding(.list, .hole, "section \($0)") }
        let results = RunResults(
            run: "x", outcome: .failed, error: nil,
            steps: [
                Self.verify(1, entryCount: 0, new: [], findings: []),
                Self.verify(2, entryCount: 33, new: (0..<33).map(Self.entry), findings: findings),
            ])
        let lines = text(results).split(separator: "\n")
        #expect(lines.contains("  … and 1 more in results.json"))
        #expect(lines.contains("  … and 8 more in results.json"))
        #expect(lines.count { $0.contains("list-coverage-hole") } == 32)
        #expect(lines.count { $0.contains("→") } == 32)
    }
}
