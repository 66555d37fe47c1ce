// SPDX-License-Identifier: Apache-2.0

import Foundation
import RunRecord
import Testing

@testable import OfflineCommands
@testable import Reports
@testable import Verification

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
            unsaid: [Unsaid(.mmu, count: 2, "the CPU is in user mode")], account: .list, entryCount: entryCount,
            provenance: [:], sectionCount: 128, coveredSectionCount: 128)
        return step
    }

    private func text(
        _ results: RunResults, _ information: RunInformation = information, record: String = "/r/runs/x"
    ) -> String {
        ResultTable(results: results, information: information, record: URL(filePath: record)).text()
    }

    private static let passedSteps = [
        StepResult(number: 1, title: "boot", seconds: 3.25, outcome: .passed),
        verify(2, entryCount: 16, new: (0..<16).map(entry), findings: []),
        StepResult(number: 3, title: "plug 128 MiB", seconds: 12, outcome: .passed),
        verify(4, entryCount: 18, new: [entry(17), entry(16)], findings: []),
    ]

    @Test func aRunThatPassed() {
        let results = RunResults(run: "20231114T221320Z-abc", outcome: .passed, error: nil, steps: Self.passedSteps)
        #expect(
            text(results) == """
                Linux 6.1.0-37-powerpc64le, POWER8, hash MMU, 64 KiB pages, 64 KiB vmemmap
                  pages; events from dynamic debug on /dev/kmsg

                  step                entries  new  gone     covered  seconds
                  1     boot                                             3.25
                  2     verify             16   16        128 of 128     0.12
                  3     plug 128 MiB                                    12.00
                  4     verify             18    2        128 of 128     0.12

                  step 4 new: 0xc00c000000100000 to 0xc00c00000011ffff, 2 entries

                passed: 18 entries, 128 of 128 sections covered; kernel-list agrees
                  not said in step 2: mmu of 2 entries: the CPU is in user mode
                  not said in step 4: mmu of 2 entries: the CPU is in user mode

                record: /r/runs/x

                """)
    }

    /// What a plan or the command line expects to be left unsaid is shown all the same.
    @Test func whatIsExcusedIsSaidToBe() {
        var results = RunResults(run: "x", outcome: .passed, error: nil, steps: Self.passedSteps)
        results.allowedUnsaid = [.mmu]
        #expect(
            text(results).contains("\n  not said in step 4, as expected: mmu of 2 entries: the CPU is in user mode\n"))
        results.allowedUnsaid = [.model]
        #expect(text(results).contains("\n  not said in step 4: mmu of 2 entries: the CPU is in user mode\n"))
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

                failed: 1 finding; 1 entry, 128 of 128 sections covered; kernel-list differs
                  not said in step 1: mmu of 2 entries: the CPU is in user mode

                record: /r/runs/x
                again:  qemu-harness run --append 'it'\\''s a b' ''
                more:   qemu-harness explain list-cycle

                """))
        // All entries are new at the first verification: that is no news.
        #expect(!text(results).contains("step 1 new"))
    }

    @Test func aRunThatNeverBegan() {
        var information = Self.information
        information.guest.kernelRelease = nil
        let results = RunResults(
            run: "20231114T221320Z-abc", outcome: .error, error: "no qemu; the console ends:\n  a line", steps: [])
        #expect(
            text(results, information) == """
                error: no qemu; the console ends:; nothing was verified

                record: /r/runs/x
                again:  qemu-harness run --append 'it'\\''s a b' ''

                """)
    }

    /// One range for windows that follow each other, whatever their order; the rest is in the record.
    @Test func entriesAreShownAsRanges() {
        let apart = (0..<40).map { Self.entry($0 * 2) }
        let cases: [(new: [BackedWindow], lines: Int, first: String)] = [
            ((0..<1024).map(Self.entry).reversed(), 1, "0xc00c000000000000 to 0xc00c000003ffffff, 1024 entries"),
            ([Self.entry(3), Self.entry(1)], 2, "0xc00c000000010000 to 0xc00c00000001ffff, 1 entry"),
            (apart, 17, "0xc00c000000000000 to 0xc00c00000000ffff, 1 entry"),
            (
                [BackedWindow(place: 8, virtAddr: .max, phys: 0, byteCount: 65536)], 1,
                "0xffffffffffffffff to 0xfffe, 1 entry"
            ),
        ]
        for (new, count, first) in cases {
            let results = RunResults(
                run: "x", outcome: .passed, error: nil,
                steps: [
                    Self.verify(1, entryCount: 0, new: [], findings: []),
                    Self.verify(2, entryCount: new.count, new: new, findings: []),
                ])
            let lines = text(results).split(separator: "\n").filter { $0.contains(" new: ") || $0.contains("ranges") }
            #expect(lines.count == count)
            #expect(lines.first == "  step 2 new: \(first)")
        }
        let results = RunResults(
            run: "x", outcome: .passed, error: nil,
            steps: [
                Self.verify(1, entryCount: 0, new: [], findings: []),
                Self.verify(2, entryCount: 40, new: apart, findings: []),
            ])
        #expect(text(results).contains("  … and 24 more ranges in results.json\n"))
    }

    @Test func longFindingsAreCut() {
        let findings = (0..<40).map { Finding(.list, .hole, "section \($0)") }
        let results = RunResults(
            run: "x", outcome: .failed, error: nil, steps: [Self.verify(1, entryCount: 0, new: [], findings: findings)])
        let lines = text(results).split(separator: "\n")
        #expect(lines.contains("  … and 8 more in results.json"))
        #expect(lines.count { $0.contains("list-coverage-hole: ") } == 32)
        #expect(lines.last == "more:   qemu-harness explain list-coverage-hole")
    }

    /// Whatever stands in it, a table fits a terminal, and steers none.
    @Test func everyLineFits() {
        let long = String(repeating: "a very long text with \u{1b}[31m colour in it ", count: 8)
        var step = Self.verify(
            2, entryCount: 4_194_304, new: [Self.entry(2)],
            findings: [Finding(.list, .hole, long), Finding(.mmu, .unmapped, String(repeating: "x", count: 300))])
        step.title = long
        var information = Self.information
        information.guest.kernelRelease = long
        information.commandLine = ["qemu-harness"]
        let results = RunResults(
            run: "x", outcome: .failed, error: nil,
            steps: [Self.verify(1, entryCount: 0, new: [], findings: []), step])
        for line in text(results, information).split(separator: "\n") {
            #expect(line.count <= 80, "\(line)")
            #expect(!line.contains("\u{1b}"))
        }
    }

    /// The verdict alone has a colour.
    @Test func theVerdictIsColored() {
        for (outcome, color) in [(Outcome.passed, 32), (.failed, 31), (.error, 31), (.incomplete, 33)] {
            let results = RunResults(run: "x", outcome: outcome, error: nil, steps: Self.passedSteps)
            let table = ResultTable(results: results, information: Self.information, record: URL(filePath: "/r"))
            let colored = table.text(isColored: true)
            let word = outcome.rawValue
            #expect(colored.contains("\n\u{1b}[1;\(color)m\(word)\u{1b}[0m: "))
            #expect(colored.replacing("\u{1b}[1;\(color)m\(word)\u{1b}[0m", with: word) == table.text())
        }
    }

    /// A record below the current folder is named as somebody there would name it.
    @Test func theRecordIsNamedFromHere() {
        let results = RunResults(run: "x", outcome: .passed, error: nil, steps: Self.passedSteps)
        let here = FileManager.default.currentDirectoryPath
        #expect(text(results, record: here + "/runs/x").hasSuffix("record: runs/x\n"))
        #expect(text(results, record: here + "-2/x").hasSuffix("record: \(here)-2/x\n"))
    }
}
