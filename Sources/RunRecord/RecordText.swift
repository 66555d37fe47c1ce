// SPDX-License-Identifier: Apache-2.0

public import Foundation

/// The text files of a record, as much of them as a report has room for.
public struct RecordText: Equatable, Sendable {
    /// Which file.
    public enum File: Sendable {
        /// `console.log`: the guest's console.
        case console
        /// `harness.log`: what the harness did.
        case log
        /// `plan.yaml`: the plan as it was resolved.
        case plan

        var name: String {
            switch self {
            case .console: RecordFile.console
            case .log: RunDirectory.logName
            case .plan: RecordFile.plan
            }
        }
    }

    /// The lines at its beginning; all of them where nothing is left out.
    public private(set) var head: [String] = []
    /// The lines at its end, where those between were left out.
    public private(set) var tail: [String] = []
    /// How many lines between the two were left out.
    public private(set) var leftOutLineCount = 0

    /// All lines that there are, in order.
    public var lines: [String] { head + tail }

    /// How many lines are kept of either end.
    static let lineLimit = 1 << 14

    /// Reads a file of a record. It may have been made by anyone: what is no text in it reads as U+FFFD.
    ///
    /// - Throws: ``RecordProblem`` where it is missing, no regular file, or larger than any file of a record.
    public init(_ file: File, in directory: URL) throws(RecordProblem) {
        var tail: [String] = []
        try RecordLines.read(directory.appending(path: file.name)) { bytes in
            let line = String(decoding: bytes, as: UTF8.self)
            if head.count < Self.lineLimit { return head.append(line) }
            tail.append(line)
            if tail.count >= 2 * Self.lineLimit {
                leftOutLineCount += Self.lineLimit
                tail.removeFirst(Self.lineLimit)
            }
        }
        let rest = max(tail.count - Self.lineLimit, 0)
        leftOutLineCount += rest
        self.tail = Array(tail.dropFirst(rest))
    }
}

/// Lines of a record's file, one by one.
enum RecordLines {
    /// How much of a line is looked at, in bytes.
    static let byteLimit = 1 << 12

    /// Reads a file by lines, without their ends; what a line has beyond ``byteLimit`` is dropped.
    static func read(_ file: URL, _ body: (ArraySlice<UInt8>) -> Void) throws(RecordProblem) {
        var line: [UInt8] = []
        func end() {
            while line.last == 0x0d { line.removeLast() }
            body(line[...])
            line.removeAll(keepingCapacity: true)
        }
        try RecordFile.read(file, limit: RecordFile.digestByteLimit) { data in
            var rest = data[...]
            while let index = rest.firstIndex(of: 0x0a) {
                line.append(contentsOf: rest[..<index].prefix(max(byteLimit - line.count, 0)))
                end()
                rest = rest[(index + 1)...]
            }
            line.append(contentsOf: rest.prefix(max(byteLimit - line.count, 0)))
        }
        if !line.isEmpty { end() }
    }
}
