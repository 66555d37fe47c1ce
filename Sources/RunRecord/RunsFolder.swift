// SPDX-License-Identifier: Apache-2.0

public import Foundation

/// A folder of records, as `run` fills it.
public struct RunsFolder: Sendable {
    /// The folder.
    public let url: URL
    /// The names of its records, oldest first: folders that have a record's name or `run.json`.
    public let names: [String]
    /// The names of the folders in it that hold a soak's records.
    public let soaks: [String]
    /// The names of the folders in it that hold a matrix's records.
    public let matrices: [String]

    /// Lists a folder.
    ///
    /// - Throws: `CocoaError` where it cannot be listed.
    public init(_ url: URL) throws {
        self.url = url
        let files = FileManager.default
        var (names, soaks, matrices): ([String], [String], [String]) = ([], [], [])
        for name in try files.contentsOfDirectory(atPath: url.path).sorted() {
            let folder = url.appending(path: name)
            // Links lead to records that are listed anyway.
            guard Self.isFolder(folder) else { continue }
            if Self.start(ofRun: name) != nil || Self.isThere(folder.appending(path: RecordFile.run)) {
                names.append(name)
            } else if Self.isThere(folder.appending(path: SoakJournal.fileName)) {
                soaks.append(name)
            } else if Self.isThere(folder.appending(path: MatrixJournal.informationName)) {
                matrices.append(name)
            }
        }
        (self.names, self.soaks, self.matrices) = (names, soaks, matrices)
    }

    /// What stands at a path itself, links not followed.
    private static func kind(_ url: URL) -> mode_t? {
        var status = stat()
        // SAFETY: a C string and a status that live for the length of the call.
        return unsafe lstat(url.path, &status) == 0 ? status.st_mode & S_IFMT : nil
    }

    private static func isFolder(_ url: URL) -> Bool { kind(url) == S_IFDIR }
    private static func isThere(_ url: URL) -> Bool { kind(url) != nil }

    /// What a record says.
    public func summary(_ name: String) -> RecordSummary { RecordSummary(of: url.appending(path: name)) }

    /// When a run began whose record has this name, as `run` names them: UTC, a dash, and the run's identifier; nil for any
    /// other name.
    public static func start(ofRun name: String) -> Date? {
        guard let match = name.wholeMatch(of: /([0-9]{8}T[0-9]{6}Z)-[A-Za-z0-9-]{1,32}/) else { return nil }
        let format = Date.ISO8601FormatStyle(dateSeparator: .omitted, timeSeparator: .omitted, timeZone: .gmt)
        return try? Date(String(match.output.1), strategy: format)
    }

    /// The run's identifier in the name of its record.
    public static func identifier(ofRun name: String) -> String {
        name.firstIndex(of: "-").map { String(name[name.index(after: $0)...]) } ?? name
    }

    /// Whether the record of the run with this identifier may have this name; such a name leads out of no folder.
    static func isName(_ name: String, ofRun identifier: String) -> Bool {
        start(ofRun: name) != nil && self.identifier(ofRun: name) == identifier
    }

    /// The record of the run with this identifier; nil where a folder has none.
    public static func record(ofRun identifier: String, in folder: URL) -> URL? {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? []
        return names.first { isName($0, ofRun: identifier) }
            .map { folder.appending(path: $0) }
    }

    /// The record that somebody means: a path to a folder, a name in this one, or the only name in it that begins or ends
    /// so.
    ///
    /// - Returns: The record's folder; nil where there is none, or more than one, the candidates beside it.
    public static func find(_ text: String, in folder: URL) -> (record: URL?, candidates: [String]) {
        let files = FileManager.default
        for url in [URL(filePath: text), folder.appending(path: text)] {
            var isDirectory: ObjCBool = false
            // SAFETY: the flag lives for the length of the call, which fills it in.
            if unsafe files.fileExists(atPath: url.path, isDirectory: &isDirectory), isDirectory.boolValue {
                return (url.resolvingSymlinksInPath(), [])
            }
        }
        let names = ((try? RunsFolder(folder))?.names ?? []).filter { $0.hasPrefix(text) || $0.hasSuffix(text) }
        return (names.count == 1 ? folder.appending(path: names[0]) : nil, Array(names.prefix(8)))
    }
}
