// SPDX-License-Identifier: Apache-2.0

import Foundation
import RunRecord
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
