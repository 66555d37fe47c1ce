// SPDX-License-Identifier: Apache-2.0

import HarnessBasics
import RunRecord
import Verification

/// Where the blocks lie in memory, and what of the memory map they back, at the verifications that are drawn.
struct MapSection {
    let section: PageSection?

    init(_ run: RecordedRun, _ places: PagePlaces) {
        let steps = run.verifications
        let parts = places.drawnSteps.compactMap { number -> (step: StepResult, map: StepMap)? in
            guard let step = steps.first(where: { $0.number == number }), let memory = run.memory[number] else {
                return nil
            }
            // Of the first verification everything is new.
            let isFirst = steps.first?.number == number
            return (step, StepMap(step, memory, new: isFirst ? [] : step.newEntries ?? []))
        }
        guard let last = parts.last else {
            section = nil
            return
        }
        var content: [HTML] = [Self.legend]
        content.append(HTML("h3", [], ["After step \(last.step.number): \(last.step.title.prefix(200))"]))
        content += last.map.html
        for part in parts.dropLast().reversed() {
            content.append(
                .folded("After step \(part.step.number): \(part.step.title.prefix(200))", part.map.html))
        }
        if steps.count > parts.count {
            content.append(
                .paragraph(
                    "\(steps.count - parts.count) more verifications are not drawn; what they hold is in the record."))
        }
        section = PageSection(id: "maps", shortTitle: "Maps", title: "Where the memory map lies", content)
    }

    private static var legend: HTML {
        func sample(_ kind: Strip.Kind, _ text: HTML) -> HTML {
            HTML(
                "li", [],
                [
                    HTML(
                        "span", [.classes("sample")], [Strip(0..<10, largest: 10, label: "", [(kind, [0..<10])]).html]),
                    text,
                ])
        }
        return HTML(
            "ul", [.classes("legend")],
            [
                sample(.memory, "present, nothing of the memory map's"),
                sample(.block, "block, or window that it backs"),
                sample(.newBlock, "new since the verification before"),
                sample(.altmapBlock, "in memory that brought its own (altmap)"),
                sample(.hole, "hole: described, and backed by nothing"),
            ])
    }
}

/// Both maps at one verification.
struct StepMap {
    let html: [HTML]

    /// How many rows are told of runs and holes.
    static let rowLimit = 300

    init(_ step: StepResult, _ memory: StepMemory, new: [BackedWindow]) {
        let pieces = MapPiece.all(of: memory)
        guard let entries = memory.entries else {
            html = [
                .paragraph("The record has more entries than a page takes; they are in snapshot-\(step.number).json.")
            ]
            return
        }
        let runs = EntryRun.all(of: entries, in: memory, new: Set(new))
        func ranges(_ kind: Strip.Kind, _ range: (EntryRun) -> Range<UInt64>) -> [Range<UInt64>] {
            runs.filter { Self.kind(of: $0) == kind }.map(range)
        }
        func layers(_ range: (EntryRun) -> Range<UInt64>) -> [(kind: Strip.Kind, ranges: [Range<UInt64>])] {
            [Strip.Kind.block, .altmapBlock, .newBlock].map { ($0, ranges($0, range)) }
        }
        let physical = layers(\.blocks)
        let virtual = layers(\.windows)
        let largest = pieces.map { $0.memory.upperBound - $0.memory.lowerBound }.max() ?? 0
        let largestMap = pieces.compactMap(\.map).map { $0.upperBound - $0.lowerBound }.max() ?? 0
        var content: [HTML] = [.paragraph(HTML(Self.summary(entries, memory, runs, new: new)))]
        content.append(HTML("h4", [], ["Physical memory: where each block lies"]))
        for (index, piece) in pieces.enumerated() {
            let count = runs.filter { $0.blocks.overlaps(piece.memory) }.reduce(0) { $0 + $1.count }
            let strip = Strip(
                piece.memory, largest: largest,
                label: "\(piece.name), \(piece.memory.text): \(count.of("block", "blocks")) of the memory map",
                [(.memory, memory.presentMemory)] + physical)
            content.append(
                Self.row(
                    .memory, piece.memory, id: PagePlaces.id(.memory, step: step.number, index), name: piece.name,
                    note: [piece.node.map { "NUMA node \($0)" }, count.of("block", "blocks")].compactMap { $0 }
                        .joined(separator: ", "), strip))
        }
        content.append(HTML("h4", [], ["Virtual memory map (vmemmap): what of it is backed"]))
        for (index, piece) in pieces.enumerated() {
            guard let map = piece.map else { continue }
            let holes = memory.holes.map { $0.clamped(to: map) }.filter { !$0.isEmpty }
            let strip = Strip(
                map, largest: largestMap,
                label: "Memory map of \(piece.name), \(map.text): "
                    + (holes.isEmpty ? "all of it is backed" : holes.count.of("hole", "holes")),
                [(.memory, memory.describedMap)] + virtual + [(.hole, memory.holes)])
            content.append(
                Self.row(
                    .map, map, id: PagePlaces.id(.map, step: step.number, index), name: piece.name,
                    note: holes.isEmpty ? "no hole" : holes.count.of("hole", "holes"), strip))
        }
        html = content + Self.tables(step, memory, runs)
    }

