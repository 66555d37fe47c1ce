// SPDX-License-Identifier: Apache-2.0

package import Foundation
import Subprocess
import SystemPackage

/// A schema of this project, as Debian's python3-jsonschema reads it.
package struct JSONSchema {
    /// Its name, with the version where that is not the newest.
    package let name: String
    private let file: URL

    /// `schemas/<name>.schema.json`, in the sources that this test was built from.
    package init(_ name: String) {
        self.name = name
        file =
            URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../../schemas")
            .appending(path: "\(name).schema.json").standardizedFileURL
    }

    /// The schema itself.
    package func text() throws -> Data { try Data(contentsOf: file) }

    /// Why the schema refuses each of the JSON documents, which stand one after another; nil for one that it takes.
    package func refusals(of documents: Data) async throws -> [String?] {
        let result = try await Subprocess.run(
            .path("/usr/bin/python3"), arguments: ["-c", Self.validator, file.path], input: .array([UInt8](documents)),
            output: .string(limit: 1 << 24), error: .string(limit: 1 << 16))
        guard result.terminationStatus.isSuccess else { throw Failure(text: result.standardError) }
        return result.standardOutput.split(separator: "\n").map { $0 == "valid" ? nil : String($0) }
    }

    /// A value with one change in each of its places in turn; of an array, the longest element stands for all.
    package static func variants(of value: Any) -> [Any] {
        switch value {
        case let object as [String: Any]:
            var changed: [Any] = [object.merging(["unexpected": 1]) { $1 }]
            for (key, member) in object {
                changed += variants(of: member).map { variant in object.merging([key: variant]) { $1 } as Any }
            }
            return changed + [[1, 2]]
        case let array as [Any]:
            let longest = array.max { "\($0)".count < "\($1)".count }
            return (longest.map { variants(of: $0).map { [$0] } } ?? []) + [["unexpected": 1]]
        default:
            return [["unexpected": 1], [1, 2]]
        }
    }

    package struct Failure: Error {
        let text: String
    }

    private static let validator = """
        import json, sys
        from jsonschema import Draft202012Validator
        schema = json.load(open(sys.argv[1]))
        Draft202012Validator.check_schema(schema)
        validator = Draft202012Validator(schema)
        decoder = json.JSONDecoder()
        text = sys.stdin.read().strip()
        place = 0
        while place < len(text):
            document, place = decoder.raw_decode(text, place)
            while text[place:place + 1].isspace():
                place += 1
            error = next(validator.iter_errors(document), None)
            print(ascii(f'{error.json_path}: {error.message}') if error else 'valid')
        """
}

/// The documents of a run's record, each with its schema: that of an older form, where it has one.
package func recordDocuments(_ directory: URL) throws -> [(schema: JSONSchema, documents: Data)] {
    let snapshots = try FileManager.default.contentsOfDirectory(atPath: directory.path)
        .filter { $0.hasPrefix("snapshot-") }.sorted().map { ($0, "snapshot") }
    let files = [("run.json", "run"), ("results.json", "results"), ("events.jsonl", "events")] + snapshots
    return try files.map { name, schema in
        let documents = try Data(contentsOf: directory.appending(path: name))
        guard ["snapshot", "results"].contains(schema) else { return (JSONSchema(schema), documents) }
        let object = try JSONSerialization.jsonObject(with: documents) as? [String: Any]
        let isOlder = object?["schema"] as? Int == 2
        return (JSONSchema(isOlder ? "\(schema)-2" : schema), documents)
    }
}
