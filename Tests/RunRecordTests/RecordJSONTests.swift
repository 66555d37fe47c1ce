// SPDX-License-Identifier: Apache-2.0

import Foundation
import RunRecord
import TestSupport
import Testing
import Verification

@Suite struct RecordJSONTests {
    private func roundTrip<Value: Codable>(_ value: Value) throws -> Value {
        let decoder = JSONDecoder()
        decoder.dateDecodingStrategy = .iso8601
        return try decoder.decode(Value.self, from: RunDirectory.json(value))
    }

    private func object(_ value: some Encodable) throws -> [String: Any] {
        try #require(try JSONSerialization.jsonObject(with: RunDirectory.json(value)) as? [String: Any])
    }

    @Test func everythingComesBack() throws {
        #expect(try roundTrip(Samples.information) == Samples.information)
        #expect(try roundTrip(Samples.results) == Samples.results)
        #expect(try roundTrip(Samples.snapshot) == Samples.snapshot)
    }

    @Test func readersFindWhatTheyLookFor() throws {
        let information = try object(Samples.information)
        #expect(information["schema"] as? Int == 2)
        #expect(information["startedAt"] as? String == "2023-11-14T22:13:20Z")
        #expect(information["exitCode"] as? Int == 2)
        let results = try object(Samples.results)
        #expect(results["schema"] as? Int == 3)
        #expect(results["outcome"] as? String == "failed")
        let steps = try #require(results["steps"] as? [[String: Any]])
        let verdict = try #require(steps[1]["verdict"] as? [String: Any])
        #expect(verdict["provenance"] as? [String: Int] == ["observed": 1, "healed": 2])
        #expect((verdict["findings"] as? [[String: String]])?.first?["name"] == "list-cycle")
        let entries = try #require(steps[1]["newEntries"] as? [String: [String]])
        #expect(entries["virtAddr"]?.first == "0xc00c000000000000")
        #expect(steps[0]["newEntries"] == nil)
    }

