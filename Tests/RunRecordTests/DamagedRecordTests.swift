// SPDX-License-Identifier: Apache-2.0

import Foundation
import RunRecord
import Subprocess
import TestSupport
import Testing
import Verification

/// A record that was damaged is named as such, file by file, and what is left of it is verified all the same.
@Suite struct DamagedRecordTests {
    struct Damage: Sendable, CustomTestStringConvertible {
        let testDescription: String
        /// What is on stderr, each in a line of its own; RUN stands for the run's name.
        let errors: [String]
        /// What is on stdout besides.
        var output = "\nerror: "
        let make: @Sendable (RecordedRun) async throws -> Void
    }

    static let damages: [Damage] = [
        Damage(
            testDescription: "results.json was edited",
            errors: ["results.json was edited or cut off: its SHA-256 is "]
        ) { try $0.edit("results.json", "\"seconds\" : ", "\"seconds\" : 1") },
        Damage(
            testDescription: "a phys in a snapshot was edited",
            errors: [
                "snapshot-4.json was edited or cut off: its SHA-256 is ",
                "results.json does not follow from snapshot-4.json: step 4 differs in verdict, outcome, new entries; "
                    + "recorded is passed with 0 findings and 32 entries, the snapshot gives failed with ",
            ],
            output: "step 4: mirror-wrong-phys: virt 0xc00c0000001f0000 "
        ) { try $0.editNewestBlock(in: "snapshot-4.json") },
        Damage(
            testDescription: "a snapshot was edited, and its digest with it",
            errors: [
                "results.json does not follow from snapshot-4.json: step 4 differs in verdict, outcome, new entries"
            ],
            output: "mmu-contradiction"
        ) {
            try $0.editNewestBlock(in: "snapshot-4.json")
            try await $0.coverUp("snapshot-4.json")
        },
        Damage(
            testDescription: "results.json says something else, and its digest fits",
            errors: ["results.json does not follow from snapshot-2.json: step 2 differs in verdict; recorded is "]
        ) {
            try $0.edit("results.json", "\"coveredSectionCount\" : 64", "\"coveredSectionCount\" : 63")
            try await $0.coverUp("results.json")
        },
        Damage(
            testDescription: "results.json has another outcome, and its digest fits",
            errors: ["results.json has the outcome 'failed', run.json 'passed'"]
        ) {
            try $0.edit("results.json", "\"outcome\" : \"passed\",\n  \"run\"", "\"outcome\" : \"failed\",\n  \"run\"")
            try await $0.coverUp("results.json")
        },
        Damage(
            testDescription: "both outcomes say something else",
            errors: ["results.json has the outcome 'failed'; its steps come to 'passed'"]
        ) {
            try $0.edit("results.json", "\"outcome\" : \"passed\",\n  \"run\"", "\"outcome\" : \"failed\",\n  \"run\"")
            try $0.edit("run.json", "\"outcome\" : \"passed\"", "\"outcome\" : \"failed\"")
            try $0.edit("run.json", "\"exitCode\" : 0", "\"exitCode\" : 1")
            try await $0.coverUp("results.json")
        },
        Damage(
            testDescription: "results.json belongs to another run",
            errors: [
                "results.json was edited or cut off",
                "results.json has the run 'another', run.json 'RUN'",
            ]
        ) { try $0.edit("results.json", RecordedRun.runName(), "another") },
        Damage(
            testDescription: "results.json is cut off",
            errors: ["results.json was edited or cut off", "results.json is cut off or no JSON"], output: "128 of 128"
        ) { try $0.cutOff("results.json") },
        Damage(
            testDescription: "a snapshot is cut off",
            errors: ["snapshot-2.json was edited or cut off", "snapshot-2.json is cut off or no JSON"],
            output: "128 of 128"
        ) { try $0.cutOff("snapshot-2.json") },
        Damage(testDescription: "a snapshot is missing", errors: ["snapshot-2.json is missing"], output: "128 of 128") {
            try $0.remove("snapshot-2.json")
        },
        Damage(testDescription: "results.json is missing", errors: ["results.json is missing"], output: "128 of 128") {
            try $0.remove("results.json")
        },
        Damage(testDescription: "a log is missing", errors: ["events.jsonl is missing"]) {
            try $0.remove("events.jsonl")
        },
        Damage(testDescription: "run.json is missing", errors: ["run.json is missing"], output: "128 of 128") {
            try $0.remove("run.json")
        },
        Damage(
            testDescription: "run.json is cut off", errors: ["run.json is cut off or no JSON"], output: "128 of 128"
        ) { try $0.cutOff("run.json") },
        Damage(
            testDescription: "the run was killed",
            errors: ["run.json has no outcome, the record is cut off: "], output: "128 of 128"
        ) {
            try $0.removeFromInformation("digests", "outcome", "exitCode", "finishedAt")
            try $0.remove("results.json")
        },
        Damage(testDescription: "digests are missing", errors: ["run.json has an outcome and no digests"]) {
            try $0.removeFromInformation("digests")
        },
        Damage(
            testDescription: "a digest is missing", errors: ["domain.xml has no digest in run.json"]
        ) { try $0.edit("run.json", "\"domain.xml\"", "\"console.log\"") },
        Damage(
            testDescription: "a digest of another file",
            errors: [
                "run.json has a digest of '../latest', which is no file of a record",
                "domain.xml has no digest in run.json",
            ]
        ) { try $0.edit("run.json", "\"domain.xml\"", "\"../latest\"") },
        Damage(
            testDescription: "a snapshot of no step",
            errors: [
                "snapshot-7.json has no digest in run.json", "snapshot-7.json belongs to no step in results.json",
            ]
        ) { try $0.write("{}", to: "snapshot-7.json") },
        Damage(
            testDescription: "an unknown snapshot schema",
            errors: ["snapshot-2.json was edited", "snapshot-2.json has schema 1; this program knows 2 and 3"]
        ) { try $0.edit("snapshot-2.json", "\"schema\" : 3", "\"schema\" : 1") },
        Damage(
            testDescription: "an unknown results schema",
            errors: ["results.json was edited", "results.json has schema 0; this program knows 2 and 3"],
            output: "128 of 128"
        ) { try $0.edit("results.json", "\"schema\" : 3", "\"schema\" : 0") },
        Damage(
            testDescription: "an unknown run schema",
            errors: ["run.json has schema 99; this program knows 2"], output: "128 of 128"
        ) { try $0.edit("run.json", "\"schema\" : 2", "\"schema\" : 99") },
        Damage(
            testDescription: "no schema", errors: ["run.json is incomplete: the document has no 'schema'"],
            output: "128 of 128"
        ) { try $0.removeFromInformation("schema") },
        Damage(
            testDescription: "an impossible constant",
            errors: [
                "snapshot-2.json was edited",
                "snapshot-2.json cannot be judged: the snapshot's kernel.pageByteCount is 5; it is 4096 or 65536",
            ]
        ) { try $0.edit("snapshot-2.json", "\"pageByteCount\" : 65536", "\"pageByteCount\" : 5") },
        Damage(
            testDescription: "a word that is none",
            errors: ["snapshot-2.json was edited", "snapshot-2.json is damaged at kernel.vmemmapBase: 'zero' is no "]
        ) {
            try $0.edit("snapshot-2.json", "\"0xc00c000000000000\",\n    \"vmemmapPage", "\"zero\",\n    \"vmemmapPage")
        },
        Damage(
            testDescription: "a column without end",
            errors: [
                "snapshot-2.json was edited",
                "snapshot-2.json is damaged at kernelList.entries.virtAddr[0]: '0xc00c0000000f0000 -0x10000 "
                    + "*1152921504606846976' makes the column longer than the 4194304 elements that it can have",
            ]
        ) { try $0.edit("snapshot-2.json", " -0x10000 *16\"]", " -0x10000 *1152921504606846976\"]") },
        Damage(
            testDescription: "columns of different lengths",
            errors: [
                "snapshot-2.json was edited",
                "snapshot-2.json is damaged at kernelList.entries: the column 'virtAddr' has 15 elements; they are 16, as many "
                    + "as 'node' has",
            ]
        ) { try $0.edit("snapshot-2.json", " -0x10000 *16\"]", " -0x10000 *15\"]") },
        Damage(
            testDescription: "step numbers descend",
            errors: ["results.json was edited", "results.json has step 1 after step 1; numbers ascend"]
        ) { try $0.edit("results.json", "\"number\" : 2", "\"number\" : 1") },
        Damage(
            testDescription: "steps without end",
            errors: ["results.json has 200000 steps; 1024 are the most that it can have"], output: "128 of 128"
        ) {
            var results = try JSONDecoder().decode(RunResults.self, from: Data(contentsOf: $0.file("results.json")))
            results.steps = (1...200_000).map {
                var step = StepResult(number: $0, title: "expect", seconds: 0, outcome: .passed)
                step.expectedFindings = []
                return step
            }
            try RunDirectory.json(results).write(to: $0.file("results.json"))
            try await $0.coverUp("results.json")
        },
        Damage(
            testDescription: "a document in the place of another",
            errors: ["snapshot-2.json was edited", "snapshot-2.json is incomplete: the document has no "]
        ) { try $0.write($0.text("results.json"), to: "snapshot-2.json") },
        Damage(
            testDescription: "arrays in arrays without end",
            errors: ["snapshot-2.json was edited", "snapshot-2.json is cut off or no JSON"]
        ) { try $0.write(String(repeating: "[", count: 1 << 20), to: "snapshot-2.json") },
        Damage(
            testDescription: "a snapshot without end",
            errors: [
                "snapshot-2.json was edited",
                "snapshot-2.json has 268435457 bytes; 268435456 are the most that it can have",
            ]
        ) {
            let handle = try FileHandle(forWritingTo: $0.file("snapshot-2.json"))
            try handle.truncate(atOffset: 268_435_457)
        },
        Damage(
            testDescription: "a log without end",
            errors: ["console.log has 4294967297 bytes; 4294967296 are the most that it can have"]
        ) {
            let handle = try FileHandle(forWritingTo: $0.file("console.log"))
            try handle.truncate(atOffset: 4_294_967_297)
        },
        Damage(
            testDescription: "a pipe in the place of a snapshot",
            errors: ["snapshot-2.json is no regular file"]
        ) {
            try $0.remove("snapshot-2.json")
            #expect(mkfifo($0.file("snapshot-2.json").path, 0o600) == 0)
        },
    ]

