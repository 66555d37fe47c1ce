// SPDX-License-Identifier: Apache-2.0

import Foundation
import RunRecord
import Subprocess
import TestSupport
import Testing
import VmemmapPopulate

@testable import Verification

/// `qemu-harness verify` on recorded runs, and on what can become of them.
@Suite struct VerifyTests {
    @Test(arguments: RecordedRun.names) func reachesTheRecordedVerdict(name: String) async throws {
        let run = try RecordedRun(name)
        let recorded = try JSONDecoder().decode(RunResults.self, from: Data(contentsOf: run.file("results.json")))
        let ending = try await run.verify("--json")
        #expect(ending.status == .exited(0))
        #expect(ending.errors == "")
        #expect(try JSONDecoder().decode(RunResults.self, from: Data(ending.output.utf8)) == recorded)
        #expect(recorded.steps.compactMap(\.verdict).count >= 2)
    }

    @Test func printsWhatRunPrints() async throws {
        let ending = try await RecordedRun().verify()
        #expect(ending.output.contains("step 4 new: 0xc00c000000100000 to 0xc00c0000001fffff, 16 entries\n"))
        #expect(ending.output.contains("\npassed: 32 entries, 128 of 128 sections covered; "))
        #expect(!ending.output.contains("\u{1b}"))
    }

    @Test func followsTheLinkToTheLatestRun() async throws {
        let folder = try TemporaryFolder()
        let run = try RecordedRun()
        let link = folder.path("latest")
        try FileManager.default.createSymbolicLink(atPath: link, withDestinationPath: run.url.path)
        #expect(try await RecordedRun.verify([link]).status == .exited(0))
    }

    @Test func judgesASnapshotAlone() async throws {
        let run = try RecordedRun()
        let good = try await RecordedRun.verify([run.file("snapshot-4.json").path, "--json"])
        #expect(good.status == .exited(0))
        #expect(
            try JSONDecoder().decode(RunResults.self, from: Data(good.output.utf8)).steps.first?.verdict?.entryCount
                == 32)
        try run.editNewestBlock(in: "snapshot-4.json")
        let bad = try await RecordedRun.verify([run.file("snapshot-4.json").path])
        #expect(bad.status == .exited(1))
        #expect(bad.output.contains("mirror-wrong-phys"))
        #expect(bad.errors == "")
    }

    /// A record that holds together and says that the guest is wrong.
    @Test func findingsEndWithOne() async throws {
        let run = try RecordedRun()
        let file = run.file("snapshot-4.json")
        var snapshot = try JSONDecoder().decode(Snapshot.self, from: Data(contentsOf: file))
        snapshot.kernelList.entries[0].phys = 0x2430000
        try RunDirectory.json(snapshot).write(to: file)
        var results = try JSONDecoder().decode(RunResults.self, from: Data(contentsOf: run.file("results.json")))
        let before = try JSONDecoder().decode(Snapshot.self, from: Data(contentsOf: run.file("snapshot-2.json")))
        try results.steps[3].judge(snapshot, since: before.accountEntries)
        results.outcome = .failed
        try RunDirectory.json(results).write(to: run.file("results.json"))
        try run.edit("run.json", "\"outcome\" : \"passed\"", "\"outcome\" : \"failed\"")
        try run.edit("run.json", "\"exitCode\" : 0", "\"exitCode\" : 1")
        try await run.coverUp("results.json")
        try await run.coverUp("snapshot-4.json")
        let ending = try await run.verify()
        #expect(ending.status == .exited(1), "\(ending.errors)")
        #expect(ending.output.contains("step 4: mirror-wrong-phys: "))
        #expect(ending.output.contains("step 4: mmu-contradiction: "))
        #expect(ending.errors == "")
    }

    /// On radix since 6.6 the list is empty, and nothing follows from that: what is verified are the page tables.
    @Test func nothingToVerifyEndsWithFour() async throws {
        let folder = try TemporaryFolder()
        let run = try RecordedRun("run-6.1-power9")
        var snapshot = try JSONDecoder().decode(Snapshot.self, from: Data(contentsOf: run.file("snapshot-2.json")))
        snapshot.kernelList = ListWalk(head: 0, entries: [], end: .terminated, endLink: 0)
        snapshot.kernel.vmemmapPageShift = 12
        snapshot.witnesses = [.pageTables]
        snapshot.peakEntryCount = 0
        (snapshot.mirror, snapshot.report, snapshot.structPages, snapshot.history) = (nil, nil, nil, nil)
        (snapshot.readBack, snapshot.translations) = (nil, [])
        let file = folder.url.appending(path: "snapshot.json")
        try RunDirectory.json(snapshot).write(to: file)
        #expect(try await RecordedRun.verify([file.path]).status == .exited(0))
        (snapshot.pageTables, snapshot.structPages) = (nil, nil)
        try RunDirectory.json(snapshot).write(to: file)
        #expect(try await RecordedRun.verify([file.path]).status == .exited(4))
    }

    /// An emptied witness is no agreement: its snapshot is incomplete, in a record and by itself.
    @Test func whatIsLeftUnsaidEndsWithFour() async throws {
        let run = try RecordedRun()
        let file = run.file("snapshot-4.json")
        var snapshot = try JSONDecoder().decode(Snapshot.self, from: Data(contentsOf: file))
        (snapshot.readBack, snapshot.translations) = (nil, [])
        try RunDirectory.json(snapshot).write(to: file)
        let ending = try await RecordedRun.verify([file.path])
        #expect(ending.status == .exited(4))
        #expect(ending.output.contains("incomplete"))
    }

    /// What is wrong with a path.
    @Test func refusesWhatIsNoRecord() async throws {
        let folder = try TemporaryFolder()
        let nothing = try await RecordedRun.verify([folder.path("nothing")])
        #expect(nothing.status == .exited(64))
        #expect(nothing.errors.contains("no run at \(folder.path("nothing"))"))

        try FileManager.default.createDirectory(atPath: folder.path("empty"), withIntermediateDirectories: false)
        let empty = try await RecordedRun.verify([folder.path("empty")])
        #expect(empty.status == .exited(2))
        #expect(empty.errors == "qemu-harness: empty is no record of a run: it has no run.json\n")

        try folder.write(Array("a text".utf8), to: "notes")
        let text = try await RecordedRun.verify([folder.path("notes")])
        #expect(text.status == .exited(2))
        #expect(text.errors.hasPrefix("qemu-harness: notes is cut off or no JSON"))

        let device = try await RecordedRun.verify(["/dev/zero"])
        #expect(device.status == .exited(2))
        #expect(device.errors == "qemu-harness: zero is no regular file\n")
    }
}
