// SPDX-License-Identifier: Apache-2.0

import Foundation
import RunRecord
import Subprocess
import Testing
import Verification
import VmemmapPopulate

@testable import Guests
@testable import Runs
@testable import qemu_harness

extension RealGuest {
    /// Memory that goes again: every witness has to forget the same blocks, and the mirror's nodes are reused as the
    /// kernel's are.
    @Suite struct Unplug {
        @Test(
            arguments: RealGuest.cases([("POWER8", [16, 32, 80, 32, 16]), ("POWER9", [1, 1, 3, 1, 1])], everyTime: 1))
        func dimmsGoInAnyOrder(cpu: String, entryCounts: [Int]) async throws {
            let harness = try HarnessProcess()
            defer { harness.cleanUp() }
            let ending = try await harness.run([
                "--cpu", cpu, "--plug", "1GiB", "--plug", "3GiB", "--unplug", "2", "--unplug", "1",
            ])
            #expect(ending.status == .exited(0), "\(ending.errors)\(ending.output)")
            let results = try harness.results()
            #expect(results.steps.dropFirst().compactMap(\.note) == ["removed", "removed"])
            let verdicts = results.steps.compactMap(\.verdict)
            #expect(verdicts.map(\.entryCount) == entryCounts)
            for verdict in verdicts {
                #expect(verdict.findings == [])
                #expect(verdict.witnesses.allSatisfy { $0.standing == .agrees })
                #expect(verdict.witnesses.allSatisfy { $0.agreeingCount == verdict.entryCount })
            }
            #expect(try harness.leftovers() == [])
        }

        /// The real kernel hands freed nodes back last freed first, and the mirror's allocator does the same without
        /// having looked: after a replug the two lists have their nodes in the same places.
        @Test func replugReusesNodesAsTheKernelDoes() async throws {
            let snapshots = Snapshots()
            let run = try await Lab.run(
                try Lab.configuration(plugs: [1 << 30, 1 << 30]),
                [
                    PlugStep(byteCount: 1 << 30), VerifyStep(), UnplugStep(number: 1), VerifyStep(),
                    PlugStep(byteCount: 1 << 30), VerifyStep(), snapshots,
                ])
            #expect(run.report.results.outcome == .passed, "\(run.report.results)")
            let snapshot = try #require(snapshots.last)
            let kernel = snapshot.kernelList.entries
            let mirror = try #require(snapshot.mirror).list.entries
            #expect(kernel.count == 32)
            #expect(kernel.map(\.virtAddr) == mirror.map(\.virtAddr))
            // One node page holds them all: where in it a node stands is the allocator's doing alone.
            let page = snapshot.kernel.pageByteCount
            #expect(kernel.map { $0.node % page } == mirror.map { $0.node % page })
            // Freed were the DIMM's nodes, lowest window first; so the lowest new window has the last one freed.
            #expect(kernel.prefix(16).map { $0.node % page } == (16..<32).map { $0 * 24 })
        }
    }
}

/// Keeps the last snapshot of a record before it goes.
private final class Snapshots: RunStep {
    let title = "keep the last snapshot"
    private let kept = Kept()

    var last: Snapshot? { kept.snapshot }

    func perform(in context: inout RunContext, result: inout StepResult) async throws {
        let names = try FileManager.default.contentsOfDirectory(atPath: context.record.url.path)
        let numbers = names.compactMap { $0.wholeMatch(of: /snapshot-(\d+)\.json/).flatMap { Int($0.1) } }
        guard let newest = numbers.max() else { return }
        let file = context.record.url.appending(path: "snapshot-\(newest).json")
        kept.snapshot = try JSONDecoder().decode(Snapshot.self, from: Data(contentsOf: file))
    }

    private final class Kept: @unchecked Sendable {
        // Written by the run, read when it is over.
        var snapshot: Snapshot?
    }
}