    @Test(arguments: damages) func isNamed(damage: Damage) async throws {
        let run = try RecordedRun()
        try await damage.make(run)
        let ending = try await run.verify()
        #expect(ending.status == .exited(2))
        let lines = ending.errors.split(separator: "\n").map(String.init)
        #expect(lines.count == damage.errors.count, "\(ending.errors)")
        let name = try RecordedRun.runName()
        for (line, error) in zip(lines, damage.errors) {
            #expect(line.hasPrefix("qemu-harness: " + error.replacing("RUN", with: name)))
        }
        #expect("\n\(ending.output)".contains(damage.output))
    }

    /// Whoever takes the crash kernel's header out of a snapshot, with all that follows from it, is found out by the steps.
    @Test(arguments: [7, 8]) func aCrashKernelIsDueOnceItIsLoaded(step: Int) async throws {
        let run = try RecordedRun("run-6.1-power8-kdump")
        let name = "snapshot-\(step).json"
        var snapshot = try JSONDecoder().decode(Snapshot.self, from: Data(contentsOf: run.file(name)))
        #expect(snapshot.crashHeader != nil)
        snapshot.crashHeader = nil
        snapshot.witnesses.removeAll { $0 == .crashHeader }
        try RunDirectory.json(snapshot).write(to: run.file(name))
        var results = try JSONDecoder().decode(RunResults.self, from: Data(contentsOf: run.file("results.json")))
        let index = try #require(results.steps.firstIndex { $0.number == step })
        results.steps[index].verdict = try Verifier.verdict(on: snapshot)
        #expect(results.steps[index].verdict?.findings == [])
        try RunDirectory.json(results).write(to: run.file("results.json"))
        for file in [name, "results.json"] { try await run.coverUp(file) }
        let ending = try await run.verify()
        #expect(ending.status == .exited(2))
        #expect(ending.errors.hasPrefix("qemu-harness: \(name) has the witnesses "), "\(ending.errors)")
        #expect(ending.errors.hasSuffix(", crash-header\n"), "\(ending.errors)")
    }

    /// `--json` says the same in one document.
    @Test func isNamedInJSONToo() async throws {
        let run = try RecordedRun()
        try run.remove("snapshot-2.json")
        let ending = try await run.verify("--json")
        #expect(ending.status == .exited(2))
        let results = try JSONDecoder().decode(RunResults.self, from: Data(ending.output.utf8))
        #expect(results.outcome == .error)
        #expect(results.error == "snapshot-2.json is missing")
        // The step without its snapshot has no verdict any more; the other one has.
        #expect(results.steps.map { $0.verdict?.entryCount } == [nil, nil, nil, 32, nil])
    }
}
