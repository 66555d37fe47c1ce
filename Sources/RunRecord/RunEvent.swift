// SPDX-License-Identifier: Apache-2.0

/// A line of `events.jsonl`: one thing that happened, with the words that belong to its kind.
///
/// Readers ignore kinds that they do not know. Addresses are strings of hexadecimal digits.
public struct RunEvent: Codable, Equatable, Sendable {
    /// The version of the line's form.
    public static let currentSchema = 1

    /// ``currentSchema`` when it was written.
    public var schema: Int
    /// Counts the lines from 1.
    public var seq: Int
    /// Seconds since the run began.
    public var time: Double
    /// What happened, as in `step.started` or `guest.block-mirrored`.
    public var kind: String
    /// The kind's words.
    public var fields: [String: String]

    /// Describes an event.
    public init(seq: Int, time: Double, kind: String, fields: [String: String]) {
        schema = Self.currentSchema
        self.seq = seq
        self.time = time
        self.kind = kind
        self.fields = fields
    }
}
