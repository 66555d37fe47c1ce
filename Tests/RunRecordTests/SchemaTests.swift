// SPDX-License-Identifier: Apache-2.0

import Foundation
import RunRecord
import TestSupport
import Testing

/// The schemas take what runs write, and nothing else.
@Suite struct SchemaTests {
    @Test func takeEveryRecord() async throws {
        var documents: [String: (schema: JSONSchema, text: Data)] = [:]
        for name in RecordedRun.names {
            for (schema, text) in try recordDocuments(RecordedRun.fixture(name)) {
                documents[schema.name, default: (schema, Data())].text += text + Data([0x0a])
            }
        }
        #expect(documents.keys.sorted() == ["events", "results", "results-2", "run", "snapshot", "snapshot-2"])
        for (schema, text) in documents.values {
            let refusals = try await schema.refusals(of: text)
            #expect(!refusals.isEmpty && refusals.allSatisfy { $0 == nil }, "\(refusals.compactMap(\.self))")
        }
    }

    @Test func takeWhatTheSamplesHold() async throws {
        #expect(try await JSONSchema("snapshot").refusals(of: RunDirectory.json(Samples.snapshot)) == [nil])
        #expect(try await JSONSchema("snapshot").refusals(of: RunDirectory.json(Samples.crashSnapshot)) == [nil])
        #expect(try await JSONSchema("snapshot").refusals(of: RunDirectory.json(Samples.failedCrashSnapshot)) == [nil])
        #expect(try await JSONSchema("results").refusals(of: RunDirectory.json(Samples.results)) == [nil])
    }

    /// Whatever `verify` prints has the form of results.json, also when the record is damaged.
    @Test func takeWhatVerifyPrints() async throws {
        let run = try RecordedRun()
        try run.remove("snapshot-2.json")
        for path in [run.url, run.file("snapshot-4.json"), run.file("console.log")] {
            let output = try await RecordedRun.verify([path.path, "--json"]).output
            #expect(try await JSONSchema("results").refusals(of: Data(output.utf8)) == [nil])
        }
    }

    struct Edit: Sendable, CustomTestStringConvertible {
        let file: String
        let old: String
        let new: String
        var testDescription: String { "\(file): \(old) → \(new)" }

        init(_ file: String, _ old: String, _ new: String) {
            self.file = file
            self.old = old
            self.new = new
        }
    }

