// SPDX-License-Identifier: Apache-2.0

import Foundation
import RunRecord
import TestSupport
import Testing
import Verification

@testable import OfflineCommands
@testable import Reports

/// Two records beside each other.
@Suite struct RunComparisonTests {
    private func comparison(_ a: String, _ b: String) -> RunComparison {
        RunComparison(
            RecordVerification(directory: SampleRecord.fixture(a)),
            RecordVerification(directory: SampleRecord.fixture(b)))
    }

    @Test(arguments: SampleRecord.names)
    func aRecordIsLikeItself(name: String) {
        let comparison = comparison(name, name)
        #expect(!comparison.steps.isEmpty)
        for step in comparison.steps {
            #expect(step.isSame, "\(step.title)")
            #expect((step.entryCount.a == nil) == (step.windowsOnlyIn == nil))
        }
        #expect(comparison.properties.values.allSatisfy { $0.isSame })
        #expect(ComparisonText(comparison).text.contains("nothing differs but how long it took"))
    }

    @Test func kernelsDiffer() throws {
        let comparison = comparison("run-6.1-power8", "run-6.1-power9")
        #expect(comparison.properties["mmu"] == .init(a: "hash", b: "radix"))
        // One plugs 1 GiB, the other 4.
        #expect(comparison.steps.map(\.title) == ["boot", "verify", "plug 1 GiB", "plug 4 GiB", "verify", "power off"])
        let last = try #require(comparison.steps.last { $0.entryCount.a != nil })
        #expect(last.entryCount.a != last.entryCount.b)
        #expect(last.windowsOnlyIn == nil)
        #expect(last.witnesses["page-tables"] == .init(a: nil, b: .agrees))
        let text = ComparisonText(comparison).text
        #expect(text.contains("mmu: hash / radix"))
        #expect(text.split(separator: "\n").allSatisfy { $0.count <= 80 })
    }

    @Test func plansDiffer() throws {
        let comparison = comparison("run-6.1-power8", "run-6.1-power8-unplug")
        let only = comparison.steps.filter { $0.number.a == nil }
        #expect(only.contains { $0.title.hasPrefix("unplug") })
        for side in [\RunComparison.Pair<Int>.a, \.b] {
            let numbers = comparison.steps.compactMap { $0.number[keyPath: side] }
            #expect(numbers == Array(1...numbers.count))
        }
    }

    /// Records of older programs say nothing of it, and have no column for it.
    @Test func lagsAreBesideEachOther() throws {
        let good = try #require(SampleRuns.all.first { $0.name == "passed" })
        var (a, b) = (good.run.results.steps[1], good.run.results.steps[1])
        (a.mirrorLag, b.mirrorLag) = (MirrorLag([1500]), MirrorLag([250]))
        let step = RunComparison.step(a, b)
        #expect(step.mirrorLag == .init(a: a.mirrorLag, b: b.mirrorLag) && step.isSame)
        let none = ComparisonText(comparison("run-6.1-power8", "run-6.1-power9")).text
        #expect(!none.contains("lag ms"))
    }

    @Test func findingsDiffer() throws {
        let (good, bad) = (
            try #require(SampleRuns.all.first { $0.name == "passed" }),
            try #require(SampleRuns.all.first { $0.name == "failed" })
        )
        // Whatever a record holds can be compared: this is what its results say.
        let step = RunComparison.step(good.run.results.steps[1], bad.run.results.steps[1])
        #expect(step.findings == ["list-cycle": .init(a: nil, b: 2)])
        #expect(step.witnesses == ["mirror": .init(a: .agrees, b: .contradicts)])
        #expect(!step.isSame)
    }
}
