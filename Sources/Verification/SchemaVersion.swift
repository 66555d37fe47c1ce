// SPDX-License-Identifier: Apache-2.0

/// A document whose form has versions, of which more than the newest are read.
public protocol VersionedDocument {
    /// The versions that are read. The last one is written.
    static var knownSchemas: ClosedRange<Int> { get }
}

/// The version of a document's form. Whatever is read has today's form from then on, and is written so.
public struct SchemaVersion<Document: VersionedDocument>: Codable, Equatable, Sendable {
    /// Today's.
    public init() {}

    /// Reads a version that is known.
    public init(from decoder: any Decoder) throws {
        let version = try decoder.singleValueContainer().decode(Int.self)
        guard Document.knownSchemas.contains(version) else {
            let known = Document.knownSchemas.map(String.init).joined(separator: " and ")
            throw DecodingError.dataCorrupted(
                .init(codingPath: decoder.codingPath, debugDescription: "\(version) is none of \(known)"))
        }
    }

    /// Writes today's.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(Document.knownSchemas.upperBound)
    }
}
