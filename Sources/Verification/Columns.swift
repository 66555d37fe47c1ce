// SPDX-License-Identifier: Apache-2.0

/// Rows whose JSON is a table: an object that has a column for each of their fields, as ``WordColumn`` and ``NameColumn`` have
/// it. All columns of a table are equally long.
///
/// An array is read as well: the rows one by one, as schema 2 of a snapshot had them.
@propertyWrapper
public struct Columns<Row: ColumnRow>: Codable, Equatable, Sendable {
    /// The rows.
    public var wrappedValue: [Row]

    /// Wraps rows.
    public init(wrappedValue: [Row]) {
        self.wrappedValue = wrappedValue
    }

    /// Reads a table, or an array of rows.
    public init(from decoder: any Decoder) throws {
        if (try? decoder.unkeyedContainer()) != nil {
            wrappedValue = try [Row](from: decoder)
            return
        }
        let container = try decoder.container(keyedBy: ColumnKey.self)
        let budget = ColumnBudget.of(decoder.userInfo)
        var cells = ColumnCells()
        var first: (name: String, count: Int)?
        for column in Row.columns {
            let count: Int
            switch column {
            case .words:
                let words: [UInt64] = try container.column(column.name, budget) { texts, limit throws(ColumnProblem) in
                    try WordColumn.words(of: texts, within: limit)
                }
                cells.words.append(words)
                count = words.count
            case .names:
                let names: [String] = try container.column(column.name, budget) { texts, limit throws(ColumnProblem) in
                    try NameColumn.names(of: texts, within: limit)
                }
                cells.names.append(names)
                count = names.count
            }
            if let first, first.count != count {
                throw DecodingError.dataCorrupted(
                    .init(
                        codingPath: decoder.codingPath,
                        debugDescription: "the column '\(column.name)' has \(count) elements; they are \(first.count), "
                            + "as many as '\(first.name)' has"))
            }
            first = first ?? (column.name, count)
        }
        wrappedValue = []
        wrappedValue.reserveCapacity(first?.count ?? 0)
        for row in 0..<(first?.count ?? 0) {
            cells.row = row
            guard let value = Row(cells: cells) else {
                throw DecodingError.dataCorrupted(
                    .init(
                        codingPath: decoder.codingPath,
                        debugDescription: "row \(row) has a name that is none: "
                            + cells.names.map { "'\($0[row].prefix(40))'" }.joined(separator: ", ")))
            }
            wrappedValue.append(value)
        }
    }

    /// Writes a table.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: ColumnKey.self)
        guard wrappedValue.count <= WordColumn.limit else {
            throw EncodingError.invalidValue(
                wrappedValue.count,
                .init(
                    codingPath: encoder.codingPath,
                    debugDescription: "\(wrappedValue.count) rows; \(WordColumn.limit) are the most that are written"))
        }
        if let budget = ColumnBudget.of(encoder.userInfo), !budget.take(wrappedValue.count * Row.columns.count) {
            throw EncodingError.invalidValue(
                wrappedValue.count,
                .init(
                    codingPath: encoder.codingPath,
                    debugDescription: "a table of \(wrappedValue.count) rows \(budget.isSpent)"))
        }
        for column in Row.columns {
            let texts =
                switch column {
                case .words(_, let word): WordColumn.texts(of: wrappedValue.map(word))
                case .names(_, let name): NameColumn.texts(of: wrappedValue.map(name))
                }
            try container.encode(texts, forKey: ColumnKey(column.name))
        }
    }
}

/// As ``Columns``, where there may be no table at all: then its key is absent.
@propertyWrapper
public struct OptionalColumns<Row: ColumnRow>: Codable, Equatable, Sendable {
    /// The rows; nil where there is no table.
    public var wrappedValue: [Row]?

    /// Wraps rows, or none.
    public init(wrappedValue: [Row]?) {
        self.wrappedValue = wrappedValue
    }

    /// Reads a table that is there.
    public init(from decoder: any Decoder) throws {
        wrappedValue = try Columns(from: decoder).wrappedValue
    }

    /// Writes a table. Where there is none, the container has left out the key (``KeyedEncodingContainer``).
    public func encode(to encoder: any Encoder) throws {
        try wrappedValue.map(Columns.init(wrappedValue:))?.encode(to: encoder)
    }
}

// What the compiler makes of a structure's members calls these for a wrapper, though it would not for its value.

extension KeyedDecodingContainer {
    /// Reads a table, or that there is none.
    public func decode<Row>(_: OptionalColumns<Row>.Type, forKey key: Key) throws -> OptionalColumns<Row> {
        OptionalColumns(wrappedValue: try decodeIfPresent(Columns<Row>.self, forKey: key)?.wrappedValue)
    }
}

extension KeyedEncodingContainer {
    /// Writes a table, if there is one.
    public mutating func encode<Row>(_ table: OptionalColumns<Row>, forKey key: Key) throws {
        try encodeIfPresent(table.wrappedValue.map(Columns.init(wrappedValue:)), forKey: key)
    }
}

/// A row of a table of ``Columns``.
public protocol ColumnRow: Decodable, Equatable, Sendable {
    /// The columns.
    static var columns: [Column<Self>] { get }

    /// Takes a row's fields: of either kind, in the order of ``columns``. Nil where a name is none that there is.
    init?(cells: ColumnCells)
}

/// A column: its name, and what a row has in it.
public enum Column<Row> {
    /// A column of words.
    case words(String, (Row) -> UInt64)
    /// A column of names.
    case names(String, (Row) -> String)

    var name: String {
        switch self {
        case .words(let name, _), .names(let name, _): name
        }
    }
}

/// The fields of a row that is read.
public struct ColumnCells {
    fileprivate var words: [[UInt64]] = []
    fileprivate var names: [[String]] = []
    fileprivate var row = 0

    /// The field in a column of words, counted among those.
    func word(_ column: Int) -> UInt64 { words[column][row] }
    /// The field in a column of names, counted among those.
    func name(_ column: Int) -> String { names[column][row] }
}

/// A column's name, or the place of a text in it.
struct ColumnKey: CodingKey {
    let stringValue: String
    let intValue: Int?

    init(_ name: String) { (stringValue, intValue) = (name, nil) }
    init(stringValue: String) { self.init(stringValue) }
    init(intValue: Int) { (stringValue, self.intValue) = ("\(intValue)", intValue) }
}

extension KeyedDecodingContainer<ColumnKey> {
    fileprivate func column<Element>(
        _ name: String, _ budget: ColumnBudget?, _ elements: ([String], ColumnLimit) throws(ColumnProblem) -> [Element]
    ) throws -> [Element] {
        let texts = try decode([String].self, forKey: ColumnKey(name))
        do throws(ColumnProblem) {
            let elements = try elements(texts, budget?.forColumn ?? .ofColumn)
            _ = budget?.take(elements.count)
            return elements
        } catch {
            throw DecodingError.dataCorrupted(
                .init(
                    codingPath: codingPath + [ColumnKey(name), ColumnKey(intValue: error.index)],
                    debugDescription: error.description))
        }
    }
}
