// SPDX-License-Identifier: Apache-2.0

public import Foundation

/// `matrix.jsonl`: what happened in a matrix, a line for each thing, on the disk before the matrix goes on.
public enum MatrixEntry: Codable, Equatable, Sendable {
    /// A cell's run begins.
    case cellStarted(MatrixAttempt, at: Date)
    /// It has ended.
    case cellEnded(MatrixAttempt, MatrixEnding)
    /// The matrix goes on after it was ended.
    case resumed(commandLine: [String], at: Date)
    /// The matrix has ended.
    case ended(Outcome)

    private enum Key: String, CodingKey {
        case schema, kind, time, commandLine, outcome
    }

    private static let schema = 1

    /// Writes a line: its form's version, its kind, and the fields of that.
    public func encode(to encoder: any Encoder) throws {
        var line = encoder.container(keyedBy: Key.self)
        try line.encode(Self.schema, forKey: .schema)
        switch self {
        case .cellStarted(let attempt, let time):
            try line.encode("cell.started", forKey: .kind)
            try line.encode(time, forKey: .time)
            try attempt.encode(to: encoder)
        case .cellEnded(let attempt, let ending):
            try line.encode("cell.ended", forKey: .kind)
            try attempt.encode(to: encoder)
            try ending.encode(to: encoder)
        case .resumed(let commandLine, let time):
            try line.encode("matrix.resumed", forKey: .kind)
            try line.encode(time, forKey: .time)
            try line.encode(commandLine, forKey: .commandLine)
        case .ended(let outcome):
            try line.encode("matrix.ended", forKey: .kind)
            try line.encode(outcome, forKey: .outcome)
        }
    }

    /// Reads a line.
    public init(from decoder: any Decoder) throws {
        let line = try decoder.container(keyedBy: Key.self)
        guard try line.decode(Int.self, forKey: .schema) == Self.schema else {
            throw DecodingError.dataCorruptedError(forKey: .schema, in: line, debugDescription: "not \(Self.schema)")
        }
        switch try line.decode(String.self, forKey: .kind) {
        case "cell.started":
            self = .cellStarted(try MatrixAttempt(from: decoder), at: try line.decode(Date.self, forKey: .time))
        case "cell.ended": self = .cellEnded(try MatrixAttempt(from: decoder), try MatrixEnding(from: decoder))
        case "matrix.resumed":
            self = .resumed(
                commandLine: try line.decode([String].self, forKey: .commandLine),
                at: try line.decode(Date.self, forKey: .time))
        case "matrix.ended": self = .ended(try line.decode(Outcome.self, forKey: .outcome))
        case let kind:
            throw DecodingError.dataCorruptedError(forKey: .kind, in: line, debugDescription: "no kind '\(kind)'")
        }
    }
}

/// The folder of a matrix: `matrix.json`, `matrix.jsonl`, and the records of its cells.
public final class MatrixJournal: Sendable {
    /// The folder.
    public let url: URL
    private let file: JournalFile

    /// `matrix.json`.
    public static let informationName = "matrix.json"
    /// `matrix.jsonl`.
    public static let fileName = "matrix.jsonl"

    /// Makes `parent/matrix-<UTC>-<identifier>/`. Throws when that cannot be.
    public init(parent: URL, identifier: String, startedAt: Date, _ describe: (_ name: String) -> MatrixInformation)
        throws
    {
        let name = "matrix-\(RunDirectory.stamp(startedAt))-\(identifier)"
        url = parent.appending(path: name, directoryHint: .isDirectory)
        let files = FileManager.default
        try files.createDirectory(at: parent, withIntermediateDirectories: true)
        try files.createDirectory(at: url, withIntermediateDirectories: false)
        try RunDirectory.json(describe(name)).write(to: url.appending(path: Self.informationName))
        file = try JournalFile(creating: url.appending(path: Self.fileName))
    }

    /// A journal whose lines go into this file, for tests.
    init(writing file: FileHandle, in url: URL) {
        self.url = url
        self.file = JournalFile(file, name: Self.fileName)
    }

    /// Goes on in the folder of a matrix that has ended.
    ///
    /// - Throws: ``RecordProblem`` where it goes on already, or cannot be written.
    public init(continuing url: URL) throws(RecordProblem) {
        self.url = url
        file = try JournalFile(continuing: url.appending(path: Self.fileName))
    }

    /// Appends a line, and returns when it is on the disk.
    public func note(_ entry: MatrixEntry) throws { try file.append(entry) }
}
