// SPDX-License-Identifier: Apache-2.0

import HarnessBasics

/// Addresses as a strip from left to right. However many things lie there, the image has few shapes.
struct Strip {
    /// What a shape stands for; each has a height of its own, so that colour is not all that tells them apart.
    enum Kind: Int {
        case memory, block, newBlock, altmapBlock, hole

        fileprivate var attribute: HTMLAttribute {
            switch self {
            case .memory: .classes("mem")
            case .block: .classes("block")
            case .newBlock: .classes("new")
            case .altmapBlock: .classes("alt")
            case .hole: .classes("hole")
            }
        }

        /// From the top, and how high, of 24.
        fileprivate var place: (y: Double, height: Double) {
            switch self {
            case .memory: (6, 18)
            case .block: (6, 18)
            case .newBlock: (0, 24)
            case .altmapBlock: (14, 10)
            case .hole: (0, 24)
            }
        }
    }

    private static let width = 1000.0
    private static let height = 24
    /// How many shapes of a kind are drawn as they are; more are drawn by parts of the strip.
    private static let shapeLimit = 250
    private static let bucketCount = 500
    /// What can still be seen.
    private static let minimumWidth = 2.0

    let html: HTML

    /// An image.
    ///
    /// - Parameters:
    ///   - range: what it shows.
    ///   - largest: the size of the largest range that is shown beside it: widths are to one scale.
    ///   - label: what a person hears who does not see it.
    ///   - layers: what lies there, ascending; later ones are drawn over earlier ones.
    init(_ range: Range<UInt64>, largest: UInt64, label: String, _ layers: [(kind: Kind, ranges: [Range<UInt64>])]) {
        let shapes = layers.flatMap { Self.shapes($0.ranges, $0.kind, in: range) }
        let percent = largest > 0 ? max(Double(range.upperBound - range.lowerBound) / Double(largest) * 100, 6) : 100
        html = HTML(
            "svg",
            [
                .classes("strip"), .attribute("viewBox", "0 0 \(Int(Self.width)) \(Self.height)"),
                .attribute("preserveAspectRatio", "none"), .attribute("role", "img"), .attribute("aria-label", label),
                .attribute("width", "\(HTML.number(min(percent, 100)))%"), .attribute("height", Self.height),
            ], shapes)
    }

    private static func shapes(_ ranges: [Range<UInt64>], _ kind: Kind, in whole: Range<UInt64>) -> [HTML] {
        let joined = Self.joined(ranges, in: whole)
        let size = Double(whole.upperBound - whole.lowerBound)
        func position(_ address: UInt64) -> Double { Double(address - whole.lowerBound) / size * width }
        if joined.count <= shapeLimit {
            return joined.map { range in
                let start = position(range.lowerBound)
                let shapeWidth = max(position(range.upperBound) - start, minimumWidth)
                return shape(kind, min(start, width - shapeWidth), shapeWidth, title: range.text)
            }
        }
        // By parts of the strip: a part is drawn where anything lies in it.
        var isFull = [Bool](repeating: false, count: bucketCount)
        for range in joined {
            let first = Int(position(range.lowerBound) / width * Double(bucketCount))
            let last = Int(position(range.upperBound - 1) / width * Double(bucketCount))
            for bucket in max(first, 0)...max(min(last, bucketCount - 1), max(first, 0)) where bucket < bucketCount {
                isFull[bucket] = true
            }
        }
        var (shapes, start): ([HTML], Int?) = ([], nil)
        let bucketWidth = width / Double(bucketCount)
        for bucket in 0...bucketCount {
            if bucket < bucketCount, isFull[bucket] {
                start = start ?? bucket
            } else if let first = start {
                shapes.append(
                    shape(kind, Double(first) * bucketWidth, Double(bucket - first) * bucketWidth, title: nil))
                start = nil
            }
        }
        return shapes
    }

    private static func shape(_ kind: Kind, _ x: Double, _ shapeWidth: Double, title: String?) -> HTML {
        let (y, shapeHeight) = kind.place
        return HTML(
            "rect",
            [
                kind.attribute, .attribute("x", x), .attribute("y", y), .attribute("width", shapeWidth),
                .attribute("height", shapeHeight),
            ], title.map { [HTML("title", [], [HTML($0)])] } ?? [])
    }

    /// What of some ranges lies in one, with neighbours as one.
    private static func joined(_ ranges: [Range<UInt64>], in whole: Range<UInt64>) -> [Range<UInt64>] {
        var joined: [Range<UInt64>] = []
        for range in ranges.map({ $0.clamped(to: whole) }).filter({ !$0.isEmpty }).sorted(by: {
            $0.lowerBound < $1.lowerBound
        }) {
            if let last = joined.last, range.lowerBound <= last.upperBound {
                joined[joined.count - 1] = last.lowerBound..<max(last.upperBound, range.upperBound)
            } else {
                joined.append(range)
            }
        }
        return joined
    }
}
