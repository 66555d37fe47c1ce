// SPDX-License-Identifier: Apache-2.0

public import GuestMemory
public import VmemmapPopulate

// The tables of a snapshot: what it has once for each entry, section or block.

extension ListEntry: ColumnRow {
    /// A node's address, its link, the block's physical address, the window's effective address.
    public static var columns: [Column<Self>] {
        [.words("node", \.node), .words("list", \.list), .words("phys", \.phys), .words("virtAddr", \.virtAddr)]
    }

    /// Takes an entry's words.
    public init?(cells: ColumnCells) {
        self.init(node: cells.word(0), list: cells.word(1), phys: cells.word(2), virtAddr: cells.word(3))
    }
}

extension HashedEntry: ColumnRow {
    /// An HPTE's number in the table and its two doublewords.
    public static var columns: [Column<Self>] { [.words("index", \.index), .words("v", \.v), .words("r", \.r)] }

    /// Takes an HPTE's words.
    public init?(cells: ColumnCells) {
        self.init(index: cells.word(0), v: cells.word(1), r: cells.word(2))
    }
}

extension BackedWindow: ColumnRow {
    /// Its fields.
    public static var columns: [Column<Self>] {
        [
            .words("place", \.place), .words("virtAddr", \.virtAddr), .words("phys", \.phys),
            .words("byteCount", \.byteCount),
        ]
    }

    /// Takes a window's words.
    public init?(cells: ColumnCells) {
        self.init(
            place: cells.word(0), virtAddr: cells.word(1), phys: cells.word(2), byteCount: cells.word(3))
    }
}

extension WalkedTables.Table: ColumnRow {
    /// Its fields.
    public static var columns: [Column<Self>] {
        [
            .words("base", \.base), .words("level", \.level), .words("virtAddr", \.virtAddr),
            .words("byteCount", \.byteCount), .names("state", \.state.rawValue),
        ]
    }

    /// Takes a table's fields.
    public init?(cells: ColumnCells) {
        guard let state = State(rawValue: cells.name(0)) else { return nil }
        self.init(
            base: cells.word(0), level: cells.word(1), virtAddr: cells.word(2), byteCount: cells.word(3), state: state)
    }
}

extension ReadBack.Run: ColumnRow {
    /// Its fields.
    public static var columns: [Column<Self>] {
        [.words("virtAddr", \.virtAddr), .words("phys", \.phys), .words("byteCount", \.byteCount)]
    }

    /// Takes a run's words.
    public init?(cells: ColumnCells) {
        self.init(virtAddr: cells.word(0), phys: cells.word(1), byteCount: cells.word(2))
    }
}

extension ReadBack.Stamped: ColumnRow {
    /// Its fields.
    public static var columns: [Column<Self>] { [.words("base", \.base), .words("byteCount", \.byteCount)] }

    /// Takes the words.
    public init?(cells: ColumnCells) {
        self.init(base: cells.word(0), byteCount: cells.word(1))
    }
}

extension PresentSection: ColumnRow {
    /// Its fields, and `online` or `offline`. Where its flags were not read they are 0, which those of a present section are not;
    /// where nothing tells its sub-sections all bits of them are set, which no section has.
    public static var columns: [Column<Self>] {
        [
            .words("number", \.number), .words("vmemmapBase", \.vmemmapBase),
            .names("state") { SectionState.name($0.isOnline) },
            .words("flags") { $0.flags ?? 0 }, .words("subsections") { $0.subsections ?? .max },
        ]
    }

    /// Takes a section's fields.
    public init?(cells: ColumnCells) {
        guard let isOnline = SectionState.isOnline(cells.name(0)) else { return nil }
        self.init(
            number: cells.word(0), vmemmapBase: cells.word(1), isOnline: isOnline,
            flags: cells.word(2) == 0 ? nil : cells.word(2), subsections: cells.word(3) == .max ? nil : cells.word(3))
    }
}

extension VmcoreSnapshot.Section: ColumnRow {
    /// Its fields, and `online` or `offline`.
    public static var columns: [Column<Self>] {
        [.words("number", \.number), .names("state") { SectionState.name($0.isOnline) }]
    }

    /// Takes a section's fields.
    public init?(cells: ColumnCells) {
        guard let isOnline = SectionState.isOnline(cells.name(0)) else { return nil }
        self.init(number: cells.word(0), isOnline: isOnline)
    }
}

/// `SECTION_IS_ONLINE` as a name.
private enum SectionState {
    static func name(_ isOnline: Bool) -> String { isOnline ? "online" : "offline" }
    static func isOnline(_ name: String) -> Bool? { ["online": true, "offline": false][name] }
}

extension ReportSnapshot.Block: ColumnRow {
    /// Its fields.
    public static var columns: [Column<Self>] { [.words("index", \.index), .names("state", \.state)] }

    /// Takes a block's fields.
    public init?(cells: ColumnCells) {
        self.init(index: cells.word(0), state: cells.name(0))
    }
}

extension Translation: ColumnRow {
    /// The address, its answer (`physical`, `unmapped`, or why the MMU cannot say), and the physical address, 0 where there is
    /// none.
    public static var columns: [Column<Self>] {
        [
            .words("virtAddr", \.virtAddr), .names("answer", \.answer.name),
            .words("phys") { if case .physical(let phys) = $0.answer { phys } else { 0 } },
        ]
    }

    /// Takes a translation's fields.
    public init?(cells: ColumnCells) {
        let answer: Answer =
            switch cells.name(0) {
            case "physical": .physical(cells.word(1))
            case "unmapped": .unmapped
            case let reason: .cannotSay(reason)
            }
        self.init(virtAddr: cells.word(0), answer: answer)
    }
}

extension Translation.Answer {
    fileprivate var name: String {
        switch self {
        case .physical: "physical"
        case .unmapped: "unmapped"
        case .cannotSay(let reason): reason
        }
    }
}

/// How entries came, as a column of names (``NameColumn``); `unknown` where the origin word says nothing known.
///
/// Null is read as well: schema 2 has it in that place, and each name alone.
@propertyWrapper
public struct Origins: Codable, Equatable, Sendable {
    /// How each entry came.
    public var wrappedValue: [Provenance?]

    private static let unknown = "unknown"

    /// Wraps origins.
    public init(wrappedValue: [Provenance?]) {
        self.wrappedValue = wrappedValue
    }

    /// Reads a column.
    public init(from decoder: any Decoder) throws {
        let texts = try decoder.singleValueContainer().decode([String?].self).map { $0 ?? Self.unknown }
        func problem(_ index: Int, _ text: String) -> DecodingError {
            .dataCorrupted(.init(codingPath: decoder.codingPath + [ColumnKey(intValue: index)], debugDescription: text))
        }
        let names: [String]
        do throws(ColumnProblem) {
            names = try NameColumn.names(of: texts)
        } catch {
            throw problem(error.index, error.description)
        }
        wrappedValue = []
        wrappedValue.reserveCapacity(names.count)
        for (index, name) in names.enumerated() {
            let origin = Provenance(name: name)
            guard origin != nil || name == Self.unknown else {
                throw problem(index, "'\(name.prefix(40))' is no \(Provenance.self)")
            }
            wrappedValue.append(origin)
        }
    }

    /// Writes a column.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(NameColumn.texts(of: wrappedValue.map { $0?.name ?? Self.unknown }))
    }
}
