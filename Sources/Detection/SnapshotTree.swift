// SPDX-License-Identifier: Apache-2.0

/// A snapshot's JSON, to be changed in one place.
package indirect enum SnapshotTree: Codable, Equatable, Sendable {
    case object([String: SnapshotTree])
    case array([SnapshotTree])
    case text(String)
    case number(UInt64)
    case flag(Bool)

    /// A way from the root to a value.
    package enum Step: Hashable, Sendable {
        case key(String)
        case index(Int)
    }

    package init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        if let object = try? container.decode([String: SnapshotTree].self) {
            self = .object(object)
        } else if let array = try? container.decode([SnapshotTree].self) {
            self = .array(array)
        } else if let flag = try? container.decode(Bool.self) {
            self = .flag(flag)
        } else if let number = try? container.decode(UInt64.self) {
            self = .number(number)
        } else {
            self = .text(try container.decode(String.self))
        }
    }

    package func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        switch self {
        case .object(let object): try container.encode(object)
        case .array(let array): try container.encode(array)
        case .text(let text): try container.encode(text)
        case .number(let number): try container.encode(number)
        case .flag(let flag): try container.encode(flag)
        }
    }

    /// The elements of a column; nil for anything else.
    var column: [String]? {
        guard case .array(let elements) = self else { return nil }
        var texts: [String] = []
        for element in elements {
            guard case .text(let text) = element else { return nil }
            texts += Self.expanded(text)
        }
        return texts
    }

    /// The columns of a table; nil for anything else.
    var table: [String: [String]]? {
        guard case .object(let object) = self, !object.isEmpty else { return nil }
        let columns = object.compactMapValues(\.column)
        return columns.count == object.count ? columns : nil
    }

    init(column: [String]) { self = .array(column.map(SnapshotTree.text)) }

    init(table: [String: [String]]) { self = .object(table.mapValues(SnapshotTree.init(column:))) }

    /// The same with what a change makes of one value; nil takes it away.
    func changed(at steps: ArraySlice<Step>, _ change: (SnapshotTree) -> SnapshotTree?) -> SnapshotTree? {
        guard let step = steps.first else { return change(self) }
        let rest = steps.dropFirst()
        switch (step, self) {
        case (.key(let key), .object(var object)):
            guard let value = object[key] else { return self }
            object[key] = value.changed(at: rest, change)
            return .object(object)
        case (.index(let index), .array(var array)):
            if let value = array[index].changed(at: rest, change) {
                array[index] = value
            } else {
                array.remove(at: index)
            }
            return .array(array)
        default: return self
        }
    }

    /// A run of a column as its elements.
    static func expanded(_ text: String) -> [String] {
        guard text.contains("*"),
            let run = text.wholeMatch(of: /(.*?)(?: ([+-])0x([0-9a-f]+))? \*([0-9]+)/), let count = Int(run.4)
        else { return [text] }
        let step = run.3.flatMap { UInt64($0, radix: 16) } ?? 0
        guard run.1.hasPrefix("0x"), let first = UInt64(run.1.dropFirst(2), radix: 16) else {
            return Array(repeating: String(run.1), count: count)
        }
        return (0..<UInt64(count)).map { index in
            "0x" + String(run.2 == "-" ? first &- index &* step : first &+ index &* step, radix: 16)
        }
    }
}
