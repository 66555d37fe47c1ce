// SPDX-License-Identifier: Apache-2.0

import AgentProtocol
import GuestMemory
import HarnessBasics
import Libvirt
import MemoryBackends
import RunRecord
import Synchronization
import TestSupport
import Testing
import Verification
import VmemmapPopulate

@testable import Guests
@testable import Runs
@testable import qemu_harness

extension RealGuest {
    /// The region of a real guest, spoiled word by word in copies: what the agent writes anew for each verification
    /// cannot be spoiled in the region itself.
    @Suite struct DamagedRegion {
        @Test func everyWordIsHeldAgainstSomething() async throws {
            let taken = Box()
            let run = try await Lab.run(
                try Lab.configuration(bootMemoryByteCount: 512 << 20, plugs: [256 << 20]),
                [PlugStep(byteCount: 256 << 20), CopyStep(box: taken), PowerOffStep()])
            #expect(run.report.results.error == nil)
            let copy = try RegionCopy(try #require(taken.copy.withLock { $0 }))
            #expect(try copy.findings(storing: copy.word(at: 0), at: 0) == [])

            try header(copy)
            try origins(copy)
            try report(copy)
        }

        private func header(_ copy: RegionCopy) throws {
            for field in SharedRegionLayout.Field.allCases {
                let good = try copy.word(at: field.offset)
                for bad in [~good, good &+ 1, .max, good == 0 ? 1 : 0] where field != .generation || bad % 2 == 1 {
                    let findings = try copy.findings(storing: bad, at: field.offset)
                    let start = "header word \(field) is \(bad.hexadecimal);"
                    #expect(
                        findings.contains { $0.name == "mirror-header" && $0.message.hasPrefix(start) },
                        "\(field): \(findings)")
                }
            }
            for index in 0..<SharedRegionLayout.releaseByteCount / 8 {
                let offset = SharedRegionLayout.releaseOffset + index * 8
                let findings = try copy.findings(storing: ~(try copy.word(at: offset)), at: offset)
                #expect(findings.map(\.name) == ["mirror-header"])
                #expect(findings.first?.message.hasPrefix("header word release[\(index)] is ") == true)
            }
        }

        private func origins(_ copy: RegionCopy) throws {
            let entries = try #require(copy.taken.snapshot.mirror).list.entries
            #expect(entries.count == 12)
            for entry in entries {
                let slot = try #require(copy.taken.layout.slot(ofNodeAt: entry.node))
                for bad: UInt64 in [0, 4, 0xff] {
                    let findings = try copy.findings(storing: bad, at: copy.taken.layout.originsOffset + slot * 8)
                    #expect(findings.map(\.name) == ["mirror-origin"])
                }
            }
        }

        private func report(_ copy: RegionCopy) throws {
            let layout = copy.taken.layout
            let base = SharedRegionLayout.reportOffset
            let blocks = layout.reportBlocksOffset(.first)
            let entries = layout.reportEntriesOffset(.first)
            let entryCount = try copy.word(at: base + 8)
            let blockCount = try copy.word(at: base + 24)
            #expect(entryCount == 12 && blockCount == 3)
            let cases: [(offset: UInt64, values: [UInt64], finding: String)] = [
                (base, [0, .max], "report-other-node"),
                (base + 8, [.max, layout.reportEntryCapacity + 1], "report-unreadable"),
                (base + 8, [0, entryCount - 1], "report-missing-entry"),
                (base + 8, [entryCount + 1], "report-extra-entry"),
                (base + 16, [0, 7, .max], "report-unreadable"),
                (base + 16, [2], "report-cycle"), (base + 16, [3], "report-misplaced-node"),
                (base + 16, [4], "report-link-outside-memory"), (base + 16, [5], "report-too-long"),
                (base + 16, [6], "report-truncated"),
                (base + 24, [.max, SharedRegionLayout.reportBlockCapacity + 1], "report-unreadable"),
                (base + 24, [0, blockCount - 1, blockCount + 1], "sections-block-differs"),
                (base + 32, [0, 1, .max], "sections-block-differs"),
                (blocks, [4, 0xff], "report-unreadable"), (blocks, [.max << 8 | 1], "sections-block-differs"),
                (blocks, [0 << 8 | 2], "sections-block-differs"),
                (entries, [0, .max], "report-other-node"), (entries + 8, [0, .max], "report-other-node"),
                (entries + 16, [0, .max], "report-wrong-phys"), (entries + 24, [0, .max], "report-extra-entry"),
                (entries + 24, [0, .max], "report-missing-entry"),
            ]
            for (offset, values, finding) in cases {
                for value in values {
                    let names = try copy.findings(storing: value, at: offset).map(\.name)
                    #expect(names.contains(finding), "word \(offset - base) of the report is \(value): \(names)")
                }
            }
        }
    }
}

/// Where a step leaves what it took.
private final class Box: Sendable {
    let copy = Mutex<TakenRegion?>(nil)
}

/// Takes the region of a guest at rest, and everything that a verdict needs beside it.
private struct CopyStep: RunStep {
    let box: Box
    let title = "copy the region"

    func perform(in context: inout RunContext, result: inout StepResult) async throws {
        let guest = try context.runningGuest()
        let booted = try await guest.runningKernel()
        let (hello, region) = (booted.hello, booted.region)
        let snapshot = try await SnapshotTaker(of: guest).snapshot()
        let sync = try await guest.agent.ask("sync")
        try await guest.domain.suspend()
        var words: [UInt64] = []
        for offset in stride(from: 0, to: region.words.byteCount, by: 8) { words.append(try region.word(at: offset)) }
        let copy = TakenRegion(
            words: words, layout: region.layout, snapshot: snapshot, hello: hello, sync: sync)
        box.copy.withLock { $0 = copy }
        try await guest.domain.resume()
    }
}

/// A region's words at one moment of rest, and what the other witnesses said.
private struct TakenRegion: Sendable {
    let words: [UInt64]
    let layout: SharedRegionLayout
    let snapshot: Snapshot
    let hello: Hello
    let sync: ControlLine
}

/// A copy of a region in this process's memory.
private final class RegionCopy {
    let taken: TakenRegion
    private let heap: HeapWords
    private let region: SharedRegion

    init(_ taken: TakenRegion) throws {
        self.taken = taken
        heap = HeapWords(byteCount: taken.words.count * 8)
        region = SharedRegion(words: heap.words, layout: taken.layout, order: .little)
        for (index, word) in taken.words.enumerated() where word != 0 { try region.store(word, at: UInt64(index) * 8) }
    }

    func word(at offset: UInt64) throws -> UInt64 { try region.word(at: offset) }

    /// What is found when this word stands there.
    func findings(storing value: UInt64, at offset: UInt64) throws -> [Finding] {
        let former = try region.word(at: offset)
        try region.store(value, at: offset)
        defer { try? region.store(former, at: offset) }
        var snapshot = taken.snapshot
        snapshot.mirror = try MirrorReader(region: region, hello: taken.hello, sync: taken.sync).snapshot()
        (snapshot.report, snapshot.reportProblem) = SnapshotTaker.report(in: region)
        return try Verifier.verdict(on: snapshot).findings
    }
}
