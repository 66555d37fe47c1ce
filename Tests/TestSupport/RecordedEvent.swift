// SPDX-License-Identifier: Apache-2.0

package import Foundation
import HarnessBasics

/// A line of events.jsonl, as any reader of JSON has it.
package struct RecordedEvent: Decodable, Sendable {
    package let schema: Int
    package let seq: Int
    package let time: Double
    package let kind: String
    /// Every member of the line, those above included.
    private let members: [String: Member]

    private enum Member: Decodable, Sendable {
        case number(Double)
        case text(String)

        init(from decoder: any Decoder) throws {
            let container = try decoder.singleValueContainer()
            if let number = try? container.decode(Double.self) {
                self = .number(number)
            } else {
                self = .text(try container.decode(String.self))
            }
        }
    }

    private enum CodingKeys: String, CodingKey {
        case schema, seq, time, kind
    }

    package init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        schema = try container.decode(Int.self, forKey: .schema)
        seq = try container.decode(Int.self, forKey: .seq)
        time = try container.decode(Double.self, forKey: .time)
        kind = try container.decode(String.self, forKey: .kind)
        members = try [String: Member](from: decoder)
    }

    /// The events of a record, in order; each line has to end.
    package static func events(of record: URL) throws -> [RecordedEvent] {
        let lines = try Data(contentsOf: record.appending(path: "events.jsonl"))
            .split(separator: 0x0a, omittingEmptySubsequences: false)
        guard lines.last == Data() else { throw CocoaError(.fileReadCorruptFile) }
        return try lines.dropLast().map { try JSONDecoder().decode(RecordedEvent.self, from: $0) }
    }

    /// A member that is a number; nil when there is no such number.
    package func number(_ name: String) -> Double? {
        if case .number(let number) = members[name] { number } else { nil }
    }

    /// A member that is a string; nil when there is no such string.
    package func text(_ name: String) -> String? {
        if case .text(let text) = members[name] { text } else { nil }
    }

    /// A member that is a word in hexadecimal digits; nil when there is no such word.
    package func word(_ name: String) -> UInt64? {
        text(name).flatMap { UInt64(hexadecimal: $0) }
    }
}