    private static func kind(of run: EntryRun) -> Strip.Kind {
        run.isNew ? .newBlock : run.isInAltmap ? .altmapBlock : .block
    }

    private static func summary(
        _ entries: [BackedWindow], _ memory: StepMemory, _ runs: [EntryRun], new: [BackedWindow]
    ) -> String {
        let byteCount = entries.reduce(UInt64(0)) { $0 &+ $1.byteCount }
        let sizes = Set(entries.map(\.byteCount)).sorted().map { ByteCount($0).text }.prefix(4).joined(
            separator: " and ")
        var text =
            "\(entries.count.of("block", "blocks")) of \(sizes.isEmpty ? "no size" : sizes), "
            + "\(ByteCount(byteCount).text) together, in \(runs.count.of("run", "runs"))"
        if !new.isEmpty { text += "; \(new.count) came since the verification before" }
        let altmaps = runs.filter(\.isInAltmap).reduce(0) { $0 + $1.count }
        if altmaps > 0 { text += "; \(altmaps) lie in memory that brought its own memory map" }
        return text + (memory.holes.isEmpty ? ". There is no hole." : ". There are holes: see below.")
    }

    private static func row(
        _ kind: PagePlaces.Kind, _ range: Range<UInt64>, id: String, name: String, note: String, _ strip: Strip
    ) -> HTML {
        let size = ByteCount(range.upperBound - range.lowerBound).text
        return HTML(
            "figure",
            [
                .id(id), .classes("piece"), .attribute("data-start", range.lowerBound.hexadecimal),
                .attribute("data-end", range.upperBound.hexadecimal),
                .attribute("data-where", (kind == .memory ? "Memory " : "Memory map of ") + name),
            ],
            [
                HTML(
                    "figcaption", [],
                    [
                        HTML("strong", [], [HTML(name.prefix(100))]), " ", HTML.code(range.text), " ",
                        HTML("span", [.classes("muted")], [HTML("\(size), \(note)")]),
                    ]), strip.html,
            ])
    }

    private static func tables(_ step: StepResult, _ memory: StepMemory, _ runs: [EntryRun]) -> [HTML] {
        var tables: [HTML] = []
        if !memory.holes.isEmpty {
            let rows = memory.holes.prefix(rowLimit).map { hole in
                PageRow(
                    [
                        .code(hole.lowerBound.hexadecimal), .code((hole.upperBound - 1).hexadecimal),
                        HTML(ByteCount(hole.upperBound - hole.lowerBound).text),
                    ],
                    [
                        .attribute("data-start", hole.lowerBound.hexadecimal),
                        .attribute("data-end", hole.upperBound.hexadecimal),
                        .attribute("data-where", "Hole, step \(step.number)"),
                        .id("hole-\(step.number)-\(hole.lowerBound.hexadecimal)"),
                    ])
            }
            tables.append(
                .table(
                    caption: "Holes: described by a present section, and backed by nothing",
                    ["From", "To", .number("Size")], rows))
        }
        let rows = runs.prefix(rowLimit).map { run in
            PageRow([
                .code(run.windows.lowerBound.hexadecimal), .code((run.windows.upperBound - 1).hexadecimal),
                .code(run.first.phys.hexadecimal), .code(run.last.phys.hexadecimal),
                "\(run.count)", run.isNew ? "new" : run.isInAltmap ? "altmap" : "",
            ])
        }
        let rest = runs.count - rows.count
        tables.append(
            .folded(
                "\(runs.count.of("run", "runs")) of blocks as a table",
                [
                    .table(
                        caption: "Windows that follow each other, and the first and last of their blocks",
                        ["Windows from", "To", "First block", "Last block", .number("Blocks"), "What"], rows),
                    rest > 0 ? .paragraph("And \(rest) more runs: all entries are in the table below.") : HTML(),
                ]))
        return tables
    }
}
