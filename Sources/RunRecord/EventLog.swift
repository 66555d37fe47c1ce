// SPDX-License-Identifier: Apache-2.0

public import Foundation

/// `events.jsonl`, read back as far as a report tells of it.
///
/// What a guest says thousands of times (its populates and frees) is counted; every other event is kept, up to a limit.
public struct EventLog: Equatable, Sendable {
    /// A change of the mirror's number of entries.
    public struct Change: Equatable, Sendable {
        /// Seconds since the run began.
        public var time: Double
        /// How many entries came, less those that went.
        public var entryCount: Int
    }

    /// The events that are not counted alone, in order.
    public private(set) var moments: [LoggedEvent] = []
    /// How many of those there are beyond the limit.
    public private(set) var leftOutMomentCount = 0
    /// How the mirror's number of entries changed, in order; neighbours are one where there are too many.
    public private(set) var changes: [Change] = []
    /// How many lines are no events.
    public private(set) var unreadableLineCount = 0

    static let momentLimit = 1 << 14
    static let changeLimit = 1 << 13

    /// No events.
    public init() {}

    /// Reads the events of a record.
    ///
    /// - Throws: ``RecordProblem`` where the file is missing, no regular file, or larger than any file of a record.
    public init(of directory: URL) throws(RecordProblem) {
        let decoder = JSONDecoder()
        try RecordLines.read(directory.appending(path: RunDirectory.eventsName)) { line in
            // Most lines are these, and nothing is told of them.
            guard !Self.counted.contains(where: { line.has($0) }) else { return }
            guard let event = try? decoder.decode(LoggedEvent.self, from: Data(line)), event.time.isFinite else {
                unreadableLineCount += 1
                return
            }
            switch event.kind {
            case "guest.block-mirrored": note(Change(time: event.time, entryCount: 1))
            case "guest.block-freed": note(Change(time: event.time, entryCount: -1))
            default:
                if moments.count < Self.momentLimit { moments.append(event) } else { leftOutMomentCount += 1 }
            }
        }
    }

    private static let counted = ["guest.populate", "guest.free"].map { Array("\"kind\":\"\($0)\"".utf8) }

    private mutating func note(_ change: Change) {
        changes.append(change)
        guard changes.count >= 2 * Self.changeLimit else { return }
        changes = stride(from: 0, to: changes.count - 1, by: 2).map {
            Change(
                time: changes[$0 + 1].time,
                entryCount: changes[$0].entryCount + changes[$0 + 1].entryCount)
        }
    }
}

/// A line of `events.jsonl` as it is read back: the fields of its kind, and nil for those of others.
public struct LoggedEvent: Decodable, Equatable, Sendable {
    /// Seconds since the run began.
    public var time: Double
    /// Its subject, a dot, and what happened.
    public var kind: String
    /// A step's number.
    public var step: Int?
    /// A step's title.
    public var title: String?
    /// A finding's name.
    public var name: String?
    /// What a finding says, or libvirt.
    public var message: String?
    /// A device's alias.
    public var alias: String?
    /// What an unplug came to.
    public var result: String?
    /// Why a machine stopped.
    public var reason: String?
    /// What a step or the run came to.
    public var outcome: String?
    /// How many findings a step has.
    public var findingCount: Int?
    /// What went wrong with the run itself.
    public var error: String?
    /// Where a DIMM lies, in hexadecimal digits.
    public var base: String?
    /// What the agent did on request.
    public var action: String?
    /// The error number that it got, 0 for none.
    public var errno: Int?
    /// What the kernel says has gone wrong in it.
    public var fault: String?
    /// A line of that.
    public var text: String?
    /// Microseconds since the guest booted, of what its agent tells.
    public var guestMicroseconds: UInt64?
}

extension ArraySlice<UInt8> {
    /// Whether these bytes are in it.
    fileprivate func has(_ bytes: [UInt8]) -> Bool {
        guard let first = bytes.first else { return true }
        var rest = self
        while let index = rest.firstIndex(of: first) {
            rest = rest[index...]
            if rest.starts(with: bytes) { return true }
            rest = rest.dropFirst()
        }
        return false
    }
}
