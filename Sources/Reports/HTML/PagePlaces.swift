// SPDX-License-Identifier: Apache-2.0

import HarnessBasics
import RunRecord
import Verification

/// Where in the page addresses stand, so that a text that names one can lead there.
struct PagePlaces {
    /// The steps whose memory maps are drawn.
    let drawnSteps: [Int]
    private let maps: [Int: [(range: Range<UInt64>, id: String)]]

    /// How many memory maps are drawn: the last ones, and those of steps with findings before others.
    private static let drawnLimit = 8

    init(_ run: RecordedRun) {
        let steps = run.verifications.filter { run.memory[$0.number] != nil }
        let weighed = steps.enumerated().sorted { first, second in
            func rank(_ index: Int, _ step: StepResult) -> Int {
                if index == steps.count - 1 { return 0 }
                return step.allFindings.isEmpty ? 2 : 1
            }
            return (rank(first.offset, first.element), second.offset) < (
                rank(second.offset, second.element), first.offset
            )
        }
        drawnSteps = weighed.prefix(Self.drawnLimit).map(\.element.number).sorted()
        var maps: [Int: [(range: Range<UInt64>, id: String)]] = [:]
        for number in drawnSteps {
            guard let memory = run.memory[number] else { continue }
            let pieces = MapPiece.all(of: memory)
            // What is nearest first: a window's range is within no other's.
            maps[number] =
                pieces.enumerated().compactMap { index, piece in
                    piece.map.map { ($0, Self.id(.map, step: number, index)) }
                }
                + pieces.enumerated().map { index, piece in (piece.memory, Self.id(.memory, step: number, index)) }
        }
        self.maps = maps
    }

    /// Which of the two maps.
    enum Kind: String { case memory, map }

    /// The place of a piece of the machine's memory, or of the memory map that describes it.
    static func id(_ kind: Kind, step: Int, _ index: Int) -> String { "\(kind.rawValue)-\(step)-\(index)" }

    /// A text, in which each address that is drawn leads there; without a step, to the last memory map.
    func linked(_ text: some StringProtocol, step: Int? = nil) -> HTML {
        let map = maps[step ?? -1] ?? drawnSteps.last.flatMap { maps[$0] } ?? []
        var html = HTML()
        var rest = Substring(text)
        while let match = rest.firstMatch(of: /0x[0-9a-f]{5,16}/) {
            html += HTML(rest[..<match.range.lowerBound])
            let word = rest[match.range]
            if let address = UInt64(hexadecimal: word), let place = map.first(where: { $0.range.contains(address) }) {
                html += HTML("a", [.classes("a"), .link(to: place.id)], [HTML(word)])
            } else {
                html += HTML("code", [.classes("a")], [HTML(word)])
            }
            rest = rest[match.range.upperBound...]
        }
        html += HTML(rest)
        return html
    }
}
