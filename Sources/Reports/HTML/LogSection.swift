// SPDX-License-Identifier: Apache-2.0

import Foundation
import RunRecord
import Verification

/// What the guest and the harness said at the moments that matter.
struct LogSection {
    let section: PageSection?

    private static let (stepLimit, eventLimit, tailLimit, logLimit) = (12, 60, 60, 300)

    init(_ run: RecordedRun, _ places: PagePlaces) {
        let excerpts = ConsoleExcerpts(run.console)
        let timeline = RunTimeline(run)
        var content: [HTML] = []
        var count = 0
        func add(_ title: String, _ lines: [String], isFolded: Bool = false, links: Bool = true) {
            guard !lines.isEmpty else { return }
            count += 1
            let text = HTML(
                lines.flatMap { [links ? places.linked($0.prefix(1000)) : HTML($0.prefix(1000)), HTML.lineEnd] })
            let block = HTML(
                "pre", [.id("log-\(count)"), .attribute("data-where", title), .attribute("tabindex", "0")], [text])
            content.append(isFolded ? .folded(HTML(title), [block]) : HTML([HTML("h3", [], [HTML(title)]), block]))
        }
        for (title, lines) in excerpts.faults { add(title, lines) }
        let steps = run.results.steps.filter { !$0.allFindings.isEmpty }
        for step in steps.prefix(Self.stepLimit) {
            guard let time = timeline.steps[step.number] else { continue }
            add(
                "Step \(step.number), \(step.title.prefix(200)): what was said", Self.lines(run, excerpts, during: time)
            )
        }
        if content.isEmpty {
            content.append(.paragraph("There was no finding and no fault of the kernel's, so no moment stands out."))
        }
        let tail = run.console.map { Array($0.lines.suffix(Self.tailLimit)) } ?? []
        add("The console's last \(tail.count) lines", tail, isFolded: true)
        let log = run.log.map { Array($0.lines.suffix(Self.logLimit)) } ?? []
        add("The harness's own log", log, isFolded: true)
        if let console = run.console, console.leftOutLineCount > 0 {
            content.append(.paragraph("\(console.leftOutLineCount) lines in the console's middle were not looked at."))
        }
        section = PageSection(id: "log", shortTitle: "Log", title: "What the guest said", content)
    }

    /// The console's lines and the run's events in a time, one among the other.
    private static func lines(
        _ run: RecordedRun, _ excerpts: ConsoleExcerpts, during time: ClosedRange<Double>
    ) -> [String] {
        var told: [String] = []
        let events = run.events.moments.filter { time.contains($0.time) && !$0.kind.hasPrefix("step.") }
        told += events.prefix(eventLimit).map { event in
            let words = [
                event.name, event.alias, event.result, event.action, event.reason, event.fault, event.message,
                event.text,
            ].compactMap { $0 }
            return String(format: "%10.3f  ", event.time) + ([event.kind] + words).joined(separator: " ").prefix(400)
        }
        if events.count > eventLimit {
            told.append("            … and \(events.count - eventLimit) more in events.jsonl")
        }
        if let clock = run.guestClock(at: time) {
            let said = excerpts.said(
                from: time.lowerBound - clock.offset - 0.3, to: time.upperBound - clock.offset + 0.3, boot: clock.boot)
            if !said.isEmpty {
                told.append("console:")
                told += said
            }
        }
        return told
    }
}
