// SPDX-License-Identifier: Apache-2.0

public import Foundation
import Synchronization
public import Verification

/// The directory that is a run's log: written as things happen, complete on every way out.
public final class RunDirectory: Sendable {
    /// The run's name: UTC time and an identifier.
    public let name: String
    /// The directory.
    public let url: URL

    private struct State {
        var events: FileHandle
        var log: FileHandle
        var eventCount = 0
        var eventByteCount = 0
        var leftOutEventCount = 0
    }

    private let state: Mutex<State>
    private let eventByteLimit: Int
    private let startedAt: Date
    private let clock = ContinuousClock()
    private let start: ContinuousClock.Instant

    /// Makes `parent/<UTC>-<identifier>/` and points `parent/latest` to it.
    ///
    /// Throws when the directory cannot be made or written: a run without a record is not begun. `eventByteLimit` is how
    /// long `events.jsonl` gets before events of the guest's are left out.
    public init(
        parent: URL, identifier: String, startedAt: Date, eventByteLimit: Int = RunDirectory.eventByteLimit
    ) throws {
        self.startedAt = startedAt
        self.eventByteLimit = eventByteLimit
        start = clock.now
        name = Self.stamp(startedAt) + "-" + identifier
        url = parent.appending(path: name, directoryHint: .isDirectory)
        let files = FileManager.default
        try files.createDirectory(at: parent, withIntermediateDirectories: true)
        try files.createDirectory(at: url, withIntermediateDirectories: false)
        do {
            let events = try Self.created(url.appending(path: Self.eventsName))
            RecordLock.take(events)
            state = Mutex(State(events: events, log: try Self.created(url.appending(path: Self.logName))))
            try Self.point(parent.appending(path: "latest"), to: name, identifier: identifier)
        } catch {
            try? files.removeItem(at: url)
            throw error
        }
    }

    /// Some million events. The largest of the ready plans, half-added-block, writes 5 MiB.
    public static let eventByteLimit = 256 << 20

    /// `events.jsonl`.
    public static let eventsName = "events.jsonl"
    /// `harness.log`.
    public static let logName = "harness.log"

    /// The guest's console, which QEMU writes itself.
    public var consoleLog: URL { url.appending(path: RecordFile.console) }
    /// libvirt's own warnings.
    public var libvirtLog: URL { url.appending(path: "libvirt.log") }

    /// Seconds since the run began.
    public var elapsedSeconds: Double {
        let (seconds, attoseconds) = (clock.now - start).components
        return Double(seconds) + Double(attoseconds) / 1e18
    }

    /// The digests of all files that are complete once the run has ended.
    ///
    /// `libvirt.log` is never among them: libvirt may write to it until this process ends. The console is not while QEMU
    /// runs.
    public func digests(isConsoleComplete: Bool) throws -> [String: String] {
        var digests: [String: String] = [:]
        for name in try FileManager.default.contentsOfDirectory(atPath: url.path) {
            guard RecordFile.isDigested(name), isConsoleComplete || name != RecordFile.console else { continue }
            digests[name] = try RecordFile.digest(of: url.appending(path: name))
        }
        return digests
    }

    /// Writes `run.json` anew.
    public func write(_ information: RunInformation) throws {
        try writeJSON(information, as: RecordFile.run)
    }

    /// Writes `results.json` anew.
    public func write(_ results: RunResults) throws {
        try writeJSON(results, as: RecordFile.results)
    }

    /// Writes the domain's XML, as it was given to libvirt.
    public func write(domainXML: String) throws {
        try write(Data(domainXML.utf8), as: RecordFile.domain)
    }

    /// Writes the plan that the run follows, as it was resolved.
    public func write(plan: String) throws {
        try write(Data(plan.utf8), as: RecordFile.plan)
    }

    /// Writes the snapshot that a step's verdict rests on.
    public func write(_ snapshot: Snapshot, step: Int) throws {
        try writeJSON(snapshot, as: RecordFile.snapshot(step: step))
    }

    /// The file of a step's dump, from the record's folder.
    public static func dumpName(step: Int) -> String { "\(dumpsName)/dump-\(step)" }

    /// The folder of dumps.
    static let dumpsName = "dumps"

    /// The step whose dump has this name in that folder; nil when it is no dump's.
    static func step(ofDump name: String) -> Int? {
        Int(name.dropFirst("dump-".count)).flatMap { dumpName(step: $0) == "\(dumpsName)/\(name)" ? $0 : nil }
    }

