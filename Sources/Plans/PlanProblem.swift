// SPDX-License-Identifier: Apache-2.0

/// What is wrong with a plan's text, and where.
public struct PlanProblem: Error, Equatable, Sendable, CustomStringConvertible {
    /// The line, counted from 1.
    public let line: Int
    /// The column, counted from 1 in characters.
    public let column: Int
    /// What is wrong there.
    public let message: String

    /// Describes a problem.
    public init(line: Int, column: Int, _ message: String) {
        self.line = line
        self.column = column
        self.message = message
    }

    /// As compilers say it.
    public var description: String { "\(line):\(column): \(message)" }
}
