// SPDX-License-Identifier: Apache-2.0

import Foundation
import RunRecord
import Subprocess
import TestSupport
import Testing
import Yams

@testable import Runs

/// What clusters and services are given says the same as the program.
@Suite struct EngineManifestTests {
    private static let engines = ScriptProcess.project.appending(path: "engines")
    private static let manifests = [
        "kubernetes/matrix.yaml", "kubernetes/merge.yaml", "github-actions/matrix.yml", "gitlab/matrix.yml",
    ]

    /// The parts of Kubernetes's Job that are held to something.
    private struct Job: Decodable {
        struct Spec: Decodable {
            let completionMode: String
            let completions: Int
            let parallelism: Int
            let backoffLimitPerIndex: Int
            let podFailurePolicy: Policy
            let template: Template
        }
        struct Policy: Decodable {
            struct Rule: Decodable {
                struct Codes: Decodable {
                    let `operator`: String
                    let containerName: String
                    let values: [Int32]
                }
                let action: String
                let onExitCodes: Codes?
            }
            let rules: [Rule]
        }
        struct Template: Decodable {
            struct Pod: Decodable {
                let restartPolicy: String
                let containers: [Container]
            }
            struct Container: Decodable {
                struct Variable: Decodable {
                    let name: String
                    let value: String?
                }
                let name: String
                let command: [String]
                let env: [Variable]
            }
            let spec: Pod
        }
        let spec: Spec
    }

    @Test func aPodsExitCodeIsTheProgramsAndItsShardToo() throws {
        let text = try String(contentsOf: Self.engines.appending(path: "kubernetes/matrix.yaml"), encoding: .utf8)
        let documents = text.components(separatedBy: "\n---\n")
        let job = try YAMLDecoder().decode(
            Job.self, from: try #require(documents.first { $0.contains("kind: Job") })
        ).spec
        let container = try #require(job.template.spec.containers.first)

        var actions: [Int32: String] = [:]
        for rule in job.podFailurePolicy.rules {
            guard let codes = rule.onExitCodes else { continue }
            #expect(codes.operator == "In" && codes.containerName == container.name)
            for code in codes.values { #expect(actions.updateValue(rule.action, forKey: code) == nil) }
        }
        #expect(
            actions == [
                ExitStatus.failed: "FailIndex", ExitStatus.incomplete: "FailIndex", ExitStatus.usage: "FailJob",
                ExitStatus.infrastructure: "Count", ExitStatus.interrupted: "Count", ExitStatus.terminated: "Count",
            ])
        // A node's drain comes before the code of a pod that it has ended.
        #expect(job.podFailurePolicy.rules.first?.action == "Ignore")
        // Kubernetes takes the policy with no other.
        #expect(job.template.spec.restartPolicy == "Never" && job.backoffLimitPerIndex > 0)

        #expect(job.completionMode == "Indexed" && job.parallelism <= job.completions)
        let count = try #require(container.env.first { $0.name == Shard.completionCountVariable }?.value)
        #expect(count == "\(job.completions)")
        // Each shard has a folder of its own, by the variable that says which one it is.
        #expect(container.command.filter { $0.hasSuffix("/$(JOB_COMPLETION_INDEX)") }.count == 1)
        for index in 0..<job.completions {
            let found = try Shard.inEnvironment([
                "JOB_COMPLETION_INDEX": "\(index)", Shard.completionCountVariable: count,
            ])
            #expect(found?.shard == Shard(index: index + 1, count: job.completions))
        }
    }

    /// Everything that an engine is given starts scripts, and takes plans, that are there.
    @Test(arguments: manifests) func filesAreWhereTheyAreSaidToBe(manifest: String) throws {
        let text = try String(contentsOf: Self.engines.appending(path: manifest), encoding: .utf8)
        let paths = text.matches(of: /harness\/((?:engines|scripts)\/[a-z\/-]+(?:\.yaml)?)/).map { String($0.output.1) }
        #expect(!paths.isEmpty)
        for path in paths {
            let (file, files) = (ScriptProcess.project.appending(path: path).path, FileManager.default)
            #expect(path.hasSuffix(".yaml") ? files.isReadableFile(atPath: file) : files.isExecutableFile(atPath: file))
        }
    }

    /// Kubernetes's, GitHub's and GitLab's own schemas, which are fetched for this.
    @Test(
        .enabled("takes a network; scripts/test --all") {
            ProcessInfo.processInfo.environment["QEMU_HARNESS_ALL_TESTS"] != nil
        })
    func theEnginesSchemasTakeAll() async throws {
        let good = try await ScriptProcess.run(
            "scripts/engines-validate", Self.manifests.map { Self.engines.appending(path: $0).path })
        #expect(good.status == .exited(0), "\(good.errors)")
        let folder = try TemporaryFolder()
        for (manifest, word) in zip(Self.manifests, ["onExitCodes", "backoffLimit", "runs-on", "exit_codes"]) {
            let text = try String(contentsOf: Self.engines.appending(path: manifest), encoding: .utf8)
            let spoiled = try folder.write(Array(text.replacing(word, with: "nonsense").utf8), to: manifest)
            #expect(
                try await ScriptProcess.run("scripts/engines-validate", [spoiled]).status == .exited(1), "\(manifest)")
        }
    }
}
