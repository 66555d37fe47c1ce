// SPDX-License-Identifier: Apache-2.0

public import Foundation
public import Verification

/// `matrix.json`: what a matrix is. It is written once, before the first cell.
public struct MatrixInformation: Codable, Equatable, Sendable, VersionedDocument {
    /// The versions of this file's form.
    public static let knownSchemas = 1...1

    /// The version, as it is written.
    public private(set) var schema = SchemaVersion<MatrixInformation>()
    /// The matrix's name: that of its folder.
    public var matrix: String
    /// When it began.
    public var startedAt: Date
    /// The program's version.
    public var harness: String
    /// The command line, the program's name first.
    public var commandLine: [String]
    /// What every cell's `run` is told beside its plan, its kernel and its CPU model.
    public var runOptions: [String]
    /// All cells of the matrix.
    public var cells: [MatrixCell]
    /// Which part of them is taken here.
    public var shard: Shard
    /// The numbers of the cells of that part.
    public var part: [Int]

    /// Collects what is known of a matrix.
    public init(
        matrix: String, startedAt: Date, harness: String, commandLine: [String], runOptions: [String],
        cells: [MatrixCell], shard: Shard, part: [Int]
    ) {
        self.matrix = matrix
        self.startedAt = startedAt
        self.harness = harness
        self.commandLine = commandLine
        self.runOptions = runOptions
        self.cells = cells
        self.shard = shard
        self.part = part
    }
}

/// A run of a cell, which may not be the first one.
public struct MatrixAttempt: Codable, Equatable, Sendable {
    /// The cell's number.
    public var cell: Int
    /// Counts from 1.
    public var attempt: Int
    /// The run's identifier, with which its record's name ends.
    public var run: String

    /// Names an attempt.
    public init(cell: Int, attempt: Int, run: String) {
        (self.cell, self.attempt, self.run) = (cell, attempt, run)
    }
}
