// SPDX-License-Identifier: Apache-2.0

import RunRecord
import Verification

/// When things happened in a run, as its events say.
struct RunTimeline {
    /// When a step ran, in seconds since the run began; nil where the events do not say.
    private(set) var steps: [Int: ClosedRange<Double>] = [:]
    /// The number of entries at moments, in order of time; between them it stays.
    private(set) var counts: [(time: Double, entryCount: Int)] = []
    /// The verifications' own counts.
    private(set) var verified: [(time: Double, step: Int, entryCount: Int)] = []
    /// What happened that is worth a mark, in order of time.
    private(set) var marks: [Mark] = []
    /// When the run ended, as far as the events tell.
    private(set) var end: Double = 0

    /// Something that changes memory, or ends it.
    struct Mark {
        /// What kind of thing it is.
        enum Kind { case plug, unplug, reboot, fault, other }

        let kind: Kind
        let time: Double
        let text: String
        let step: Int?
    }

    /// Steps that change nothing.
    private static let quietTitles = ["boot", "verify", "expect", "power off", "wait", "dump"]

    init(_ run: RecordedRun) {
        var starts: [Int: Double] = [:]
        var current: Int?
        for event in run.events.moments {
            end = max(end, event.time)
            switch event.kind {
            case "step.started":
                guard let step = event.step else { break }
                (starts[step], current) = (event.time, step)
                let title = event.title ?? ""
                guard !Self.quietTitles.contains(where: title.hasPrefix) else { break }
                marks.append(Mark(kind: Self.kind(of: title), time: event.time, text: title, step: step))
            case "step.ended":
                guard let step = event.step, let start = starts[step], start <= event.time else { break }
                steps[step] = start...event.time
            case "guest.kernel-fault":
                marks.append(
                    Mark(
                        kind: .fault, time: event.time, text: "the kernel says: \(event.fault ?? "a fault")",
                        step: current))
            case "machine.crashed":
                marks.append(Mark(kind: .fault, time: event.time, text: "the guest's kernel panicked", step: current))
            case "unplug.settled":
                guard event.result != "removed" else { break }
                marks.append(
                    Mark(
                        kind: .unplug, time: event.time,
                        text: "unplug of \(event.alias ?? "a DIMM"): \(event.result ?? "no answer")", step: current))
            case "reboot.settled":
                marks.append(Mark(kind: .reboot, time: event.time, text: "up again after the reboot", step: current))
            default: break
            }
        }
        count(run)
    }

    private static func kind(of title: String) -> Mark.Kind {
        switch true {
        case title.hasPrefix("plug"), title.hasPrefix("probe"): .plug
        case title.hasPrefix("unplug"): .unplug
        case title.hasPrefix("reboot"): .reboot
        case title.hasPrefix("crash"), title.contains("panic"): .fault
        default: .other
        }
    }

    /// Each verification's count is exact; between them the mirror's entries that came and went are added up.
    private mutating func count(_ run: RecordedRun) {
        for step in run.verifications {
            guard let verdict = step.verdict, let time = steps[step.number]?.upperBound else { continue }
            verified.append((time, step.number, verdict.entryCount))
        }
        var rest = verified[...]
        var count: Int?
        for change in run.events.changes {
            while let next = rest.first, next.time <= change.time {
                counts.append((next.time, next.entryCount))
                count = next.entryCount
                rest = rest.dropFirst()
            }
            guard let known = count else { continue }
            let (sum, overflows) = known.addingReportingOverflow(change.entryCount)
            guard !overflows, sum >= 0 else { continue }
            counts.append((change.time, sum))
            count = sum
        }
        counts += rest.map { ($0.time, $0.entryCount) }
    }
}