    /// A person reads it, in whatever order its texts have brackets, quotes and commas.
    @Test func layoutChangesNothing() throws {
        struct Document: Codable, Equatable {
            var empty: [Int] = []
            var nested: [[Int]] = [[], [1, 2], [3]]
            var none: [String: Int] = [:]
            var objects: [[String: String]] = [["a": "b"], [:]]
            var texts = ["\"[1, 2]\"", "{\\", "\\\"", "a : b,\n", "\u{0}é"]
        }
        let json = try RunDirectory.json(Document())
        #expect(try JSONDecoder().decode(Document.self, from: json) == Document())
        #expect(
            String(decoding: json, as: UTF8.self) == #"""
                {
                  "empty" : [],
                  "nested" : [
                    [],
                    [1,2],
                    [3]
                  ],
                  "none" : {},
                  "objects" : [
                    {
                      "a" : "b"
                    },
                    {}
                  ],
                  "texts" : ["\"[1, 2]\"","{\\","\\\"","a : b,\n","\u0000é"]
                }

                """#)
    }

    /// A column may be cut into runs in any way: each word alone says the same. Rows are what schema 2 has.
    @Test(arguments: RecordedRun.names) func everyFormSaysTheSame(name: String) throws {
        let run = try RecordedRun.fixture(name)
        for file in try FileManager.default.contentsOfDirectory(atPath: run.path) where file.hasPrefix("snapshot-") {
            let snapshot = try JSONDecoder().decode(Snapshot.self, from: Data(contentsOf: run.appending(path: file)))
            let json = try RunDirectory.json(snapshot)
            #expect(try JSONDecoder().decode(Snapshot.self, from: json) == snapshot)
            let object = try JSONSerialization.jsonObject(with: json)
            let longer = try JSONSerialization.data(withJSONObject: Self.expanded(object))
            #expect(try longer.count > JSONSerialization.data(withJSONObject: object).count)
            #expect(try JSONDecoder().decode(Snapshot.self, from: longer) == snapshot)
        }
    }

    /// Schema 2 has an array of rows where there is a table now, and says the same.
    @Test(arguments: RecordedRun.names) func rowsSayTheSame(name: String) async throws {
        let run = try RecordedRun.fixture(name)
        for file in try FileManager.default.contentsOfDirectory(atPath: run.path) where file.hasPrefix("snapshot-") {
            var snapshot = try JSONDecoder().decode(Snapshot.self, from: Data(contentsOf: run.appending(path: file)))
            snapshot.leaveOutWhatIsNewer()
            let object = Self.expanded(try JSONSerialization.jsonObject(with: RunDirectory.json(snapshot)))
            var older = try #require(Self.rows(object) as? [String: Any])
            older["schema"] = 2
            let json = try JSONSerialization.data(withJSONObject: older)
            #expect(try await JSONSchema("snapshot-2").refusals(of: json) == [nil])
            #expect(try JSONDecoder().decode(Snapshot.self, from: json) == snapshot)
        }
    }

    /// The same with rows as schema 2 had them in place of tables.
    private static func rows(_ value: Any) -> Any {
        guard let object = value as? [String: Any] else { return (value as? [Any])?.map(rows) ?? value }
        guard let table = object as? [String: [String]], let count = table.values.first?.count else {
            return object.mapValues(rows)
        }
        return (0..<count).map { index -> Any in
            var row: [String: Any] = table.mapValues { $0[index] }
            func digits(_ name: String) -> String { "\((row[name] as? String ?? "").dropFirst(2))" }
            if row["r"] != nil { return ["index", "v", "r"].map(digits).joined(separator: " ") }
            for name in ["number", "index", "byteCount"] where row[name] != nil {
                row[name] = UInt64(digits(name), radix: 16)
            }
            for name in ["flags", "subsections"] { row[name] = nil }
            if row["number"] != nil, let state = row.removeValue(forKey: "state") as? String {
                row["isOnline"] = state == "online"
            }
            if let answer = row["answer"] as? String {
                let phys = row.removeValue(forKey: "phys")
                row["answer"] = answer == "physical" ? phys : answer
            }
            return row
        }
    }

    /// The same with each run of a column as its elements.
    private static func expanded(_ value: Any) -> Any {
        switch value {
        case let object as [String: Any]: object.mapValues(expanded)
        case let texts as [String]: texts.flatMap(expanded)
        case let array as [Any]: array.map(expanded)
        default: value
        }
    }

    private static func expanded(_ text: String) -> [String] {
        guard let run = text.wholeMatch(of: /(.*?)(?: ([+-])0x([0-9a-f]+))? \*([0-9]+)/), let count = Int(run.4) else {
            return [text]
        }
        let step = run.3.flatMap { UInt64($0, radix: 16) } ?? 0
        guard run.1.hasPrefix("0x"), let first = UInt64(run.1.dropFirst(2), radix: 16) else {
            return Array(repeating: String(run.1), count: count)
        }
        return (0..<UInt64(count)).map { index in
            "0x" + String(run.2 == "-" ? first &- index &* step : first &+ index &* step, radix: 16)
        }
    }

    @Test func textEndsWithANewlineAndKeepsSlashes() throws {
        let text = String(decoding: try RunDirectory.json(Samples.information), as: UTF8.self)
        #expect(text.hasSuffix("}\n"))
        #expect(text.contains("\"/boot/vmlinux\""))
    }

    @Test func aStepsFindingsComeFromItselfAndFromItsVerdict() throws {
        var step = Samples.results.steps[1]
        step.findings = [Finding(.plug, .refused, "one LMB")]
        #expect(step.allFindings.map(\.name) == ["plug-refused", "list-cycle", "crash-header-hpt-size"])
        step.findings = nil
        step.verdict = nil
        #expect(step.allFindings == [])
    }
}

extension Snapshot {
    /// Leaves out what schema 2 did not have.
    fileprivate mutating func leaveOutWhatIsNewer() {
        structPages = nil
        witnesses.removeAll { $0 == .structPages }
        for index in memory.indices { memory[index].node = nil }
        for index in sections.indices { (sections[index].flags, sections[index].subsections) = (nil, nil) }
        interruptedAdd?.node = nil
        freeNodes = nil
        pageTables?.tables = nil
        history?.bootMemory.indices.forEach { history?.bootMemory[$0].node = nil }
    }
}
