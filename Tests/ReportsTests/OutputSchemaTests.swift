// SPDX-License-Identifier: Apache-2.0

import Foundation
import RunRecord
import Subprocess
import TestSupport
import Testing
import Verification

/// What commands print with `--json` has the form that its schema says, and no other.
@Suite struct OutputSchemaTests {
    private static let (passed, failed) = ("20261128T183747Z-qrpkerfj", "20261128T220119Z-vmb8z2fe")

    /// A folder with records that are whole, one that was cut off, one of a run that goes on, a damaged one and a soak's.
    private let folder: TemporaryFolder
    private let running: RunDirectory

    init() throws {
        folder = try TemporaryFolder()
        for (fixture, name) in [
            ("run-6.1-power9", Self.passed), ("run-6.12-4k-power8-failed-plug", Self.failed),
            ("run-6.1-power8", "20261128T220000Z-cutoffxx"),
        ] {
            try FileManager.default.copyItem(at: SampleRecord.fixture(fixture), to: folder.url.appending(path: name))
        }
        let cutOff = folder.url.appending(path: "20261128T220000Z-cutoffxx")
        try FileManager.default.removeItem(at: cutOff.appending(path: "results.json"))
        var text = try String(contentsOf: cutOff.appending(path: "run.json"), encoding: .utf8)
        text.replace(/"outcome" : "passed",/, with: "")
        try text.write(to: cutOff.appending(path: "run.json"), atomically: true, encoding: .utf8)
        for name in ["20261129T000000Z-damagedx", "renamed"] {
            try FileManager.default.createDirectory(
                at: folder.url.appending(path: name), withIntermediateDirectories: false)
        }
        running = try RunDirectory(parent: folder.url, identifier: "goingonx", startedAt: Date())
        try running.write(
            RunInformation(
                run: running.name, startedAt: Date(), commandLine: ["x"], versions: .init(harness: "0"),
                guest: .init(
                    kernelPath: "k", initramfsPath: "i", cpu: "POWER9", cpuCount: 1, bootMemoryByteCount: 1,
                    maximumMemoryByteCount: 1, kernelCommandLine: "")))
        try running.observe(.stepStarted(number: 1, title: "boot"))
        try running.observe(.finding(.init(.list, .cycle, "a node")))
    }

    /// A schema, and command lines whose output it takes.
    static let commands: [(schema: String, commandLines: [String])] = [
        ("runs", ["runs RUNS", "runs RUNS --kernel 5.4", "runs RUNS --outcome running"]),
        (
            "run-summary",
            ["runs show qrpkerfj RUNS", "runs show vmb8z2fe RUNS", "runs show cutoffxx RUNS"]
                + ["runs show damagedx RUNS", "runs show goingonx RUNS"]
        ),
        ("runs-prune", ["runs prune --keep-last 0 --dry-run RUNS", "runs prune --older-than 100000d RUNS"]),
        ("log", ["logs qrpkerfj RUNS", "logs vmb8z2fe RUNS"]),
        (
            "comparison",
            ["compare qrpkerfj vmb8z2fe RUNS", "compare vmb8z2fe vmb8z2fe RUNS", "compare qrpkerfj damagedx RUNS"]
        ),
        ("explanation", ["explain", "explain list-cycle", "explain guest-oops"]),
        ("plan-list", ["plan list"]),
        ("emulation", ["emulate --plug 1GiB --unplug 1", "emulate --mmu radix", "emulate --plug 1GiB --fail-at 70"]),
    ]

    @Test(arguments: commands) func outputsHaveTheirForm(schema name: String, commandLines: [String]) async throws {
        let schema = JSONSchema(name)
        for commandLine in commandLines {
            let arguments = commandLine.split(separator: " ").flatMap {
                $0 == "RUNS" ? ["--runs-dir", folder.url.path] : [String($0)]
            }
            let ending = try await HarnessProgram.run(arguments + ["--json"])
            let refusals = try await schema.refusals(of: Data(ending.output.utf8))
            #expect(!refusals.isEmpty && refusals.allSatisfy { $0 == nil }, "\(commandLine): \(refusals)")
            // The first of several documents stands for all.
            let document = name == "log" ? String(ending.output.prefix { $0 != "\n" }) : ending.output
            let object = try JSONSerialization.jsonObject(with: Data(document.utf8))
            // A record may hold files of any name.
            let variants = JSONSchema.variants(of: object).filter { variant in
                ((variant as? [String: Any])?["files"] as? [String: Any])?["unexpected"] == nil
            }
            let documents = try variants.map { try JSONSerialization.data(withJSONObject: $0) }
            let answers = try await schema.refusals(of: Data(documents.joined(separator: [0x0a])))
            #expect(answers.count == variants.count && variants.count > 3)
            for (index, answer) in answers.enumerated() where answer == nil {
                Issue.record("the schema takes \(String(decoding: documents[index].prefix(2000), as: UTF8.self))")
            }
        }
    }

    /// Each table fits a terminal, whatever the kernels are called.
    @Test func listsFit() async throws {
        let ending = try await HarnessProgram.run(["runs", "--runs-dir", folder.url.path])
        #expect(ending.output.contains("6.12.95+deb"))
        for line in ending.output.split(separator: "\n") { #expect(line.count <= 80, "\(line)") }
    }
}
