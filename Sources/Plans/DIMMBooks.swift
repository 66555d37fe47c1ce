// SPDX-License-Identifier: Apache-2.0

/// The DIMMs of a plan as its steps plug and unplug them, should every unplug succeed.
public struct DIMMBooks {
    /// All DIMMs that were ever plugged, in order; what has no place of its own lies where the machine puts it.
    private var dimms: [(byteCount: UInt64, base: UInt64?)] = []
    private var plugged: [Int] = []

    /// A machine without DIMMs.
    public init() {}

    /// How many DIMMs were ever plugged.
    public var count: Int { dimms.count }
    /// How many are plugged.
    var pluggedCount: Int { plugged.count }
    /// Their bytes; each has ``PlanLimits/memory`` at most.
    var pluggedByteCount: UInt64 { plugged.reduce(0) { $0 + dimms[$1 - 1].byteCount } }

    /// A DIMM's number, counted from 1; nil when there is none.
    public func number(of dimm: Plan.DIMM) -> Int? {
        switch dimm {
        case .number(let number): number
        case .last: plugged.last
        }
    }

    /// The first plugged DIMM with a place of its own that lies in a range.
    func number(overlapping range: Range<UInt64>) -> Int? {
        plugged.first { number in
            let dimm = dimms[number - 1]
            return dimm.base.map { ($0..<$0 + dimm.byteCount).overlaps(range) } ?? false
        }
    }

    /// Plugs a DIMM.
    public mutating func plug(_ byteCount: UInt64, at base: UInt64?) {
        dimms.append((byteCount, base))
        plugged.append(dimms.count)
    }

    /// Unplugs a DIMM; one that is not plugged is no loss.
    public mutating func unplug(_ dimm: Plan.DIMM) {
        let number = number(of: dimm)
        plugged.removeAll { $0 == number }
    }
}