    /// Where the file of a step's dump goes, in a folder that is made for it.
    public func dumpFile(step: Int) throws -> URL {
        let file = url.appending(path: Self.dumpName(step: step))
        try FileManager.default.createDirectory(
            at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
        return file
    }

    /// How many events were left out, all of them the guest's.
    public var leftOutEventCount: Int { state.withLock { $0.leftOutEventCount } }

    /// Appends an event to `events.jsonl`; one of the guest's is only counted once the file has reached its limit.
    private func append(_ event: RunEvent) throws {
        try state.withLock { state in
            if state.eventByteCount >= eventByteLimit, event.isGuests {
                state.leftOutEventCount += 1
                return
            }
            state.eventCount += 1
            // Asked for in here, so that times ascend with the numbers.
            let time = (elapsedSeconds * 1e6).rounded() / 1e6
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
            let line = try encoder.encode(EventLine(seq: state.eventCount, time: time, event: event)) + Data([0x0a])
            state.eventByteCount += line.count
            try Self.checked(Self.eventsName) { try state.events.write(contentsOf: line) }
        }
    }

    /// Appends a line to the log, after the seconds since the run began.
    public func log(_ line: String) throws {
        let stamp = String(format: "%10.3f  ", elapsedSeconds)
        try state.withLock { state in
            try Self.checked(Self.logName) { try state.log.write(contentsOf: Data((stamp + line + "\n").utf8)) }
        }
    }

    /// The JSON of a record's file.
    public static func json(_ value: some Encodable) throws -> Data {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        encoder.dateEncodingStrategy = .iso8601
        encoder.userInfo = ColumnBudget().userInfo
        return JSONLayout.laidOut(try encoder.encode(value))
    }

    private func writeJSON(_ value: some Encodable, as name: String) throws {
        let data: Data
        do {
            data = try Self.json(value)
        } catch EncodingError.invalidValue(_, let context) {
            throw RunDirectoryError(file: name, reason: context.debugDescription)
        }
        try write(data, as: name)
    }

    private func write(_ data: Data, as name: String) throws {
        try Self.checked(name) { try data.write(to: url.appending(path: name), options: .atomic) }
    }

    private static func checked(_ name: String, _ write: () throws -> Void) throws {
        do {
            try write()
        } catch {
            throw RunDirectoryError(file: name, reason: error.localizedDescription)
        }
    }

    static func created(_ url: URL) throws -> FileHandle {
        try Data().write(to: url, options: .withoutOverwriting)
        return try FileHandle(forWritingTo: url)
    }

    /// Removes the record of a run that has ended, and the link that leads to it.
    public static func discard(_ record: URL) throws {
        let files = FileManager.default
        try files.removeItem(at: record)
        let link = record.deletingLastPathComponent().appending(path: "latest").path
        if (try? files.destinationOfSymbolicLink(atPath: link)) == record.lastPathComponent {
            try files.removeItem(atPath: link)
        }
    }

    /// Replaces a symbolic link in one step, so that there is always one.
    private static func point(_ link: URL, to target: String, identifier: String) throws {
        let fresh = link.deletingLastPathComponent().appending(path: ".latest-\(identifier)")
        try FileManager.default.createSymbolicLink(atPath: fresh.path, withDestinationPath: target)
        // SAFETY: C strings that live for the length of the call.
        guard unsafe rename(fresh.path, link.path) == 0 else {
            let code = POSIXErrorCode(rawValue: errno) ?? .EIO
            try? FileManager.default.removeItem(at: fresh)
            throw POSIXError(code)
        }
    }

    static func stamp(_ date: Date) -> String {
        let format = Date.ISO8601FormatStyle(dateSeparator: .omitted, timeSeparator: .omitted, timeZone: .gmt)
        return date.formatted(format)
    }
}

extension RunDirectory: RunObserver {
    /// Notes an event in `events.jsonl`, and in `harness.log` what a person reads of it.
    public func observe(_ event: RunEvent) throws {
        try append(event)
        for line in event.logLines { try log(line) }
    }
}

extension RunEvent {
    /// What `harness.log` says of the event.
    fileprivate var logLines: [String] {
        switch self {
        case .stepEnded(let step):
            ["\(step.number) \(step.title): \(step.outcome.rawValue)"]
                + step.allFindings.map { "  \($0.name): \($0.message)" }
        case .eventsLeftOut(let count):
            ["\(RunDirectory.eventsName) is full: \(count) events of the guest's were left out"]
        case .consoleLeftOut(let byteCount):
            ["\(RecordFile.console) was full: about \(byteCount) bytes of it were left out"]
        case .runEnded(_, let error): error.map { ["error: \($0)"] } ?? []
        default: []
        }
    }
}

/// A file of the record that cannot be written.
public struct RunDirectoryError: Error, Equatable, CustomStringConvertible {
    /// The file's name.
    public let file: String
    /// What the operating system says.
    public let reason: String

    /// What a person reads.
    public var description: String { "cannot write \(file) of the run's record: \(reason)" }
}
