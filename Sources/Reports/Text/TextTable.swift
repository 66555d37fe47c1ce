// SPDX-License-Identifier: Apache-2.0

/// Rows of text in columns, two spaces apart: the one way in which commands print tables.
package struct TextTable {
    /// How a column is printed.
    package struct Column {
        fileprivate let isRight: Bool
        fileprivate let minimumWidth: Int
        fileprivate let givesWay: Bool

        /// Aligned to the left, at least so wide; one that gives way is cut where the table is wider than it may be.
        package static func left(minimumWidth: Int = 0, givesWay: Bool = false) -> Column {
            Column(isRight: false, minimumWidth: minimumWidth, givesWay: givesWay)
        }

        /// Aligned to the right.
        package static var right: Column { Column(isRight: true, minimumWidth: 0, givesWay: false) }
    }

    private let columns: [Column]
    private let rows: [[String]]

    /// Collects rows, each with a cell for each column.
    package init(_ columns: [Column], _ rows: [[String]]) {
        self.columns = columns
        self.rows = rows
    }

    /// What a column that gives way keeps in any case.
    private static let keptWidth = 8

    /// The lines, behind so many spaces, without spaces at their ends; `width` is what they may take.
    package func lines(indent: Int = 0, width: Int = .max) -> [String] {
        var widths = columns.indices.map { column in
            max(columns[column].minimumWidth, rows.map { $0[column].count }.max() ?? 0)
        }
        if let column = columns.firstIndex(where: \.givesWay) {
            let others = widths.enumerated().reduce(indent) { $0 + ($1.offset == column ? 0 : $1.element + 2) }
            widths[column] = min(widths[column], max(width - others, Self.keptWidth))
        }
        return rows.map { row in
            let cells = row.enumerated().map { column, text in
                let cell = text.count > widths[column] ? String(text.prefix(widths[column] - 1)) + "…" : text
                let padding = String(repeating: " ", count: widths[column] - cell.count)
                return columns[column].isRight ? padding + cell : cell + padding
            }
            let line = String(repeating: " ", count: indent) + cells.joined(separator: "  ")
            return String(line.prefix(line.count - line.reversed().prefix { $0 == " " }.count))
        }
    }
}
