// SPDX-License-Identifier: Apache-2.0

import Foundation
import Plans
import TestSupport
import Testing
import Yams

@Suite struct PlanReaderTests {
    @Test(arguments: PlanCases.accepted) func takes(yaml: String) throws {
        let plan = try Plan(yaml: yaml)
        // What is written is read as the same plan.
        #expect(try Plan(yaml: plan.yaml()) == plan)
    }

    @Test(arguments: PlanCases.refused) func refuses(refusal: PlanCases.Refusal) throws {
        let problem = try #require(throws: PlanProblem.self) { try Plan(yaml: refusal.yaml) }
        #expect("\(problem)".contains(refusal.message))
    }

    @Test func readsEverything() throws {
        let plan = try Plan(
            yaml: """
                description: Everything
                guest: {cpu: POWER9, kernel: 6.12-4k, memory: 1GiB, maximum-memory: 16GiB, slots: 8, vcpus: 2,
                        numa-nodes: 2, hpt-page-size: 64KiB, append: quiet}
                steps:
                  - plug: {size: 2GiB, node: 1, base: 4GiB}
                  - repeat: {times: 2, steps: [{plug: 512MiB}, verify]}
                  - unplug: last
                  - wait: 5s
                  - guest: {read: /proc/version, contains: Linux}
                """)
        var guest = Plan.Guest()
        guest.cpu = "POWER9"
        guest.kernel = "6.12-4k"
        guest.memory = 1 << 30
        guest.maximumMemory = 16 << 30
        guest.slots = 8
        guest.vcpus = 2
        guest.numaNodes = 2
        guest.hptPageSize = 65536
        guest.append = "quiet"
        #expect(plan.guest == guest)
        #expect(
            plan.steps == [
                .plug(size: 2 << 30, node: 1, base: 4 << 30),
                .repeat(times: 2, steps: [.plug(size: 512 << 20, node: nil, base: nil), .verify]),
                .unplug(.last), .wait(.seconds(5)), .guest(.read(path: "/proc/version", contains: "Linux")),
            ])
    }

    /// Aliases that a parser resolves before anybody refuses them must not keep it busy, whatever ends their lines and
    /// stands before them.
    @Test(
        .timeLimit(.minutes(1)),
        arguments: [
            ("", "\n"), ("# a comment\n", "\n"), ("# a comment\r\n", "\r\n"), ("# a comment\r", "\r"),
            ("s: \"\n#\"\n", "\n"),
        ])
    func aliasesDoNotMultiply(beginning: String, lineEnd: String) {
        var yaml = beginning + "a0: &a0 [x, x, x, x, x, x, x, x, x]" + lineEnd
        for level in 1..<9 {
            let aliases = Array(repeating: "*a\(level - 1)", count: 9).joined(separator: ", ")
            yaml += "a\(level): &a\(level) [\(aliases)]" + lineEnd
        }
        yaml += "? *a8" + lineEnd + ": x" + lineEnd
        #expect(throws: PlanProblem.self) { try Plan(yaml: yaml) }
    }

    /// A line that looks like a comment is none inside of quotes, and what follows them on it may be an alias.
    @Test(.timeLimit(.minutes(1))) func aliasesDoNotHideBehindQuotes() {
        var yaml = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n"
        for level in 1..<9 {
            let aliases = Array(repeating: "*a\(level - 1)", count: 9).joined(separator: ", ")
            yaml += "a\(level): &a\(level) [\"\n # \", \(aliases)]\n"
        }
        yaml += "? *a8\n: x\n"
        #expect(throws: PlanProblem.self) { try Plan(yaml: yaml) }
    }

    @Test func aFewAliasesAreRefusedWhereTheyLead() {
        let twice = "a: &a [x, x]\nb: &b [*a, *a]\nc: &c [*b, *b]\n? *c\n: x\n"
        #expect(throws: PlanProblem(line: 1, column: 4, "anchors and aliases are refused")) { try Plan(yaml: twice) }
    }

    /// Texts with as many asterisks as anybody likes are written so that none is taken for an alias.
    @Test(arguments: [
        String(repeating: "*a ", count: 100) + "*", #"\*a\\*b "*c" '*d'"#, "*", "#*a",
        String(repeating: "*", count: 512),
    ])
    func whatIsWrittenHoldsNoAlias(text: String) throws {
        var plan = Plan(description: "d", steps: [.guest(.read(path: "/a", contains: text)), .guest(.dlpar(text))])
        plan.guest.append = text
        #expect(try Plan(yaml: plan.yaml()) == plan)
    }

    /// A parser that runs deep is a parser that crashes.
    @Test(arguments: ["[", "{a: ", "- ", "? ", "[{a: ", "\"", "'", "&a ", "!t ", "\\"]) func deepTextsAreRefused(
        piece: String
    ) {
        let yaml = String(repeating: piece, count: PlanLimits.textByteCount / piece.utf8.count)
        #expect(throws: PlanProblem.self) { try Plan(yaml: yaml) }
    }
}

@Suite struct PlanSchemaTests {
    @Test func theSchemaTakesTheSamePlans() async throws {
        let refusals = try await JSONSchema("plan").refusals(of: Self.json(PlanCases.accepted))
        #expect(refusals.count == PlanCases.accepted.count)
        for (yaml, refusal) in zip(PlanCases.accepted, refusals) {
            #expect(refusal == nil, "\(yaml)")
        }
    }

    @Test func theSchemaRefusesTheSamePlans() async throws {
        let cases = PlanCases.refused.filter(\.isFormal)
        let refusals = try await JSONSchema("plan").refusals(of: Self.json(cases.map(\.yaml)))
        #expect(refusals.count == cases.count)
        for (refused, refusal) in zip(cases, refusals) {
            #expect(refusal != nil, "the schema takes \(refused.yaml)")
        }
    }

    @Test func theReadyPlansAreTaken() async throws {
        let folder = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../../plans")
            .standardizedFileURL
        let names = try FileManager.default.contentsOfDirectory(atPath: folder.path).sorted()
        #expect(
            names == [
                "4k-pages.yaml", "altmap.yaml", "disable-radix.yaml", "failed-plug.yaml", "first-light.yaml",
                "half-added-block.yaml", "hash-16m.yaml", "hpt-resize.yaml", "kdump-altmap.yaml", "kdump-hotplug.yaml",
                "kdump-hpt-resize-fixed.yaml", "kdump-hpt-resize.yaml", "kdump-in-plug.yaml", "kdump-stale.yaml",
                "kdump-unplug.yaml", "kdump.yaml", "many-dimms.yaml", "memory-load.yaml", "numa.yaml",
                "refused-unplug.yaml", "slab-in-unplug.yaml", "unplug-replug.yaml",
            ])
        let texts = try names.map { try String(contentsOf: folder.appending(path: $0), encoding: .utf8) }
        for (name, text) in zip(names, texts) {
            let plan = try Plan(yaml: text)
            #expect(try Plan(yaml: plan.yaml()) == plan, "\(name)")
            #expect(plan.description.hasSuffix(".") && plan.description.count <= 100)
        }
        #expect(try await JSONSchema("plan").refusals(of: Self.json(texts)).allSatisfy { $0 == nil })
    }

    /// The documents as JSON, one after another.
    private static func json(_ texts: [String]) throws -> Data {
        var documents = Data()
        for text in texts {
            let value = try Yams.load(yaml: text) ?? NSNull()
            documents += try JSONSerialization.data(withJSONObject: value, options: .fragmentsAllowed) + Data([0x0a])
        }
        return documents
    }
}
