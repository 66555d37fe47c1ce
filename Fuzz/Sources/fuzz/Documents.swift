// SPDX-License-Identifier: Apache-2.0

import Foundation
import Plans
import RunRecord

@testable import Verification

extension Harness {
    /// What people write, and what a record holds beside its snapshots.
    static let documents = [
        Harness("plan", byteLimit: 4096) { bytes in
            let plan = try Plan(yaml: String(decoding: bytes, as: UTF8.self))
            let text = try plan.yaml()
            require(text.utf8.allSatisfy { $0 != 0 }, "a plan's text has no NUL")
            do {
                let again = try Plan(yaml: text)
                require(again == plan, "a plan that was written reads as the same: \(text)")
            } catch {
                require(false, "a plan that was written is read: \(error) in \(text)")
            }
        },
        Harness("run", byteLimit: 8192) { bytes in try roundTrip(RunInformation.self, bytes) },
        Harness("results", byteLimit: 8192) { bytes in
            var results = try roundTrip(RunResults.self, bytes)
            require(
                Outcome.of(results.steps, allowing: results.allowedUnsaid).exitCodeOfVerification >= 0,
                "results come to something")
            require(results.failures.allSatisfy { !$0.findings.isEmpty }, "a failure has findings")
            _ = results.unsaid
            for index in results.steps.indices { results.steps[index].conclude() }
        },
        Harness("words", byteLimit: 512) { bytes in
            let words = try WordColumn.words(of: texts(bytes))
            let written = WordColumn.texts(of: words)
            require(try WordColumn.words(of: written) == words, "a column of words comes back")
        },
        Harness("names", byteLimit: 512) { bytes in
            // Without a limit of its own a short text makes millions of names.
            let names = try NameColumn.names(of: texts(bytes))
            let written = NameColumn.texts(of: names)
            require(try NameColumn.names(of: written) == names, "a column of names comes back")
        },
    ]

    /// The lines of an input, some of which a column is made of.
    private static func texts(_ bytes: [UInt8]) -> [String] {
        bytes.split(separator: 0x0a, omittingEmptySubsequences: false).map { String(decoding: $0, as: UTF8.self) }
    }

    /// Reads a document as a record's reader does, and holds it to coming back when it is written.
    @discardableResult static func roundTrip<Document: Codable & Equatable>(
        _: Document.Type, _ bytes: [UInt8]
    ) throws -> Document {
        let decoder = JSONDecoder()
        decoder.dateDecodingStrategy = .iso8601
        decoder.userInfo = ColumnBudget().userInfo
        let document = try decoder.decode(Document.self, from: Data(bytes))
        // What JSON has no number for is not written.
        guard let written = try? RunDirectory.json(document) else { return document }
        do {
            decoder.userInfo = ColumnBudget().userInfo
            let again = try decoder.decode(Document.self, from: written)
            require(again == document, "a \(Document.self) comes back: \(String(decoding: written, as: UTF8.self))")
        } catch {
            require(false, "a \(Document.self) that was written is read: \(error)")
        }
        return document
    }
}
