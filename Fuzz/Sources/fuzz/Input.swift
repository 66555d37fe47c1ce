// SPDX-License-Identifier: Apache-2.0

/// An input taken apart from its beginning; zeros behind its end.
struct Input {
    private(set) var rest: ArraySlice<UInt8>

    init(_ bytes: [UInt8]) { rest = bytes[...] }

    var isEmpty: Bool { rest.isEmpty }

    mutating func byte() -> UInt8 { rest.popFirst() ?? 0 }

    /// A number of so many bytes, up to eight, the last one lowest.
    mutating func number(_ byteCount: Int) -> UInt64 {
        (0..<byteCount).reduce(0) { number, _ in number << 8 | UInt64(byte()) }
    }

    /// A word that is likely to say something: near one of `known`, small, or any.
    mutating func word(near known: [UInt64]) -> UInt64 {
        let kind = byte()
        switch kind & 7 {
        case 0: return number(8)
        case 1: return number(1)
        case 2: return number(2) << (number(1) & 63)
        case 3: return 0 &- number(1)
        default:
            guard !known.isEmpty else { return number(4) }
            let base = known[Int(kind >> 3) % known.count]
            let distance = number(2)
            switch kind & 7 {
            case 4: return base
            case 5: return base &+ distance
            case 6: return base &- distance
            default: return base &+ distance << 12
            }
        }
    }
}
