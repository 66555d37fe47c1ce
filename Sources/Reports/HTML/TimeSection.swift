// SPDX-License-Identifier: Apache-2.0

import Foundation
import RunRecord
import Verification

/// How the number of entries changed, with what changed it.
struct TimeSection {
    let section: PageSection?

    /// How many points of the line are drawn, and how many marks.
    private static let (pointLimit, markLimit) = (1500, 60)
    private static let (plotTop, plotHeight) = (64, 180)

    init(_ run: RecordedRun) {
        let timeline = RunTimeline(run)
        guard !timeline.verified.isEmpty, timeline.end > 0 else {
            section = nil
            return
        }
        let marks = Array(timeline.marks.prefix(Self.markLimit))
        var content: [HTML] = [
            HTML(
                "figure", [.classes("chart")],
                [
                    Self.image(timeline, marks),
                    HTML(
                        "figcaption", [],
                        [
                            "Entries of the kernel's account. A dot is a verification's own count; between them the mirror's events are added up. The numbers are those of the table below."
                        ]),
                ])
        ]
        if !marks.isEmpty {
            let told = Set(run.results.steps.map(\.number))
            let rows = marks.enumerated().map { index, mark in
                PageRow([
                    "\(index + 1)", HTML(Self.sign(mark.kind)), HTML(mark.text.prefix(300)),
                    mark.step.map { told.contains($0) ? HTML("a", [.link(to: "step-\($0)")], ["\($0)"]) : "\($0)" }
                        ?? "",
                    HTML(String(format: "%.2f", mark.time)),
                ])
            }
            content.append(
                .table(
                    caption: "What is marked in the picture",
                    ["Mark", "Kind", "What happened", .number("Step"), .number("Seconds")], rows))
        }
        if timeline.marks.count > marks.count {
            content.append(.paragraph("And \(timeline.marks.count - marks.count) more, in events.jsonl."))
        }
        section = PageSection(id: "time", shortTitle: "Time", title: "Entries over time", content)
    }

    private static func sign(_ kind: RunTimeline.Mark.Kind) -> String {
        switch kind {
        case .plug: "▲\u{a0}plug"
        case .unplug: "▼\u{a0}unplug"
        case .reboot: "↻\u{a0}reboot"
        case .fault: "✗\u{a0}fault"
        case .other: "•\u{a0}other"
        }
    }

    /// Positions across are shares of the width, so that letters keep their size at any width; only the line itself is
    /// stretched.
    private static func image(_ timeline: RunTimeline, _ marks: [RunTimeline.Mark]) -> HTML {
        let most = max(
            timeline.counts.map(\.entryCount).max() ?? 0, timeline.verified.map(\.entryCount).max() ?? 0, 1)
        // Before the first verification nothing is known.
        let first = min(timeline.verified.first?.time ?? 0, marks.first?.time ?? .infinity)
        let start = max(first - (timeline.end - first) * 0.08, 0)
        let duration = max(timeline.end - start, 1e-3)
        func share(_ time: Double) -> Double { min(max((time - start) / duration, 0), 1) * 100 }
        func percent(_ time: Double) -> String { HTML.number(share(time)) + "%" }
        func height(_ count: Int) -> Double { Double(plotHeight) * (1 - Double(count) / Double(most)) }
        var shapes: [HTML] = []
        for line in 0...2 where most > 1 || line != 1 {
            let (y, value) = (Double(plotTop + plotHeight * line / 2), most * (2 - line) / 2)
            shapes.append(
                HTML(
                    "line",
                    [
                        .classes("grid"), .attribute("x1", "0"), .attribute("x2", "100%"), .attribute("y1", y),
                        .attribute("y2", y),
                    ]))
            shapes.append(HTML("text", [.classes("axis"), .attribute("x", "0"), .attribute("y", y - 4)], ["\(value)"]))
        }
        shapes.append(
            HTML(
                "svg",
                [
                    .attribute("x", "0"), .attribute("y", plotTop), .attribute("width", "100%"),
                    .attribute("height", plotHeight), .attribute("viewBox", "0 0 1000 \(plotHeight)"),
                    .attribute("preserveAspectRatio", "none"), .classes("plot"),
                ], [HTML("path", [.classes("count"), .attribute("d", path(timeline, share: share, height: height))])]))
        var row = 0
        var lastShare = -100.0
        for (index, mark) in marks.enumerated() {
            row = share(mark.time) - lastShare < 4 ? (row + 1) % 4 : 0
            lastShare = share(mark.time)
            let kind: HTMLAttribute =
                mark.kind == .fault ? .classes("mark fault") : .classes("mark")
            let (x, y) = (percent(mark.time), Double(14 + 14 * row))
            shapes.append(
                HTML(
                    "line",
                    [
                        kind, .attribute("x1", x), .attribute("x2", x), .attribute("y1", y + 2),
                        .attribute("y2", plotTop + plotHeight),
                    ]))
            shapes.append(
                HTML(
                    "text",
                    [
                        kind, .attribute("x", x), .attribute("y", y),
                        .attribute("text-anchor", lastShare > 96 ? "end" : "middle"),
                    ],
                    ["\(index + 1)"]))
        }
        for point in timeline.verified {
            shapes.append(
                HTML(
                    "circle",
                    [
                        .classes("dot"), .attribute("cx", percent(point.time)),
                        .attribute("cy", Double(plotTop) + height(point.entryCount)), .attribute("r", 4),
                    ], [HTML("title", [], ["step \(point.step): \(point.entryCount) entries"])]))
        }
        let bottom = plotTop + plotHeight + 16
        for (time, anchor) in [(start, "start"), (start + duration / 2, "middle"), (timeline.end, "end")] {
            shapes.append(
                HTML(
                    "text",
                    [
                        .classes("axis"), .attribute("x", percent(time)), .attribute("y", bottom),
                        .attribute("text-anchor", anchor),
                    ],
                    ["\(String(format: "%.1f", time)) s"]))
        }
        let label =
            "Entries over time: "
            + timeline.verified.prefix(20)
            .map { "\($0.entryCount) at step \($0.step)" }.joined(separator: ", ")
        return HTML(
            "svg",
            [
                .attribute("width", "100%"), .attribute("height", bottom + 8), .attribute("role", "img"),
                .attribute("aria-label", label),
            ],
            shapes)
    }

    private static func path(
        _ timeline: RunTimeline, share: (Double) -> Double, height: (Int) -> Double
    ) -> String {
        let stride = max(timeline.counts.count / pointLimit, 1)
        var text = ""
        for (index, point) in timeline.counts.enumerated()
        where index % stride == 0 || index == timeline.counts.count - 1 {
            let (x, y) = (HTML.number(share(point.time) * 10), HTML.number(height(point.entryCount)))
            text += text.isEmpty ? "M\(x) \(y)" : "H\(x)V\(y)"
        }
        return text.isEmpty ? "M0 0" : text + "H1000"
    }
}
