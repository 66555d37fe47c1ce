// SPDX-License-Identifier: Apache-2.0

import Foundation
import RunRecord
import Verification

/// All entries that ever were in the kernel's account, as data for the page's script: a column each, in the form that
/// records have (``WordColumn``).
struct PageData {
    /// A document.
    let json: String
    /// How many entries it has.
    let entryCount: Int
    /// Whether there were more than a page takes.
    let isCut: Bool

    private static let limit = 1 << 17

    /// An entry's life: from the verification that first found it to the one that missed it.
    private struct Life {
        let entry: BackedWindow
        let came: Int
        var gone = 0
    }

    private struct Document: Encodable {
        var virt: [String]
        var phys: [String]
        var place: [String]
        var size: [String]
        var came: [String]
        var gone: [String]
    }

    init(_ run: RecordedRun) {
        var lives: [Life] = []
        var current: [BackedWindow: Int] = [:]
        var isCut = false
        for step in run.verifications {
            guard let entries = run.memory[step.number]?.entries else { continue }
            var next: [BackedWindow: Int] = [:]
            next.reserveCapacity(entries.count)
            for entry in entries {
                if let life = current.removeValue(forKey: entry) {
                    next[entry] = life
                } else if lives.count < Self.limit {
                    next[entry] = lives.count
                    lives.append(Life(entry: entry, came: step.number))
                } else {
                    isCut = true
                }
            }
            for life in current.values { lives[life].gone = step.number }
            current = next
        }
        // As a kernel handed them out: so they are few runs.
        lives.sort { ($0.came, $0.entry.virtAddr) < ($1.came, $1.entry.virtAddr) }
        (entryCount, self.isCut) = (lives.count, isCut)
        func column(_ word: (Life) -> UInt64) -> [String] { WordColumn.texts(of: lives.map(word)) }
        let document = Document(
            virt: column(\.entry.virtAddr), phys: column(\.entry.phys), place: column(\.entry.place),
            size: column(\.entry.byteCount), came: column { UInt64($0.came) }, gone: column { UInt64($0.gone) })
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys]
        json = (try? encoder.encode(document)).map { String(decoding: $0, as: UTF8.self) } ?? "{}"
    }
}

/// Every entry, looked up and turned over by the page's script; without one the runs in the maps say the same.
struct EntrySection {
    let section: PageSection?

    init(_ run: RecordedRun) {
        let data = PageData(run)
        guard data.entryCount > 0 else {
            section = nil
            return
        }
        let account = run.verifications.last?.verdict?.account
        let place: HTML = account == .pageTables ? "Page table entry at" : "Node"
        section = PageSection(
            id: "entries", shortTitle: "Entries", title: "Every entry",
            [
                .paragraph(
                    "\(data.entryCount.of("entry", "entries")) that the kernel's account had at any verification. The search at the top finds the entry whose window, block or node holds an address."
                ),
                data.isCut ? .paragraph("There were more; the rest is in the record's snapshots.") : HTML(),
                HTML(
                    "noscript", [], [.paragraph("Without JavaScript the runs of blocks under the maps say the same.")]),
                HTML(
                    "div", [.id("entry-view"), .attribute("hidden", "hidden")],
                    [
                        HTML("p", [.id("entry-count"), .attribute("role", "status")]),
                        .table(
                            caption: "Entries, by the step that found them first, ascending by window",
                            [
                                "Window", "Block", PageColumn(place), .number("Bytes"), .number("Came at step"),
                                .number("Gone at step"),
                            ], [],
                            id: "entry-table"),
                        HTML(
                            "p", [.classes("pager")],
                            [
                                HTML("button", [.id("entry-back"), .attribute("type", "button")], ["Earlier entries"]),
                                " ",
                                HTML("button", [.id("entry-on"), .attribute("type", "button")], ["More entries"]),
                            ]),
                    ]),
            ])
    }
}
