// SPDX-License-Identifier: Apache-2.0

public import GuestMemory
import HarnessBasics
public import KernelState
public import VmemmapPopulate

// The JSON of what guest and host share, which knows none itself: the guest's code has no Foundation and no strings.

/// A value that is a number in the shared region and has a name in JSON.
public protocol NamedInJSON: RawRepresentable, CaseIterable, Codable where RawValue == UInt64 {
    /// The name, another one for each value.
    var name: String { get }
}

extension NamedInJSON {
    /// The value of that name, nil if there is none.
    public init?(name: String) {
        guard let value = Self.allCases.first(where: { $0.name == name }) else { return nil }
        self = value
    }

    /// Reads a name.
    public init(from decoder: any Decoder) throws {
        let name = try decoder.singleValueContainer().decode(String.self)
        guard let value = Self(name: name) else {
            throw DecodingError.dataCorrupted(
                .init(codingPath: decoder.codingPath, debugDescription: "'\(name.prefix(40))' is no \(Self.self)"))
        }
        self = value
    }

    /// Writes the name.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(name)
    }
}

extension MMU: NamedInJSON {
    /// In a snapshot, and to a person.
    public var name: String {
        switch self {
        case .hash: "hash"
        case .radix: "radix"
        case .unknown: "unknown"
        }
    }
}

extension ListWalk.End: NamedInJSON {
    /// In a snapshot, and to a person.
    public var name: String {
        switch self {
        case .terminated: "terminated"
        case .cycle: "cycle"
        case .misplaced: "misplaced"
        case .unreadable: "unreadable"
        case .limitReached: "limit-reached"
        case .truncated: "truncated"
        }
    }
}

extension RadixStart: NamedInJSON {
    /// In a snapshot, and to a person.
    public var name: String {
        switch self {
        case .asGiven: "as-given"
        case .pageAligned: "page-aligned"
        case .blockAligned: "block-aligned"
        }
    }
}

extension Provenance: NamedInJSON, CodingKeyRepresentable {
    private struct Key: CodingKey {
        let stringValue: String
        var intValue: Int? { nil }

        init(stringValue: String) { self.stringValue = stringValue }
        init?(intValue: Int) { nil }
    }

    /// In a snapshot, and to a person.
    public var name: String {
        switch self {
        case .seeded: "seeded"
        case .observed: "observed"
        case .healed: "healed"
        }
    }

    /// The name, where it is a key.
    public var codingKey: any CodingKey { Key(stringValue: name) }

    /// Reads a name.
    public init?(codingKey: some CodingKey) {
        self.init(name: codingKey.stringValue)
    }
}

extension ListEntry: Decodable {
    private enum CodingKeys: String, CodingKey {
        case node, list, phys, virtAddr
    }

    /// Reads an entry as schema 2 had it.
    public init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        func word(_ key: CodingKeys) throws -> UInt64 { try container.decode(Hex.self, forKey: key).wrappedValue }
        self.init(
            node: try word(.node), list: try word(.list), phys: try word(.phys), virtAddr: try word(.virtAddr))
    }
}

/// A node that was freed, as a row.
private struct FreedNode: ColumnRow {
    let node: UInt64

    static var columns: [Column<Self>] { [.words("node", \.node)] }

    init(node: UInt64) { self.node = node }
    init?(cells: ColumnCells) { self.init(node: cells.word(0)) }
}

extension FreeNodes: Codable {
    private enum CodingKeys: String, CodingKey {
        case next, leftCount, freedCount, freed, unused
    }

    /// Reads what stands in a snapshot.
    public init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        self.init(
            next: try container.decode(Hex.self, forKey: .next).wrappedValue,
            leftCount: try container.decode(Int.self, forKey: .leftCount),
            freedCount: try container.decode(Int.self, forKey: .freedCount),
            freed: try container.decode(Columns<FreedNode>.self, forKey: .freed).wrappedValue.map(\.node),
            unused: try container.decode(Hex.self, forKey: .unused).wrappedValue)
    }

    /// Writes addresses as hexadecimal digits.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(Hex(wrappedValue: next), forKey: .next)
        try container.encode(leftCount, forKey: .leftCount)
        try container.encode(freedCount, forKey: .freedCount)
        try container.encode(Columns(wrappedValue: freed.map(FreedNode.init)), forKey: .freed)
        try container.encode(Hex(wrappedValue: unused), forKey: .unused)
    }
}

extension ListWalk: Codable {
    private enum CodingKeys: String, CodingKey {
        case head, entries, end, endLink
    }

    /// Reads a walk.
    public init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        self.init(
            head: try container.decode(Hex.self, forKey: .head).wrappedValue,
            entries: try container.decode(Columns<ListEntry>.self, forKey: .entries).wrappedValue,
            end: try container.decode(End.self, forKey: .end),
            endLink: try container.decode(Hex.self, forKey: .endLink).wrappedValue)
    }

    /// Writes head and end as hexadecimal digits.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(Hex(wrappedValue: head), forKey: .head)
        try container.encode(Columns(wrappedValue: entries), forKey: .entries)
        try container.encode(end, forKey: .end)
        try container.encode(Hex(wrappedValue: endLink), forKey: .endLink)
    }
}
