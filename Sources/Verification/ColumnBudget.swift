// SPDX-License-Identifier: Apache-2.0

import Synchronization

/// How many elements the columns of one document have together at the most.
///
/// ``WordColumn/limit`` bounds a column, of which a snapshot has some fifty: without a limit to all of them 5 KB of text would make
/// gigabytes. A document's reader and its writer each have one, so that what is written is read.
public final class ColumnBudget: Sendable {
    /// The elements: all tables of a guest of 256 GiB with the densest memory map, or a kernel's list and a mirror of one of 1 TiB.
    public static let limit = 1 << 25

    private let rest: Mutex<Int>
    private let limit: Int

    /// Begins a document.
    public init(limit: Int = ColumnBudget.limit) {
        self.limit = limit
        rest = Mutex(limit)
    }

    /// What a coder's `userInfo` has to be for this to count.
    public var userInfo: [CodingUserInfoKey: any Sendable] {
        Self.key.map { [$0: self] } ?? [:]
    }

    /// The one of a coder; nil where nobody counts.
    static func of(_ userInfo: [CodingUserInfoKey: Any]) -> ColumnBudget? {
        key.flatMap { userInfo[$0] as? ColumnBudget }
    }

    private static let key = CodingUserInfoKey(rawValue: "qemu-harness.columns")

    /// What one more column may have.
    var forColumn: ColumnLimit {
        let rest = rest.withLock { $0 }
        return rest < WordColumn.limit ? ColumnLimit(elementCount: rest, reason: isSpent) : .ofColumn
    }

    /// What is wrong where there are too many.
    var isSpent: String { "makes all columns together longer than the \(limit) elements that they can have" }

    /// Counts elements; false where there are too many.
    func take(_ elementCount: Int) -> Bool {
        rest.withLock { rest in
            guard elementCount <= rest else { return false }
            rest -= elementCount
            return true
        }
    }
}

/// What bounds a column, and what is wrong beyond that.
struct ColumnLimit {
    let elementCount: Int
    let reason: String

    /// Where nothing but the column itself counts.
    static let ofColumn = ColumnLimit(elementCount: WordColumn.limit, reason: ColumnProblem.isTooLong)
}
