// SPDX-License-Identifier: Apache-2.0

public import Foundation
public import RunRecord

/// A run's steps, findings and guest log in order of time, line by line: no more of them is held than one line of each file.
public final class RunLog {
    /// A line.
    public struct Line: Encodable, Equatable, Sendable {
        /// Where a line comes from.
        public enum Source: String, Encodable, Sendable {
            case step, finding, guest, machine, run
        }

        /// Seconds since the run began.
        public var time: Double
        /// Where it comes from.
        public var source: Source
        /// What it says, as it was recorded.
        public var message: String
    }

    private let events: RecordTail
    private let console: RecordTail
    private var clock = GuestClock()
    private var nextEvent: Line?
    private var nextConsole: Line?
    private let decoder = JSONDecoder()

    /// Opens a record's log.
    ///
    /// - Throws: ``RecordProblem`` where the folder has no events, or they are no regular file.
    public init(of directory: URL) throws(RecordProblem) {
        // When the guest's clocks began is known from the events, so these are looked through before.
        let log = try EventLog(of: directory)
        for event in log.moments {
            if let microseconds = event.guestMicroseconds { clock.note(microseconds, at: event.time) }
        }
        clock.rewind()
        events = RecordTail(eventsIn: directory)
        console = RecordTail(.console, in: directory)
    }

    /// The next line; nil where there is none for now.
    ///
    /// - Throws: ``RecordProblem`` where a file cannot be read any more.
    public func next() throws(RecordProblem) -> Line? {
        while nextEvent == nil, let line = try events.nextLine() { nextEvent = event(line) }
        if nextConsole == nil, let line = try console.nextLine() { nextConsole = guestLine(line) }
        return take()
    }

    /// What the files end with, where that is no whole line. There is nothing behind it.
    public func rest() -> [Line] {
        console.rest().map { [guestLine($0)] } ?? []
    }

    private func take() -> Line? {
        if let event = nextEvent, nextConsole.map({ event.time <= $0.time }) ?? true {
            nextEvent = nil
            return event
        }
        defer { nextConsole = nil }
        return nextConsole
    }

    private func guestLine(_ text: String) -> Line {
        Line(time: clock.time(ofConsoleLine: text), source: .guest, message: text)
    }

    // MARK: - Events

    /// What most lines are, of which nothing is told.
    private static let untold = ["populate", "free", "block-mirrored", "block-freed", "section"]
        .map { "\"kind\":\"guest.\($0)" }

    private func event(_ text: String) -> Line? {
        guard !Self.untold.contains(where: { text.contains($0) }),
            let event = try? decoder.decode(LoggedEvent.self, from: Data(text.utf8)), event.time.isFinite
        else { return nil }
        if let microseconds = event.guestMicroseconds { clock.note(microseconds, at: event.time) }
        return event.told.map { Line(time: max(event.time, 0), source: $0, message: $1) }
    }
}

extension LoggedEvent {
    /// What a log says of it; nil for what it does not.
    fileprivate var told: (RunLog.Line.Source, String)? {
        let device = alias ?? "a device"
        switch kind {
        case "step.started": return (.step, "\(step ?? 0) \(title ?? "")")
        case "step.ended":
            let count = findingCount ?? 0
            let findings = count > 0 ? ", \(count) \(count == 1 ? "finding" : "findings")" : ""
            return (.step, "\(step ?? 0) \(title ?? ""): \(outcome ?? "ended")\(findings)")
        case "finding": return (.finding, "\(name ?? "a finding"): \(message ?? "")")
        case "plug.settled": return (.machine, "\(device) is plugged" + (base.map { " at \($0)" } ?? ""))
        case "unplug.pending": return (.machine, "the unplug of \(device) is pending: \(message ?? "")")
        case "unplug.settled": return (.machine, "the unplug of \(device): \(result ?? "no answer")")
        case "action.settled":
            return (.machine, "\(action ?? "an action"): " + (errno.map { $0 == 0 ? "done" : "error \($0)" } ?? ""))
        case "reboot.settled": return (.machine, "up again after the reboot")
        case "machine.started": return (.machine, "started")
        case "machine.crashed": return (.machine, "the guest's kernel panicked")
        case "machine.stopped": return (.machine, "stopped" + (reason.map { ": \($0)" } ?? ""))
        case "machine.device-removal-failed": return (.machine, "the guest does not give up \(device)")
        case "guest.kernel-fault": return (.finding, "the kernel reports: \(fault ?? "a fault")")
        case "run.ended": return (.run, (outcome ?? "ended") + (error.map { ": \($0)" } ?? ""))
        default: return nil
        }
    }
}

/// What the clocks of a run's kernels, one after another, are in seconds since the run began.
struct GuestClock {
    /// Run's time less the kernel's, for each kernel: the least that was seen, since telling takes time.
    private var offsets: [Double] = []
    private var (boot, lastMicroseconds) = (0, UInt64(0))
    private var (consoleBoot, lastStamp, lastTime) = (0, 0.0, 0.0)

    private static let bootLimit = 4096

    /// A kernel's clock that goes back by this is another kernel's.
    private static let jump = 1.0

    /// Notes that at some time of the run an event was told which happened at a time of the guest's.
    mutating func note(_ microseconds: UInt64, at time: Double) {
        if Double(microseconds) / 1e6 + Self.jump < Double(lastMicroseconds) / 1e6, boot < Self.bootLimit { boot += 1 }
        lastMicroseconds = microseconds
        while offsets.count <= boot { offsets.append(.infinity) }
        offsets[boot] = min(offsets[boot], time - Double(microseconds) / 1e6)
    }

    /// Begins with the first kernel's events again, whose clock is known by now.
    mutating func rewind() { (boot, lastMicroseconds) = (0, 0) }

    /// When a line of the console was printed. A line that says no time is as old as the one before it.
    mutating func time(ofConsoleLine text: String) -> Double {
        guard let match = text.prefixMatch(of: /\[ *([0-9]{1,9}\.[0-9]{6})\]/), let stamp = Double(match.output.1)
        else {
            return lastTime
        }
        if stamp + Self.jump < lastStamp, consoleBoot < Self.bootLimit {
            consoleBoot += 1
            // Nothing is known of the new one's clock but that it has begun by now.
            if consoleBoot >= offsets.count { offsets.append(lastTime - stamp) }
        }
        lastStamp = stamp
        let offset = consoleBoot < offsets.count && offsets[consoleBoot].isFinite ? offsets[consoleBoot] : 0
        lastTime = max(lastTime, stamp + offset)
        return lastTime
    }
}
