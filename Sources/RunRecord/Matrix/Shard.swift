// SPDX-License-Identifier: Apache-2.0

/// A part of a matrix, for one of several machines that take one together.
public struct Shard: Codable, Hashable, Sendable {
    /// Counts from 1.
    public let index: Int
    /// How many there are.
    public let count: Int

    /// The whole of a matrix.
    public static let whole = Shard(unchecked: 1, of: 1)
    /// How many shards there may be.
    public static let countLimit = 4096

    private init(unchecked index: Int, of count: Int) { (self.index, self.count) = (index, count) }

    /// A shard by its place; nil where there is none.
    public init?(index: Int, count: Int) {
        guard 1...Self.countLimit ~= count, 1...count ~= index else { return nil }
        self.init(unchecked: index, of: count)
    }

    /// Reads `K/N`; nil for anything else.
    public init?(_ text: String) {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count == 2, parts.allSatisfy({ !$0.isEmpty && $0.allSatisfy { $0.isASCII && $0.isNumber } }),
            let index = Int(parts[0]), let count = Int(parts[1])
        else { return nil }
        self.init(index: index, count: count)
    }

    /// As a command line has it.
    public var text: String { "\(index)/\(count)" }

    /// The cells of this shard: the heaviest first to the shard that has least so far. All shards of one list of cells,
    /// weights included, find the same parts, each cell in one of them.
    public func part(of cells: [MatrixCell]) -> [MatrixCell] {
        var loads = Array(repeating: 0.0, count: count)
        var mine: Set<Int> = []
        for cell in cells.sorted(by: { ($0.weight, $1.number) > ($1.weight, $0.number) }) {
            let place = loads.indices.min { (loads[$0], $0) < (loads[$1], $1) } ?? 0
            loads[place] += cell.weight
            if place == index - 1 { mine.insert(cell.number) }
        }
        return cells.filter { mine.contains($0.number) }
    }
}