    static let edits = [
        Edit("run.json", "\"schema\" : 2", "\"schema\" : 1"),
        Edit("run.json", "\"outcome\" : \"passed\"", "\"outcome\" : \"good\""),
        Edit("run.json", "\"outcome\" : \"passed\",", ""),
        Edit("run.json", "\"exitCode\" : 0", "\"exitCode\" : 256"),
        Edit("run.json", "\"exitCode\" : 0", "\"exitCode\" : \"0\""),
        Edit("run.json", "\"events.jsonl\" : ", "\"events.json\" : "),
        Edit("run.json", "\"snapshot-2.json\" : \"", "\"snapshot-2.json\" : \"A"),
        Edit("run.json", "\"startedAt\" : \"2", "\"startedAt\" : \""),
        Edit("run.json", "\"pageByteCount\" : 65536", "\"pageByteCount\" : 65535"),
        Edit("run.json", "\"cpuCount\" : 1", "\"cpuCount\" : 0"),
        Edit("results.json", "\"number\" : 1", "\"number\" : 0"),
        Edit("results.json", "\"provenance\" : {", "\"provenance\" : { \"guessed\" : 1, "),
        Edit("results.json", "\"standing\" : \"agrees\"", "\"standing\" : \"agree\""),
        Edit("results.json", "\"findings\" : [", "\"findings\" : [ { \"name\" : \"list-cycle\" } "),
        Edit("results.json", "\"seconds\" : ", "\"seconds\" : -"),
        Edit("snapshot-2.json", "\"schema\" : 3", "\"schema\" : 3.5"),
        Edit("snapshot-2.json", "\"kernel-list\"", "\"list\""),
        Edit("snapshot-2.json", "\"statements\" : ", "\"told\" : "),
        Edit("results.json", "\"allowedUnsaid\" : [", "\"allowedUnsaid\" : [ \"nobody\" "),
        Edit("results.json", "\"unsaid\" : [", "\"unsaid\" : [ { \"witness\" : \"mmu\" } "),
        Edit("run.json", "\"model\"", "\"oracle\""),
        Edit("snapshot-2.json", "\"0xc00c000000000000\"", "\"0xC00C000000000000\""),
        Edit("snapshot-2.json", "\"0xc00c000000000000\"", "\"0x0c00c000000000000\""),
        Edit("snapshot-2.json", "\"end\" : \"terminated\"", "\"end\" : \"ended\""),
        Edit("snapshot-2.json", "\"seeded *", "\"made-up *"),
        Edit("snapshot-2.json", "\"frameStride\" : 64", "\"frameStride\" : 0"),
        Edit("snapshot-2.json", "\"state\" : [\"online *", "\"state\" : [\"on *"),
        Edit("snapshot-2.json", "\"sectionSizeBits\" : 24", "\"sectionSizeBits\" : 64"),
        Edit("snapshot-2.json", " -0x18 *", " -18 *"),
        Edit("snapshot-2.json", " -0x18 *", " -0x18*"),
        Edit("snapshot-2.json", " -0x18 *", " 0x18 *"),
        Edit("snapshot-2.json", " -0x18 *", " -0x18 *0"),
        Edit("snapshot-2.json", "\"node\" : [\"", "\"node\" : [\"0"),
        Edit("snapshot-2.json", "\"node\" : [", "\"node\" : [null,"),
        Edit("snapshot-2.json", "\"node\" : [", "\"nodes\" : ["),
        Edit("events.jsonl", "\"seq\":1", "\"seq\":0"),
        Edit("events.jsonl", "\"kind\":\"step.started\"", "\"kind\":\"step.begun\""),
        Edit("events.jsonl", "\"step\":1", "\"step\":\"1\""),
        Edit("events.jsonl", "\"schema\":2", "\"schema\":1"),
        Edit("events.jsonl", "\"marker\":", "\"marker\":-"),
        Edit("events.jsonl", "\"node\":0", "\"node\":\"0x0\""),
        Edit("events.jsonl", "\"phys\":\"0x", "\"phys\":\""),
        Edit("events.jsonl", "\"byteCount\":", "\"byte_count\":"),
    ]

    /// Each edit makes one document of its file one that the schema refuses.
    @Test(arguments: Set(edits.map(\.file)).sorted()) func refuseEdits(of file: String) async throws {
        var documents = Data()
        var edits: [(edit: Edit, documentCount: Int)] = []
        for edit in Self.edits where edit.file == file {
            let run = try RecordedRun()
            try run.edit(edit.file, edit.old, edit.new)
            let edited = try Data(contentsOf: run.file(file))
            edits.append((edit, file.hasSuffix(".jsonl") ? edited.split(separator: 0x0a).count : 1))
            documents += edited + Data([0x0a])
        }
        var refusals = try await JSONSchema("\(file.prefix { $0.isLetter })").refusals(of: documents)[...]
        for (edit, documentCount) in edits {
            let own = refusals.prefix(documentCount)
            #expect(own.count == documentCount && own.count { $0 != nil } == 1, "\(edit.testDescription)")
            refusals = refusals.dropFirst(documentCount)
        }
        #expect(refusals.isEmpty)
    }

    /// In each place of a record: no member that the form does not have, and no value of another type.
    @Test func leaveNoPlaceOpen() async throws {
        for (schema, documents) in try recordDocuments(RecordedRun.fixture(RecordedRun.names[0])) {
            let lines = documents.split(separator: 0x0a)
            // Events are a line each; one of each kind will do. Anything else is one document.
            let isEvents = lines.first?.last == 0x7d
            var texts: [String: Data] = [:]
            for text in isEvents ? lines : [documents] {
                let object = try JSONSerialization.jsonObject(with: text) as? [String: Any]
                texts[object?["kind"] as? String ?? ""] = text
            }
            var variants = Data()
            var variantCount = 0
            for text in texts.values {
                for variant in JSONSchema.variants(of: try JSONSerialization.jsonObject(with: text)) {
                    variants += try JSONSerialization.data(withJSONObject: variant) + Data([0x0a])
                    variantCount += 1
                }
            }
            let refusals = try await schema.refusals(of: variants)
            #expect(refusals.count == variantCount && variantCount > 20)
            for (index, refusal) in refusals.enumerated() where refusal == nil {
                let line = variants.split(separator: 0x0a)[index].prefix(2000)
                Issue.record("the schema takes \(String(decoding: line, as: UTF8.self))")
            }
        }
    }
}
