// SPDX-License-Identifier: Apache-2.0

public import Foundation

/// The folder of a soak: the records of its histories, and `soak.jsonl`, which has a line for each thing that it came to.
///
/// A line is on the disk before the soak goes on, so that nothing is lost of what was reported.
public final class SoakJournal: Sendable {
    /// One thing that a soak came to.
    public enum Entry: Equatable, Sendable {
        /// It began; with what, the command line says.
        case started(SoakSummary, commandLine: [String])
        /// A history ended; the command line that goes on behind it.
        case historyEnded(SoakHistory, goingOn: String)
        /// A history that failed was made as small as it could be.
        case shrunk(SoakShrinking)
        /// The soak ended.
        case ended(SoakSummary)
    }

    /// The folder.
    public let url: URL
    /// `soak.jsonl`.
    public static let fileName = "soak.jsonl"
    /// The smallest plan that fails as a history has, in the history's record.
    public static let shrunkPlanName = "shrunk.yaml"

    private let file: JournalFile

    /// A journal whose lines go into this file, for tests.
    init(folder: URL, file: FileHandle) {
        url = folder
        self.file = JournalFile(file, name: Self.fileName)
    }

    /// Makes `parent/soak-<UTC>-<identifier>/`. Throws when that cannot be.
    public init(parent: URL, identifier: String, startedAt: Date) throws {
        url = parent.appending(
            path: "soak-\(RunDirectory.stamp(startedAt))-\(identifier)", directoryHint: .isDirectory)
        let files = FileManager.default
        try files.createDirectory(at: parent, withIntermediateDirectories: true)
        try files.createDirectory(at: url, withIntermediateDirectories: false)
        file = try JournalFile(creating: url.appending(path: Self.fileName))
    }

    /// libvirt's own warnings, of all histories.
    public var libvirtLog: URL { url.appending(path: "libvirt.log") }

    /// Appends a line, and returns when it is on the disk.
    public func note(_ entry: Entry) throws { try file.append(Line(entry: entry)) }

    /// Writes the smallest plan that fails as a history has into its record, and returns where it stands.
    public static func write(shrunkPlan text: String, to record: URL) throws -> URL {
        let file = record.appending(path: shrunkPlanName)
        do {
            try Data(text.utf8).write(to: file, options: .atomic)
        } catch {
            throw RunDirectoryError(file: shrunkPlanName, reason: error.localizedDescription)
        }
        return file
    }

    /// A line: its form's version, its kind, and the fields of that.
    private struct Line: Encodable {
        let entry: Entry

        private enum Key: String, CodingKey {
            case schema, kind, commandLine, goingOn
        }

        func encode(to encoder: any Encoder) throws {
            var line = encoder.container(keyedBy: Key.self)
            try line.encode(1, forKey: .schema)
            switch entry {
            case .started(let summary, let commandLine):
                try line.encode("soak.started", forKey: .kind)
                try line.encode(commandLine, forKey: .commandLine)
                try line.encode(summary.goingOn, forKey: .goingOn)
                try summary.encode(to: encoder)
            case .historyEnded(let history, let goingOn):
                try line.encode("history.ended", forKey: .kind)
                try line.encode(goingOn, forKey: .goingOn)
                try history.encode(to: encoder)
            case .shrunk(let shrinking):
                try line.encode("history.shrunk", forKey: .kind)
                try shrinking.encode(to: encoder)
            case .ended(let summary):
                try line.encode("soak.ended", forKey: .kind)
                try line.encode(summary.goingOn, forKey: .goingOn)
                try summary.encode(to: encoder)
            }
        }
    }
}
